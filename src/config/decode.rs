//! Reads typed fields out of a tree and collects every mistake on the way. A field is declared once,
//! where it is read; the reference in the documentation is made from the same declarations.

use super::mistakes::{Mistake, Place, shown};
use super::suggest;
use super::yaml::{Entry, Node, Value};

/// How a single value is read: its type's name in the reference, and the parser, whose error says
/// what is wrong and what to write instead.
pub struct Kind<T> {
    pub name: &'static str,
    pub parse: fn(&str) -> Result<T, String>,
}

/// A field's name, what it means, and what the reference says where it has no fixed default.
#[derive(Clone, Copy)]
pub struct Field {
    pub name: &'static str,
    doc: &'static str,
    unset: &'static str,
}

/// What the reference knows of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declaration {
    Section { path: String, doc: &'static str },
    Field { section: String, name: String, kind: String, default: String, doc: &'static str },
}

/// A map of fields while it is being read. Each method returns `None` when it has recorded a mistake,
/// so that a function reads all its fields first and only then asks which of them are there.
pub struct Section<'d> {
    decoder: &'d mut Decoder,
    path: String,
    place: Place,
    entries: Vec<Entry>,
    seen: Vec<(&'static str, Place)>,
}

/// A value's text and where it stands. It has no `Debug`, since it may be a secret.
pub struct Text {
    pub text: String,
    pub place: Place,
}

/// Reads the root map with `read`; a value comes back only when there is no mistake.
pub fn decode<T>(root: Node, read: impl FnOnce(&mut Section<'_>) -> Option<T>) -> Result<T, Vec<Mistake>> {
    let mut decoder = Decoder { purpose: Purpose::Decode, mistakes: Vec::new(), declarations: Vec::new() };
    let value = decoder.map(root, String::new(), Place::Nowhere, read);
    match value {
        Some(value) if decoder.mistakes.is_empty() => Ok(value),
        _ => Err(decoder.mistakes),
    }
}

/// The declarations of everything that `read` would read.
pub fn describe<T>(read: impl FnOnce(&mut Section<'_>) -> Option<T>) -> Vec<Declaration> {
    let mut decoder = Decoder { purpose: Purpose::Describe, mistakes: Vec::new(), declarations: Vec::new() };
    decoder.map(empty_map(), String::new(), Place::Nowhere, read);
    decoder.declarations
}

pub const fn field(name: &'static str, doc: &'static str) -> Field {
    Field { name, doc, unset: "" }
}

impl Field {
    /// What the reference says in place of a default.
    pub const fn unset(self, unset: &'static str) -> Self {
        Self { name: self.name, doc: self.doc, unset }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Decode,
    Describe,
}

struct Decoder {
    purpose: Purpose,
    mistakes: Vec<Mistake>,
    declarations: Vec<Declaration>,
}

impl Decoder {
    fn map<T>(&mut self, node: Node, path: String, place: Place, read: impl FnOnce(&mut Section<'_>) -> Option<T>) -> Option<T> {
        let node = self.expanded(node, &path)?;
        let entries = match node.value {
            Value::Map(entries) => entries,
            Value::Broken => return None,
            _ if node.is_null() => Vec::new(),
            _ => {
                self.mistakes.push(Mistake::new(path, node.place, "must be a map of fields, such as `{name: value}`"));
                return None;
            }
        };
        let mut section = Section { decoder: self, path, place, entries, seen: Vec::new() };
        let value = read(&mut section);
        section.finish();
        value
    }

    fn expanded(&mut self, node: Node, path: &str) -> Option<Node> {
        let parsed = node.expanded(path);
        let broken = !parsed.mistakes.is_empty();
        self.mistakes.extend(parsed.mistakes);
        (!broken).then_some(parsed.root)
    }
}

impl Section<'_> {
    pub fn required<T>(&mut self, field: Field, kind: &Kind<T>) -> Option<T> {
        self.declare(field, kind.name, "required");
        match self.text(field.name)? {
            Some(text) => self.parse(field.name, &text, kind),
            None => {
                self.complain(field.name, "is required");
                None
            }
        }
    }

    pub fn or_default<T>(&mut self, field: Field, kind: &Kind<T>, default: &'static str) -> Option<T> {
        self.declare(field, kind.name, &format!("`{default}`"));
        let written = self.text(field.name)?;
        let text = written.unwrap_or_else(|| Text { text: default.to_owned(), place: Place::Nowhere });
        self.parse(field.name, &text, kind)
    }

    pub fn optional<T>(&mut self, field: Field, kind: &Kind<T>) -> Option<Option<T>> {
        self.declare(field, kind.name, field.unset);
        match self.text(field.name)? {
            Some(text) => self.parse(field.name, &text, kind).map(Some),
            None => Some(None),
        }
    }

    /// A list of single values, none of them twice.
    pub fn list<T: PartialEq>(&mut self, field: Field, kind: &Kind<T>, default: &[&str]) -> Option<Vec<T>> {
        let shown = if default.is_empty() { field.unset.to_owned() } else { format!("`[{}]`", default.join(", ")) };
        self.declare(field, &format!("list of {}s", kind.name), &shown);
        match self.elements(field.name)? {
            Some(nodes) => self.distinct(field.name, nodes, kind),
            None => default.iter().map(|text| (kind.parse)(text).ok()).collect(),
        }
    }

    /// A map whose keys are free; `key` judges them.
    pub fn pairs<T>(&mut self, field: Field, key: fn(&str) -> Result<(), String>, kind: &Kind<T>) -> Option<Vec<(String, T)>> {
        self.declare(field, &format!("map of {}s", kind.name), field.unset);
        let Some(node) = self.take(field.name)? else {
            return Some(Vec::new());
        };
        let path = self.path_of(field.name);
        let node = self.decoder.expanded(node, &path)?;
        let Value::Map(entries) = node.value else {
            self.complain(field.name, "must be a map, such as `{name: value}`");
            return None;
        };
        let pairs: Vec<_> = entries.into_iter().map(|entry| self.pair(&path, entry, key, kind)).collect();
        pairs.into_iter().collect()
    }

    /// A nested map of fields. When it isn't written, its fields have their defaults.
    pub fn section<T>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        read: impl FnOnce(&mut Section<'_>) -> Option<T>,
    ) -> Option<T> {
        let path = self.path_of(name);
        self.decoder.declarations.push(Declaration::Section { path: path.clone(), doc });
        let node = self.take(name)?;
        let place = self.place_of(name);
        self.decoder.map(node.unwrap_or_else(empty_map), path, place, read)
    }

    /// A list of maps of fields.
    pub fn sections<T>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        mut read: impl FnMut(&mut Section<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let path = self.path_of(name);
        if self.decoder.purpose == Purpose::Describe {
            let path = format!("{path}[]");
            self.decoder.declarations.push(Declaration::Section { path: path.clone(), doc });
            self.decoder.map(empty_map(), path, Place::Nowhere, &mut read);
            return Some(Vec::new());
        }
        let nodes = self.elements(name)?.unwrap_or_default();
        let mut values = Vec::new();
        for (index, node) in nodes.into_iter().enumerate() {
            let place = node.place.clone();
            values.push(self.decoder.map(node, format!("{path}[{index}]"), place, &mut read));
        }
        values.into_iter().collect()
    }

    /// A field that another version has: whoever writes it is told what to do instead.
    pub fn refuse(&mut self, name: &'static str, text: &str) -> Option<()> {
        match self.take(name)? {
            Some(_) => {
                self.complain(name, text);
                None
            }
            None => Some(()),
        }
    }

    /// For a field that must not be left out by accident, as by a template whose value is empty: what is then
    /// in its place would let in more people, or trust more. To be asked before the field is read.
    pub fn not_without_value(&mut self, name: &'static str) -> Option<()> {
        let Some(entry) = self.entries.iter().find(|entry| entry.key == name && entry.value.is_null()) else {
            return Some(());
        };
        let mistake = Mistake::new(self.path_of(name), entry.place.clone(), "has no value; write one, or take the field out");
        self.decoder.mistakes.push(mistake);
        None
    }

    /// Records a mistake at a field, or at the section where the field is not written.
    pub fn complain(&mut self, name: &'static str, text: impl Into<String>) {
        let place = match self.place_of(name) {
            Place::Nowhere => self.place.clone(),
            place => place,
        };
        self.decoder.mistakes.push(Mistake::new(self.path_of(name), place, text));
    }

    /// The field's single value as it is written, if it is.
    pub fn text(&mut self, name: &'static str) -> Option<Option<Text>> {
        let Some(node) = self.take(name)? else {
            return Some(None);
        };
        let path = self.path_of(name);
        self.single(path, node).map(Some)
    }

    pub fn declare(&mut self, field: Field, kind: &str, default: &str) {
        self.decoder.declarations.push(Declaration::Field {
            section: self.path.clone(),
            name: field.name.to_owned(),
            kind: kind.to_owned(),
            default: default.to_owned(),
            doc: field.doc,
        });
    }

    /// Whether the field is written at all; only fields that have been read are known.
    pub fn is_given(&self, name: &str) -> bool {
        self.place_of(name) != Place::Nowhere
    }

    fn parse<T>(&mut self, name: &'static str, text: &Text, kind: &Kind<T>) -> Option<T> {
        match (kind.parse)(&text.text) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.complain(name, wrong);
                None
            }
        }
    }

    fn distinct<T: PartialEq>(&mut self, name: &'static str, nodes: Vec<Node>, kind: &Kind<T>) -> Option<Vec<T>> {
        let mut values: Vec<Option<T>> = Vec::new();
        for (index, node) in nodes.into_iter().enumerate() {
            let path = format!("{}[{index}]", self.path_of(name));
            let place = node.place.clone();
            let value = self.single(path.clone(), node).and_then(|text| self.parse_at(&path, &text, kind));
            if value.is_some() && values.contains(&value) {
                self.decoder.mistakes.push(Mistake::new(path, place, "is listed twice; keep one of them"));
            }
            values.push(value);
        }
        values.into_iter().collect()
    }

    fn pair<T>(&mut self, path: &str, entry: Entry, key: fn(&str) -> Result<(), String>, kind: &Kind<T>) -> Option<(String, T)> {
        let path = format!("{path}.{}", shown(&entry.key).trim_matches('`'));
        let allowed = match key(&entry.key) {
            Ok(()) => Some(()),
            Err(wrong) => {
                self.decoder.mistakes.push(Mistake::new(path.clone(), entry.place, wrong));
                None
            }
        };
        let value = self.single(path.clone(), entry.value).and_then(|text| self.parse_at(&path, &text, kind));
        allowed.and(value).map(|value| (entry.key, value))
    }

    fn parse_at<T>(&mut self, path: &str, text: &Text, kind: &Kind<T>) -> Option<T> {
        (kind.parse)(&text.text).map_err(|wrong| self.decoder.mistakes.push(Mistake::new(path, text.place.clone(), wrong))).ok()
    }

    fn single(&mut self, path: String, node: Node) -> Option<Text> {
        let wrong = match node.value {
            Value::Scalar(scalar) => {
                return Some(Text { text: scalar.text, place: node.place });
            }
            Value::Map(_) => "must be a single value, not a map",
            Value::Seq(_) => "must be a single value, not a list",
            Value::Broken => return None,
        };
        self.decoder.mistakes.push(Mistake::new(path, node.place, wrong));
        None
    }

    fn elements(&mut self, name: &'static str) -> Option<Option<Vec<Node>>> {
        let Some(node) = self.take(name)? else {
            return Some(None);
        };
        let node = self.decoder.expanded(node, &self.path_of(name))?;
        match node.value {
            Value::Seq(nodes) => Some(Some(nodes)),
            Value::Broken => None,
            _ => {
                self.complain(name, "must be a list, such as `[a, b]`; an empty one is `[]`");
                None
            }
        }
    }

    /// Takes a field's node out; what nobody has taken at the end is unknown.
    fn take(&mut self, name: &'static str) -> Option<Option<Node>> {
        let Some(index) = self.entries.iter().position(|entry| entry.key == name) else {
            self.seen.push((name, Place::Nowhere));
            return Some(None);
        };
        let entry = self.entries.remove(index);
        let written = !entry.value.is_null();
        self.seen.push((name, if written { entry.place } else { Place::Nowhere }));
        match entry.value.value {
            Value::Broken => None,
            _ => Some(written.then_some(entry.value)),
        }
    }

    fn place_of(&self, name: &str) -> Place {
        self.seen.iter().find(|(seen, _)| *seen == name).map_or(Place::Nowhere, |(_, place)| place.clone())
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn finish(self) {
        let known: Vec<_> = self.seen.iter().map(|(name, _)| *name).collect();
        for entry in &self.entries {
            let key = shown(&entry.key);
            let text = suggest::unknown_field(&entry.key, &known);
            self.decoder.mistakes.push(Mistake::new(self.path_of(key.trim_matches('`')), entry.place.clone(), text));
        }
    }
}

fn empty_map() -> Node {
    Node { place: Place::Nowhere, value: Value::Map(Vec::new()) }
}
