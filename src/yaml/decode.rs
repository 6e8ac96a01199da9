//! Reads typed fields from a tree and collects every mistake.
//!
//! A field of the configuration is declared once, where it is read. The configuration reference is generated from these
//! declarations. Fields of the role map have no declarations; they are read by [`Section::value`], [`Section::values`],
//! [`Section::entries`] and [`Section::maps`].

use super::mistakes::{Mistake, Place, shown};
use super::suggest;
use super::tree::{MapEntry, Node, NodeValue};

/// The type of a single value: its name in the reference, and its parser. The parser's error states what is wrong and what
/// to write instead.
pub struct Kind<T> {
    pub name: &'static str,
    pub parse: fn(&str) -> Result<T, String>,
}

/// The declaration of a field: its name, its description, and the reference's text for a default that is not fixed.
#[derive(Clone, Copy)]
pub struct Field {
    pub name: &'static str,
    doc: &'static str,
    unset: &'static str,
}

/// An entry of the reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declaration {
    Section { path: String, doc: &'static str },
    Field { section: String, name: String, kind: String, default: String, doc: &'static str },
}

/// A map of fields that is being read. Each method returns `None` if it has recorded a mistake, so that a function can read
/// all its fields before it returns early.
pub struct Section<'d> {
    decoder: &'d mut Decoder,
    path: String,
    place: Place,
    entries: Vec<MapEntry>,
    seen: Vec<(&'static str, Place)>,
}

/// The text and place of a value. It has no `Debug`, since it may be a secret.
pub struct ScalarText {
    pub text: String,
    pub place: Place,
}

/// Reads the root map with `read`. Returns a value only if there is no mistake. A field without a value is not set.
pub fn decode<T>(root: Node, read: impl FnOnce(&mut Section<'_>) -> Option<T>) -> Result<T, Vec<Mistake>> {
    Decoder::new(Purpose::Decode(NullFields::NotSet)).decode(root, Place::Nowhere, read)
}

/// Like [`decode`], but a field or an element without a value is a mistake, and so is an empty document. A field that
/// is missing at the top is reported in the document's first line.
pub fn decode_strict<T>(root: Node, read: impl FnOnce(&mut Section<'_>) -> Option<T>) -> Result<T, Vec<Mistake>> {
    let place = root.place.clone();
    Decoder::new(Purpose::Decode(NullFields::Refused)).decode(root, place, read)
}

/// Returns the declarations of everything that `read` would read.
pub fn describe<T>(read: impl FnOnce(&mut Section<'_>) -> Option<T>) -> Vec<Declaration> {
    let mut decoder = Decoder::new(Purpose::Describe);
    decoder.map(empty_map(), String::new(), Place::Nowhere, read);
    decoder.declarations
}

pub const fn field(name: &'static str, doc: &'static str) -> Field {
    Field { name, doc, unset: "" }
}

impl Field {
    /// Sets the reference's text for a default that is not fixed.
    pub const fn unset(self, unset: &'static str) -> Self {
        Self { name: self.name, doc: self.doc, unset }
    }
}

const NO_VALUE: &str = "has no value; write one, or remove the field";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Decode(NullFields),
    Describe,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum NullFields {
    NotSet,
    Refused,
}

struct Decoder {
    purpose: Purpose,
    mistakes: Vec<Mistake>,
    declarations: Vec<Declaration>,
}

impl Decoder {
    fn new(purpose: Purpose) -> Self {
        Self { purpose, mistakes: Vec::new(), declarations: Vec::new() }
    }

    fn decode<T>(
        mut self,
        root: Node,
        place: Place,
        read: impl FnOnce(&mut Section<'_>) -> Option<T>,
    ) -> Result<T, Vec<Mistake>> {
        match self.map(root, String::new(), place, read) {
            Some(value) if self.mistakes.is_empty() => Ok(value),
            _ => Err(self.mistakes),
        }
    }

    fn map<T>(&mut self, node: Node, path: String, place: Place, read: impl FnOnce(&mut Section<'_>) -> Option<T>) -> Option<T> {
        let node = self.expanded(node, &path)?;
        let is_null = node.is_null();
        let entries = match node.value {
            NodeValue::Map(entries) => entries,
            NodeValue::Broken => return None,
            _ if is_null && !self.is_null_refused() => Vec::new(),
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

    fn is_null_refused(&self) -> bool {
        self.purpose == Purpose::Decode(NullFields::Refused)
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
        self.required_value(field.name, kind.parse)
    }

    pub fn or_default<T>(&mut self, field: Field, kind: &Kind<T>, default: &'static str) -> Option<T> {
        self.declare(field, kind.name, &format!("`{default}`"));
        let text = self.text(field.name)?.map_or_else(|| default.to_owned(), |text| text.text);
        self.parse(field.name, &text, kind.parse)
    }

    pub fn optional<T>(&mut self, field: Field, kind: &Kind<T>) -> Option<Option<T>> {
        self.declare(field, kind.name, field.unset);
        self.value(field.name, kind.parse)
    }

    /// Reads a list of distinct single values.
    pub fn list<T: PartialEq>(&mut self, field: Field, kind: &Kind<T>, default: &[&str]) -> Option<Vec<T>> {
        let shown = if default.is_empty() { field.unset.to_owned() } else { format!("`[{}]`", default.join(", ")) };
        self.declare(field, &format!("list of {}s", kind.name), &shown);
        let mut distinct = Vec::new();
        let written = self.values(field.name, |text| {
            let value = (kind.parse)(text)?;
            if distinct.contains(&value) {
                return Err("is listed twice; keep one of them".to_owned());
            }
            distinct.push(value);
            Ok(())
        })?;
        match written {
            Some(_) => Some(distinct),
            None => default.iter().map(|text| (kind.parse)(text).ok()).collect(),
        }
    }

    /// Reads a map with arbitrary keys; `key` validates them.
    pub fn pairs<T>(&mut self, field: Field, key: fn(&str) -> Result<(), String>, kind: &Kind<T>) -> Option<Vec<(String, T)>> {
        self.declare(field, &format!("map of {}s", kind.name), field.unset);
        self.entries(field.name, key, kind.parse).map(Option::unwrap_or_default)
    }

    /// Reads a single value, if the field is set.
    pub fn value<T, E: Into<String>>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Option<T>> {
        match self.text(name)? {
            Some(text) => self.parse(name, &text.text, parse).map(Some),
            None => Some(None),
        }
    }

    pub fn required_value<T, E: Into<String>>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.value(name, parse)?;
        if value.is_none() {
            self.complain(name, "is required");
        }
        value
    }

    /// Reads a list of single values, if the field is set.
    pub fn values<T, E: Into<String>>(
        &mut self,
        name: &'static str,
        mut parse: impl FnMut(&str) -> Result<T, E>,
    ) -> Option<Option<Vec<T>>> {
        let Some(nodes) = self.elements(name)? else { return Some(None) };
        let path = self.path_of(name);
        let numbered = nodes.into_iter().enumerate();
        let values: Vec<_> =
            numbered.map(|(index, node)| self.parse_node(format!("{path}[{index}]"), node, &mut parse)).collect();
        values.into_iter().collect::<Option<_>>().map(Some)
    }

    /// Reads a map with arbitrary keys, if the field is set; `key` validates them.
    pub fn entries<T, E: Into<String>>(
        &mut self,
        name: &'static str,
        key: impl Fn(&str) -> Result<(), String>,
        mut parse: impl FnMut(&str) -> Result<T, E>,
    ) -> Option<Option<Vec<(String, T)>>> {
        let Some(node) = self.take(name)? else { return Some(None) };
        let path = self.path_of(name);
        let node = self.decoder.expanded(node, &path)?;
        let NodeValue::Map(entries) = node.value else {
            self.complain(name, "must be a map, such as `{name: value}`");
            return None;
        };
        let pairs: Vec<_> = entries
            .into_iter()
            .map(|entry| {
                let path = format!("{path}.{}", shown(&entry.key).trim_matches('`'));
                let key = key(&entry.key).map_err(|wrong| self.add(path.clone(), entry.place, wrong));
                let value = self.parse_node(path, entry.value, &mut parse);
                key.ok().and(value).map(|value| (entry.key, value))
            })
            .collect();
        pairs.into_iter().collect::<Option<_>>().map(Some)
    }

    /// Reads a list of maps of fields, if the field is set.
    pub fn maps<T>(&mut self, name: &'static str, mut read: impl FnMut(&mut Section<'_>) -> Option<T>) -> Option<Option<Vec<T>>> {
        let Some(nodes) = self.elements(name)? else { return Some(None) };
        let path = self.path_of(name);
        let mut values = Vec::new();
        for (index, node) in nodes.into_iter().enumerate() {
            let place = node.place.clone();
            values.push(self.decoder.map(node, format!("{path}[{index}]"), place, &mut read));
        }
        values.into_iter().collect::<Option<_>>().map(Some)
    }

    /// Reads a map of maps of fields with arbitrary names, if the field is set; `check_name` validates the names.
    pub fn named_maps<T>(
        &mut self,
        name: &'static str,
        check_name: impl Fn(&str) -> Result<(), String>,
        mut read: impl FnMut(&mut Section<'_>) -> Option<T>,
    ) -> Option<Option<Vec<(String, T)>>> {
        let Some(node) = self.take(name)? else { return Some(None) };
        let path = self.path_of(name);
        let node = self.decoder.expanded(node, &path)?;
        let NodeValue::Map(entries) = node.value else {
            self.complain(name, "must be a map, such as `{name: {field: value}}`");
            return None;
        };
        let mut named = Vec::new();
        for MapEntry { key, place, value } in entries {
            let path = format!("{path}.{}", shown(&key).trim_matches('`'));
            let checked = check_name(&key).map_err(|wrong| self.add(path.clone(), place.clone(), wrong));
            let value = self.decoder.map(value, path, place, &mut read);
            named.push(checked.ok().and(value).map(|value| (key, value)));
        }
        named.into_iter().collect::<Option<_>>().map(Some)
    }

    /// Reads a nested map of fields. If it is not set, its fields have their defaults.
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

    /// Reads a list of maps of fields.
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
        self.maps(name, read).map(Option::unwrap_or_default)
    }

    /// Records a mistake if a field is set that has no effect here.
    pub fn refuse(&mut self, name: &'static str, text: &str) -> Option<()> {
        match self.take(name)? {
            Some(_) => {
                self.complain(name, text);
                None
            }
            None => Some(()),
        }
    }

    /// Takes out a field of an earlier version if it has the one value that it could have, and returns the warning about it.
    pub fn take_obsolete(&mut self, name: &str, value: &str) -> Option<String> {
        let is_obsolete = |entry: &MapEntry| {
            let has_value = matches!(&entry.value.value, NodeValue::Scalar(scalar) if scalar.text == value);
            entry.key == name && (has_value || entry.value.is_null())
        };
        let index = self.entries.iter().position(is_obsolete)?;
        let place = self.entries.remove(index).place;
        Some(Mistake::new(self.path_of(name), place, "has no effect; remove it, since a later version refuses it").to_string())
    }

    /// Records a mistake if the field is written without a value, for example by a template with an empty value. Use it for
    /// fields whose default grants more access or trust. Must be called before the field is read.
    pub fn not_without_value(&mut self, name: &'static str) -> Option<()> {
        let Some(entry) = self.entries.iter().find(|entry| entry.key == name && entry.value.is_null()) else {
            return Some(());
        };
        let place = entry.place.clone();
        self.add(self.path_of(name), place, NO_VALUE);
        None
    }

    /// Records a mistake at a field, or at the section if the field is not set.
    pub fn complain(&mut self, name: &'static str, text: impl Into<String>) {
        let place = match self.place_of(name) {
            Place::Nowhere => self.place.clone(),
            place => place,
        };
        self.add(self.path_of(name), place, text);
    }

    /// Reads the text of a single value, if the field is set.
    pub fn text(&mut self, name: &'static str) -> Option<Option<ScalarText>> {
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

    /// True if the field has been read and is set.
    pub fn is_given(&self, name: &str) -> bool {
        self.place_of(name) != Place::Nowhere
    }

    /// The section's path, such as `providers[0]`; empty for the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The first line of the section; 0 if it is not in the document.
    pub fn line(&self) -> u64 {
        self.place.line().unwrap_or(0)
    }

    /// The line of a field that has been read, else the line of the section.
    pub fn line_of(&self, name: &str) -> u64 {
        self.place_of(name).line().unwrap_or_else(|| self.line())
    }

    fn add(&mut self, path: String, place: Place, text: impl Into<String>) {
        self.decoder.mistakes.push(Mistake::new(path, place, text));
    }

    fn parse<T, E: Into<String>>(
        &mut self,
        name: &'static str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        parse(text).map_err(|wrong| self.complain(name, wrong)).ok()
    }

    fn parse_node<T, E: Into<String>>(
        &mut self,
        path: String,
        node: Node,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let ScalarText { text, place } = self.single(path.clone(), node)?;
        parse(&text).map_err(|wrong| self.add(path, place, wrong)).ok()
    }

    fn single(&mut self, path: String, node: Node) -> Option<ScalarText> {
        let wrong = match node.value {
            NodeValue::Scalar(_) if node.is_null() && self.decoder.is_null_refused() => "has no value; write one, or quote it",
            NodeValue::Scalar(scalar) => return Some(ScalarText { text: scalar.text, place: node.place }),
            NodeValue::Map(_) => "must be a single value, not a map",
            NodeValue::Seq(_) => "must be a single value, not a list",
            NodeValue::Broken => return None,
        };
        self.add(path, node.place, wrong);
        None
    }

    fn elements(&mut self, name: &'static str) -> Option<Option<Vec<Node>>> {
        let Some(node) = self.take(name)? else {
            return Some(None);
        };
        let node = self.decoder.expanded(node, &self.path_of(name))?;
        match node.value {
            NodeValue::Seq(nodes) => Some(Some(nodes)),
            NodeValue::Broken => None,
            _ => {
                self.complain(name, "must be a list, such as `[a, b]`; an empty one is `[]`");
                None
            }
        }
    }

    /// Removes and returns a field's node. Fields that remain at the end are unknown.
    fn take(&mut self, name: &'static str) -> Option<Option<Node>> {
        let Some(index) = self.entries.iter().position(|entry| entry.key == name) else {
            self.seen.push((name, Place::Nowhere));
            return Some(None);
        };
        let entry = self.entries.remove(index);
        let is_null = entry.value.is_null();
        if is_null && self.decoder.is_null_refused() {
            self.seen.push((name, entry.place));
            self.complain(name, NO_VALUE);
            return None;
        }
        self.seen.push((name, if is_null { Place::Nowhere } else { entry.place }));
        match entry.value.value {
            NodeValue::Broken => None,
            _ => Some((!is_null).then_some(entry.value)),
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
            let text = suggest::describe_unknown_field(&entry.key, &known);
            self.decoder.mistakes.push(Mistake::new(self.path_of(key.trim_matches('`')), entry.place.clone(), text));
        }
    }
}

fn empty_map() -> Node {
    Node { place: Place::Nowhere, value: NodeValue::Map(Vec::new()) }
}
