//! Parses one YAML document into a tree of nodes with their places. Rejects duplicate keys and merge keys.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::mistakes::{Mistake, Place, shown};

/// The subset of YAML that a document may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subset {
    /// No anchors, aliases or tags.
    Plain,
    /// Anchors, aliases and the core tags that do not change a value, such as `!!str`.
    Core,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    pub place: Place,
    pub value: NodeValue,
}

#[derive(Clone, Debug)]
pub enum NodeValue {
    Scalar(Scalar),
    Map(Vec<MapEntry>),
    Seq(Vec<Node>),
    /// An invalid value, for which a mistake is recorded.
    Broken,
}

/// A single value as it is written. Its text may be a secret, so `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Scalar {
    pub text: String,
    pub style: Style,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    Quoted,
    /// The value of an environment variable: a literal scalar, or a list or map in YAML.
    Raw,
}

/// A key of a map with its value. The place is that of the key.
#[derive(Clone, Debug)]
pub struct MapEntry {
    pub key: String,
    pub place: Place,
    pub value: Node,
}

/// The tree as far as it could be parsed, and all syntax mistakes.
#[derive(Debug)]
pub struct ParsedDocument {
    pub mistakes: Vec<Mistake>,
    pub root: Node,
}

/// The documents of a text as far as they could be parsed, and all syntax mistakes.
#[derive(Debug)]
pub struct ParsedStream {
    pub mistakes: Vec<Mistake>,
    pub roots: Vec<Node>,
}

/// Parses a document. Mistakes name its lines.
pub fn parse(text: &str, subset: Subset) -> ParsedDocument {
    Builder::new(text, subset, "", None).document()
}

/// Parses all documents of a text. Mistakes name its lines. The limits apply to the text as a whole.
pub fn parse_stream(text: &str, subset: Subset) -> ParsedStream {
    Builder::new(text, subset, "", None).stream()
}

/// Parses the text of an environment variable that sets the value at `path`.
pub fn parse_variable(text: &str, path: &str, variable: &str) -> ParsedDocument {
    Builder::new(text, Subset::Plain, path, Some(variable)).document()
}

impl Node {
    pub fn null(place: Place) -> Self {
        let scalar = Scalar { text: "~".to_owned(), style: Style::Plain };
        Self { place, value: NodeValue::Scalar(scalar) }
    }

    pub fn raw(place: Place, text: String) -> Self {
        Self { place, value: NodeValue::Scalar(Scalar { text, style: Style::Raw }) }
    }

    /// Parses a variable's text as YAML, for a field that is a list or map. Returns other nodes unchanged.
    pub fn expanded(self, path: &str) -> ParsedDocument {
        match (self.value, self.place) {
            (NodeValue::Scalar(Scalar { text, style: Style::Raw }), Place::Variable(name)) => parse_variable(&text, path, &name),
            (value, place) => ParsedDocument { mistakes: Vec::new(), root: Self { place, value } },
        }
    }

    fn broken(place: Place) -> Self {
        Self { place, value: NodeValue::Broken }
    }

    /// True for a field without a value, as in `store:` if everything under it is commented out.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, NodeValue::Scalar(scalar) if scalar.is_null())
    }

    /// Returns the number of keys and values of this subtree, and its height.
    fn size_and_height(&self) -> (usize, usize) {
        let sum = |(size, height): (usize, usize), child: &Self, keys: usize| {
            let (child_size, child_height) = child.size_and_height();
            (size + keys + child_size, height.max(1 + child_height))
        };
        match &self.value {
            NodeValue::Scalar(_) | NodeValue::Broken => (1, 0),
            NodeValue::Map(entries) => entries.iter().fold((1, 0), |total, entry| sum(total, &entry.value, 1)),
            NodeValue::Seq(nodes) => nodes.iter().fold((1, 0), |total, node| sum(total, node, 0)),
        }
    }
}

impl Scalar {
    fn is_null(&self) -> bool {
        self.style == Style::Plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scalar([redacted], {:?})", self.style)
    }
}

/// Limits recursion. No reasonable document nests deeper.
const MAX_DEPTH: usize = 32;

/// Limits the expansion of aliases.
const MAX_NODES: usize = 250_000;

struct Builder<'t> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    subset: Subset,
    /// The anchored nodes by the anchor's number.
    anchors: HashMap<usize, Node>,
    nodes: usize,
    variable: Option<&'t str>,
    /// The path of the text's root. Syntax errors are reported there.
    base: &'t str,
    path: String,
    mistakes: Vec<Mistake>,
}

/// The parser cannot continue. The mistake is recorded.
struct ParseAbort;

impl<'t> Builder<'t> {
    fn new(text: &'t str, subset: Subset, base: &'t str, variable: Option<&'t str>) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self {
            text,
            parser: Parser::new_from_str(text),
            subset,
            anchors: HashMap::new(),
            nodes: 0,
            variable,
            base,
            path: base.to_owned(),
            mistakes: Vec::new(),
        }
    }

    fn document(mut self) -> ParsedDocument {
        let root = self
            .refuse_unprintable()
            .and_then(|()| self.first_document())
            .unwrap_or_else(|ParseAbort| Node::broken(Place::Nowhere));
        ParsedDocument { mistakes: self.mistakes, root }
    }

    fn stream(mut self) -> ParsedStream {
        let mut roots = Vec::new();
        if self.refuse_unprintable().is_ok() {
            while let Ok(Some(root)) = self.next_document() {
                roots.push(root);
            }
        }
        ParsedStream { mistakes: self.mistakes, roots }
    }

    /// `None` at the end of the text.
    fn next_document(&mut self) -> Result<Option<Node>, ParseAbort> {
        loop {
            let (event, place) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(None),
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                content => return self.node(content, place, 0).map(Some),
            }
        }
    }

    /// Rejects control characters. The parser takes a NUL character for the end of the text and ignores the rest, and it
    /// accepts other forbidden characters in some places.
    fn refuse_unprintable(&mut self) -> Result<(), ParseAbort> {
        let Some((before, _)) = self.text.split_once(|character| !is_printable(character)) else { return Ok(()) };
        let place = self.place_in_line(before.matches('\n').count() as u64 + 1);
        self.complain(place, "is not valid YAML: it has a control character");
        Err(ParseAbort)
    }

    fn first_document(&mut self) -> Result<Node, ParseAbort> {
        let mut root = None;
        loop {
            let (event, place) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root.unwrap_or_else(|| Node::null(place))),
                Event::DocumentStart(_) if root.is_some() => {
                    self.complain(place, "a second document begins here; only one is read, so remove the `---`");
                    return Err(ParseAbort);
                }
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                content => root = Some(self.node(content, place, 0)?),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Place), ParseAbort> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, self.place(span))),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Err(ParseAbort),
        }
    }

    fn node(&mut self, event: Event<'t>, place: Place, depth: usize) -> Result<Node, ParseAbort> {
        self.refuse_depth(depth, &place)?;
        self.count(1, &place)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_extras(&place, anchor, tag.as_ref(), &["str", "int", "bool"]);
                (NodeValue::Scalar(scalar(text, style, tag.as_deref())), anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_extras(&place, anchor, tag.as_ref(), &["map"]);
                (self.map(depth)?, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_extras(&place, anchor, tag.as_ref(), &["seq"]);
                (self.seq(depth)?, anchor)
            }
            Event::Alias(anchor) => (self.alias(anchor, &place, depth)?, 0),
            _ => (NodeValue::Broken, 0),
        };
        let node = Node { place, value };
        if anchor != 0 && self.subset == Subset::Core {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, place: &Place, depth: usize) -> Result<NodeValue, ParseAbort> {
        if self.subset == Subset::Plain {
            self.complain(place.clone(), "is an alias (`*name`), which is not read here; write the value out, or quote it");
            return Ok(NodeValue::Broken);
        }
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            self.complain(place.clone(), "is an alias of a value that contains it; write the value out");
            return Ok(NodeValue::Broken);
        };
        let (size, height) = node.size_and_height();
        self.count(size, place)?;
        self.refuse_depth(depth + height, place)?;
        Ok(node.value)
    }

    fn refuse_depth(&mut self, depth: usize, place: &Place) -> Result<(), ParseAbort> {
        if depth > MAX_DEPTH {
            self.complain(place.clone(), format!("is nested more than {MAX_DEPTH} levels deep"));
            return Err(ParseAbort);
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize, place: &Place) -> Result<(), ParseAbort> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            self.path = self.base.to_owned();
            self.complain(place.clone(), format!("has more than {MAX_NODES} keys and values; make the document smaller"));
            return Err(ParseAbort);
        }
        Ok(())
    }

    fn map(&mut self, depth: usize) -> Result<NodeValue, ParseAbort> {
        let mut entries: Vec<MapEntry> = Vec::new();
        let mut places: HashMap<String, Place> = HashMap::new();
        loop {
            let (event, place) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(NodeValue::Map(entries));
            }
            let key = self.key(event, &place, depth)?;
            let outer = self.path.len();
            self.descend(key.as_deref().unwrap_or("?"));
            let key = key.filter(|key| !self.is_repeated(places.get(key), &place));
            let (event, value_place) = self.next()?;
            let value = self.node(event, value_place, depth + 1)?;
            self.path.truncate(outer);
            if let Some(key) = key {
                places.insert(key.clone(), place.clone());
                entries.push(MapEntry { key, place, value });
            }
        }
    }

    fn key(&mut self, event: Event<'t>, place: &Place, depth: usize) -> Result<Option<String>, ParseAbort> {
        let node = self.node(event, place.clone(), depth + 1)?;
        let wrong = match node.value {
            NodeValue::Scalar(scalar) if scalar.is_null() => "a key is missing, or must be quoted",
            NodeValue::Scalar(Scalar { text, style: Style::Plain }) if text == "<<" => {
                "a merge key (`<<`) is not read here; write its fields out, or quote it"
            }
            NodeValue::Scalar(scalar) => return Ok(Some(scalar.text)),
            NodeValue::Broken => return Ok(None),
            NodeValue::Map(_) | NodeValue::Seq(_) => "a key must be a single word",
        };
        self.complain(place.clone(), wrong);
        Ok(None)
    }

    fn is_repeated(&mut self, first: Option<&Place>, place: &Place) -> bool {
        let Some(first) = first else { return false };
        let text = match first {
            Place::Line(line) => format!("is given twice, first in line {line}; keep one of them"),
            _ => "is given twice; keep one of them".to_owned(),
        };
        self.complain(place.clone(), text);
        true
    }

    fn seq(&mut self, depth: usize) -> Result<NodeValue, ParseAbort> {
        let mut nodes = Vec::new();
        loop {
            let (event, place) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(NodeValue::Seq(nodes));
            }
            let outer = self.path.len();
            self.path.push_str(&format!("[{}]", nodes.len()));
            nodes.push(self.node(event, place, depth + 1)?);
            self.path.truncate(outer);
        }
    }

    /// Rejects unsupported anchors and tags. An anchor has no use without aliases, and types that tags name are not supported.
    fn refuse_extras(&mut self, place: &Place, anchor: usize, tag: Option<&Cow<'t, Tag>>, core: &[&str]) {
        if anchor != 0 && self.subset == Subset::Plain {
            self.complain(place.clone(), "has an anchor (`&name`), which is not read here; remove it, or quote the value");
        }
        let is_read = |tag: &Tag| {
            self.subset == Subset::Core
                && (is_non_specific(tag) || tag.is_yaml_core_schema() && core.contains(&tag.suffix.as_str()))
        };
        if tag.is_some_and(|tag| !is_read(tag)) {
            self.complain(place.clone(), "has a tag (`!name`), which is not read here; remove it, or quote the value");
        }
    }

    fn descend(&mut self, key: &str) {
        let key = shown(key);
        let key = key.trim_matches('`');
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(key);
    }

    fn place(&self, span: Span) -> Place {
        self.place_in_line(span.start.line() as u64)
    }

    fn place_in_line(&self, line: u64) -> Place {
        self.variable.map_or(Place::Line(line), |name| Place::Variable(name.to_owned()))
    }

    fn syntax(&mut self, error: &ScanError) -> ParseAbort {
        // The scanner counts one line too many if the text ends too early.
        let last = self.text.lines().count().max(1);
        let place = self.place_in_line(error.marker().line().min(last) as u64);
        let text = format!("is not valid YAML: {}", cause(error.info()));
        self.path = self.base.to_owned();
        self.complain(place, text);
        ParseAbort
    }

    fn complain(&mut self, place: Place, text: impl Into<String>) {
        self.mistakes.push(Mistake::new(self.path.clone(), place, text));
    }
}

/// True for the tag `!`, which marks a value as a string.
fn is_non_specific(tag: &Tag) -> bool {
    matches!((tag.handle.as_str(), tag.suffix.as_str()), ("", "!") | ("!", ""))
}

/// True if YAML allows the character (YAML 1.2, production 1).
pub(super) fn is_printable(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' | '\u{85}' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        other => !other.is_control(),
    }
}

/// Builds a scalar. A tagged plain scalar is a value like a quoted one, even if its text is `null`.
fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Scalar {
    let style = if style == ScalarStyle::Plain && tag.is_none() { Style::Plain } else { Style::Quoted };
    Scalar { text: text.into_owned(), style }
}

/// Returns the scanner's message. Replaces the message that repeats a character, which may be part of a secret, and the one
/// about anchors, which users may not know.
fn cause(info: &str) -> &str {
    match info {
        _ if info.starts_with("unexpected character") => "a value begins with a character that needs quotes",
        _ if info.ends_with("found unknown anchor") => "a value begins with `*`, which needs quotes",
        _ => info,
    }
}

#[cfg(test)]
mod tests;
