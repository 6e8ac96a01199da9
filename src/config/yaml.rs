//! YAML into a tree whose every node knows where it was written. It takes the plain part of YAML:
//! one document, no anchors, aliases or tags, every key once.

use std::borrow::Cow;
use std::fmt;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::mistakes::{Mistake, Place, shown};

/// A value and the place where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    pub place: Place,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub enum Value {
    Scalar(Scalar),
    Map(Vec<Entry>),
    Seq(Vec<Node>),
    /// Something was written here that a mistake already names.
    Broken,
}

/// A single value as it was written. Its text may be a secret, so `Debug` doesn't show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Scalar {
    pub text: String,
    pub style: Style,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    Quoted,
    /// An environment variable's value: a scalar as it is, a list or map as YAML text.
    Raw,
}

/// A key of a map with its value; the place is the key's.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: String,
    pub place: Place,
    pub value: Node,
}

/// The tree as far as it could be read, and everything that YAML itself has against the text.
#[derive(Debug)]
pub struct Parsed {
    pub mistakes: Vec<Mistake>,
    pub root: Node,
}

/// Parses a file's text; mistakes name its lines.
pub fn parse(text: &str) -> Parsed {
    Builder::new(text, "", None).document()
}

/// Parses the text of one environment variable, which holds the value at `path`.
pub fn parse_variable(text: &str, path: &str, variable: &str) -> Parsed {
    Builder::new(text, path, Some(variable)).document()
}

impl Node {
    pub fn null(place: Place) -> Self {
        let scalar = Scalar { text: "~".to_owned(), style: Style::Plain };
        Self { place, value: Value::Scalar(scalar) }
    }

    pub fn raw(place: Place, text: String) -> Self {
        Self { place, value: Value::Scalar(Scalar { text, style: Style::Raw }) }
    }

    /// What a variable's value means where a list or map is wanted: its text read as YAML.
    /// Any other node is as it is.
    pub fn expanded(self, path: &str) -> Parsed {
        match (self.value, self.place) {
            (Value::Scalar(Scalar { text, style: Style::Raw }), Place::Variable(name)) => parse_variable(&text, path, &name),
            (value, place) => Parsed { mistakes: Vec::new(), root: Self { place, value } },
        }
    }

    fn broken(place: Place) -> Self {
        Self { place, value: Value::Broken }
    }

    /// Whether the field is named but nothing is said, as in `store:` with everything under it commented out.
    pub fn is_null(&self) -> bool {
        let Value::Scalar(scalar) = &self.value else {
            return false;
        };
        scalar.style == Style::Plain && matches!(scalar.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scalar([redacted], {:?})", self.style)
    }
}

/// No sensible document nests deeper; the bound keeps recursion off the stack's end.
const MAX_DEPTH: usize = 32;

struct Builder<'t> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    variable: Option<&'t str>,
    /// The path of the text's root: a syntax error belongs to no field within.
    base: &'t str,
    path: String,
    mistakes: Vec<Mistake>,
}

/// The text can't be read any further; the mistake that says why is recorded.
struct Stop;

impl<'t> Builder<'t> {
    fn new(text: &'t str, base: &'t str, variable: Option<&'t str>) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { text, parser: Parser::new_from_str(text), variable, base, path: base.to_owned(), mistakes: Vec::new() }
    }

    fn document(mut self) -> Parsed {
        let root =
            self.refuse_unprintable().and_then(|()| self.first_document()).unwrap_or_else(|Stop| Node::broken(Place::Nowhere));
        Parsed { mistakes: self.mistakes, root }
    }

    /// The parser takes a NUL character for the end of the text, so that what follows would go unread; and those that YAML
    /// forbids besides, it reads in some places.
    fn refuse_unprintable(&mut self) -> Result<(), Stop> {
        let Some((before, _)) = self.text.split_once(|character| !is_printable(character)) else { return Ok(()) };
        let place = self.place_in_line(before.matches('\n').count() + 1);
        self.complain(place, "is not valid YAML: it has a control character");
        Err(Stop)
    }

    fn first_document(&mut self) -> Result<Node, Stop> {
        let mut root = None;
        loop {
            let (event, place) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root.unwrap_or_else(|| Node::null(place))),
                Event::DocumentStart(_) if root.is_some() => {
                    self.complain(place, "a second document begins here; only one is read, so take the `---` out");
                    return Err(Stop);
                }
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                content => root = Some(self.node(content, place, 0)?),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Place), Stop> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, self.place(span))),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Err(Stop),
        }
    }

    fn node(&mut self, event: Event<'t>, place: Place, depth: usize) -> Result<Node, Stop> {
        if depth > MAX_DEPTH {
            self.complain(place, format!("is nested more than {MAX_DEPTH} levels deep"));
            return Err(Stop);
        }
        let value = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_extras(&place, anchor, tag.as_ref());
                Value::Scalar(scalar(text, style))
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_extras(&place, anchor, tag.as_ref());
                self.map(depth)?
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_extras(&place, anchor, tag.as_ref());
                self.seq(depth)?
            }
            Event::Alias(_) => {
                self.complain(place.clone(), "is an alias (`*name`), which is not read here; write the value out, or quote it");
                Value::Broken
            }
            _ => Value::Broken,
        };
        Ok(Node { place, value })
    }

    fn map(&mut self, depth: usize) -> Result<Value, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, place) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Value::Map(entries));
            }
            let key = self.key(event, &place, depth)?;
            let outer = self.path.len();
            self.descend(key.as_deref().unwrap_or("?"));
            let repeated = self.is_repeated(&entries, key.as_deref(), &place);
            let (event, value_place) = self.next()?;
            let value = self.node(event, value_place, depth + 1)?;
            self.path.truncate(outer);
            if let Some(key) = key.filter(|_| !repeated) {
                entries.push(Entry { key, place, value });
            }
        }
    }

    fn key(&mut self, event: Event<'t>, place: &Place, depth: usize) -> Result<Option<String>, Stop> {
        let node = self.node(event, place.clone(), depth + 1)?;
        match node.value {
            Value::Scalar(scalar) => return Ok(Some(scalar.text)),
            Value::Broken => {}
            Value::Map(_) | Value::Seq(_) => {
                self.complain(place.clone(), "a key must be a single word");
            }
        }
        Ok(None)
    }

    fn is_repeated(&mut self, entries: &[Entry], key: Option<&str>, place: &Place) -> bool {
        let Some(first) = entries.iter().find(|entry| Some(entry.key.as_str()) == key) else {
            return false;
        };
        let text = match &first.place {
            Place::Line(line) => format!("is given twice, first in line {line}; keep one of them"),
            _ => "is given twice; keep one of them".to_owned(),
        };
        self.complain(place.clone(), text);
        true
    }

    fn seq(&mut self, depth: usize) -> Result<Value, Stop> {
        let mut nodes = Vec::new();
        loop {
            let (event, place) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Value::Seq(nodes));
            }
            let outer = self.path.len();
            self.path.push_str(&format!("[{}]", nodes.len()));
            nodes.push(self.node(event, place, depth + 1)?);
            self.path.truncate(outer);
        }
    }

    /// Anchors alone are harmless, but they promise aliases; a tag promises types that nothing here reads.
    fn refuse_extras(&mut self, place: &Place, anchor: usize, tag: Option<&Cow<'t, Tag>>) {
        if anchor != 0 {
            self.complain(place.clone(), "has an anchor (`&name`), which is not read here; take it out, or quote the value");
        }
        if tag.is_some() {
            self.complain(place.clone(), "has a tag (`!name`), which is not read here; take it out, or quote the value");
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
        self.place_in_line(span.start.line())
    }

    fn place_in_line(&self, line: usize) -> Place {
        self.variable.map_or(Place::Line(line), |name| Place::Variable(name.to_owned()))
    }

    fn syntax(&mut self, error: &ScanError) -> Stop {
        let place = self.place_in_line(error.marker().line());
        let text = format!("is not valid YAML: {}", cause(error.info()));
        self.path = self.base.to_owned();
        self.complain(place, text);
        Stop
    }

    fn complain(&mut self, place: Place, text: impl Into<String>) {
        self.mistakes.push(Mistake::new(self.path.clone(), place, text));
    }
}

/// YAML 1.2, production 1.
fn is_printable(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' | '\u{85}' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        other => !other.is_control(),
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle) -> Scalar {
    let style = if style == ScalarStyle::Plain { Style::Plain } else { Style::Quoted };
    Scalar { text: text.into_owned(), style }
}

/// The scanner's words, but for the message that repeats a character, which may be a secret's, and
/// the one that speaks of anchors to people who know none.
fn cause(info: &str) -> &str {
    match info {
        _ if info.starts_with("unexpected character") => "a value begins with a character that needs quotes",
        _ if info.ends_with("found unknown anchor") => "a value begins with `*`, which needs quotes",
        _ => info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn lines(text: &str) -> Vec<String> {
        parse(text).mistakes.iter().map(ToString::to_string).collect()
    }

    fn outline(node: &Node) -> String {
        match &node.value {
            Value::Scalar(scalar) => format!("{}@{}", scalar.text, node.place),
            Value::Map(entries) => {
                let inner: Vec<_> = entries.iter().map(|e| format!("{}@{}={}", e.key, e.place, outline(&e.value))).collect();
                format!("{{{}}}", inner.join(", "))
            }
            Value::Seq(nodes) => format!("[{}]", nodes.iter().map(outline).collect::<Vec<_>>().join(", ")),
            Value::Broken => "broken".to_owned(),
        }
    }

    #[test]
    fn every_node_knows_its_line() {
        let parsed = parse("a: 1\nb:\n  - x\n  - {c: d}\n");
        assert!(parsed.mistakes.is_empty());
        assert_eq!(outline(&parsed.root), "{a@line 1=1@line 1, b@line 2=[x@line 3, {c@line 4=d@line 4}]}");
    }

    #[rstest]
    #[case("")]
    #[case("# only a comment\n")]
    #[case("---\n")]
    #[case("~")]
    fn an_empty_document_is_null(#[case] text: &str) {
        let parsed = parse(text);
        assert!(parsed.mistakes.is_empty() && parsed.root.is_null());
    }

    #[test]
    fn a_byte_order_mark_and_windows_lines_are_read() {
        let parsed = parse("\u{feff}a: 1\r\nb: 2\r\n");
        assert_eq!(outline(&parsed.root), "{a@line 1=1@line 1, b@line 2=2@line 2}");
    }

    #[rstest]
    #[case("a: 1\nb: 2\na: 3", "a (line 3): is given twice, first in line 1; keep one of them")]
    #[case("p:\n  - x: 1\n    x: 2", "p[0].x (line 3): is given twice, first in line 2; keep one of them")]
    #[case("a: &s 1", "a (line 1): has an anchor (`&name`), which is not read here; take it out, or quote the value")]
    #[case("a: !!int 1", "a (line 1): has a tag (`!name`), which is not read here; take it out, or quote the value")]
    #[case("? [a, b]\n: 1", "line 1: a key must be a single word")]
    #[case("a: 1\n---\nb: 2", "line 2: a second document begins here; only one is read, so take the `---` out")]
    #[case("a: 1\nb: 2\0\nc: 3", "line 2: is not valid YAML: it has a control character")]
    #[case("a: 1 # \u{1b}[31m", "line 1: is not valid YAML: it has a control character")]
    #[case("a: 1\nb: @x", "line 2: is not valid YAML: a value begins with a character that needs quotes")]
    fn what_is_beyond_plain_yaml_is_a_mistake(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(lines(text), [expected]);
    }

    #[test]
    fn an_alias_is_a_mistake_and_breaks_only_its_own_value() {
        let parsed = parse("a: &s 1\nb: *s\nc: 3");
        assert_eq!(parsed.mistakes.len(), 2);
        assert_eq!(outline(&parsed.root), "{a@line 1=1@line 1, b@line 2=broken, c@line 3=3@line 3}");
    }

    #[test]
    fn syntax_errors_name_the_line() {
        let found = lines("a: 1\nb: [1, 2\nc: 3\n");
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("line ") && found[0].contains("is not valid YAML"), "{found:?}");
    }

    #[test]
    fn deep_nesting_is_refused_without_recursing() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(lines(&nested(32)).is_empty());
        assert!(lines(&nested(34))[0].contains("nested more than 32 levels deep"));
        assert_eq!(lines(&nested(100_000)).len(), 1);
        assert_eq!(lines(&"- ".repeat(100_000)).len(), 1);
    }

    #[test]
    fn a_variables_mistakes_name_the_variable() {
        let parsed = parse_variable("[{a: 1, a: 2}]", "list", "VESTIBULE__LIST");
        let found: Vec<_> = parsed.mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["list[0].a (VESTIBULE__LIST): is given twice; keep one of them"]);
        let parsed = parse_variable("[{", "list", "VESTIBULE__LIST");
        assert!(parsed.mistakes[0].to_string().starts_with("list (VESTIBULE__LIST): is not valid YAML"));
    }

    #[test]
    fn debug_shows_no_value() {
        let parsed = parse("password: hunter2");
        assert!(!format!("{parsed:?}").contains("hunter2"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[-\\[\\]{}:,&*!|>'\"%@`#? \na-c~]{0,80}") {
            let _ = parse(&text);
        }
    }
}
