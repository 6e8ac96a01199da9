//! Writes YAML documents in block style, with quotes around every text that a reader could take for something else.

use super::tree::is_printable;

/// A value of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum YamlValue {
    Bool(bool),
    Number(i64),
    Text(String),
    List(Vec<YamlValue>),
    Map(Map),
}

/// Fields in the order in which they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    comment: Option<String>,
    key: String,
    value: YamlValue,
}

impl Map {
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<YamlValue>) -> Self {
        self.set(key, value);
        self
    }

    /// Adds the field if there is a value.
    #[must_use]
    pub fn with_some(mut self, key: &str, value: Option<impl Into<YamlValue>>) -> Self {
        self.set_some(key, value);
        self
    }

    /// Adds a field with a comment above it.
    #[must_use]
    pub fn with_comment(mut self, comment: impl Into<String>, key: &str, value: impl Into<YamlValue>) -> Self {
        self.0.push(Entry { comment: Some(comment.into()), key: key.to_owned(), value: value.into() });
        self
    }

    pub fn set(&mut self, key: impl Into<String>, value: impl Into<YamlValue>) {
        self.0.push(Entry { comment: None, key: key.into(), value: value.into() });
    }

    /// Adds the field if there is a value.
    pub fn set_some(&mut self, key: &str, value: Option<impl Into<YamlValue>>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, key: &str) -> Option<&YamlValue> {
        self.0.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Returns the text of a document.
    pub fn document(&self) -> String {
        let lines = if self.0.is_empty() { vec!["{}".to_owned()] } else { lines_of_map(self) };
        lines.iter().fold(String::new(), |text, line| text + line + "\n")
    }
}

impl YamlValue {
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value in one line, if it has such a form.
    fn inline(&self) -> Option<String> {
        match self {
            Self::Bool(value) => Some(value.to_string()),
            Self::Number(value) => Some(value.to_string()),
            Self::Text(text) if is_literal(text) => None,
            Self::Text(text) => Some(scalar(text)),
            Self::List(values) => values.is_empty().then(|| "[]".to_owned()),
            Self::Map(map) => map.is_empty().then(|| "{}".to_owned()),
        }
    }

    fn lines(&self) -> Vec<String> {
        match self {
            Self::List(values) => values.iter().flat_map(lines_of_element).collect(),
            Self::Map(map) => lines_of_map(map),
            Self::Text(text) => text.lines().map(str::to_owned).collect(),
            Self::Bool(_) | Self::Number(_) => self.inline().into_iter().collect(),
        }
    }
}

/// Returns the lines of a comment. Characters that are not printable are escaped, so that a comment cannot end early.
pub fn comment(text: &str) -> String {
    let line = |line: &str| {
        let line: String = line.chars().flat_map(|c| if is_safe(c) { vec![c] } else { c.escape_default().collect() }).collect();
        format!("# {line}").trim_end().to_owned() + "\n"
    };
    text.split('\n').map(line).collect()
}

fn lines_of_map(map: &Map) -> Vec<String> {
    let mut lines = Vec::new();
    for Entry { comment: text, key, value } in &map.0 {
        lines.extend(text.iter().flat_map(|text| comment(text).lines().map(str::to_owned).collect::<Vec<_>>()));
        let key = scalar(key);
        match value.inline() {
            Some(inline) => lines.push(format!("{key}: {inline}")),
            None => {
                lines.push(if matches!(value, YamlValue::Text(_)) { format!("{key}: |") } else { format!("{key}:") });
                lines.extend(value.lines().iter().map(|line| indent(line)));
            }
        }
    }
    lines
}

fn lines_of_element(value: &YamlValue) -> Vec<String> {
    if let Some(inline) = value.inline() {
        return vec![format!("- {inline}")];
    }
    let lines = value.lines();
    if matches!(value, YamlValue::Text(_)) {
        return std::iter::once("- |".to_owned()).chain(lines.iter().map(|line| indent(line))).collect();
    }
    let first = |(index, line): (usize, &String)| if index == 0 { format!("- {line}") } else { indent(line) };
    lines.iter().enumerate().map(first).collect()
}

fn indent(line: &str) -> String {
    if line.is_empty() { String::new() } else { format!("  {line}") }
}

/// True for a text of several lines that a block scalar represents unchanged.
fn is_literal(text: &str) -> bool {
    let has_one_newline_at_end = text.ends_with('\n') && !text.ends_with("\n\n");
    let begins_with_character = !text.starts_with([' ', '\t', '\n']);
    has_one_newline_at_end && begins_with_character && text.lines().count() > 1 && text.chars().all(|c| c == '\n' || is_safe(c))
}

fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// Words that a reader of YAML 1.1 or 1.2 takes for other values.
const RESERVED: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

fn is_plain(text: &str) -> bool {
    let begins_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let has_only_safe = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:".contains(&byte));
    begins_well && has_only_safe && !text.ends_with(':') && RESERVED.iter().all(|word| !word.eq_ignore_ascii_case(text))
}

fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            safe if is_safe(safe) => out.push(safe),
            other => out.push_str(&format!("\\U{:08x}", u32::from(other))),
        }
    }
    out.push('"');
    out
}

/// True for characters that need no escape. Others are not printable, or end a line, or reorder it in a terminal.
fn is_safe(character: char) -> bool {
    let is_special =
        matches!(character, '\u{85}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    is_printable(character) && !is_special && !character.is_control()
}

impl From<bool> for YamlValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u16> for YamlValue {
    fn from(value: u16) -> Self {
        Self::Number(value.into())
    }
}

impl From<i64> for YamlValue {
    fn from(value: i64) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for YamlValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for YamlValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Map> for YamlValue {
    fn from(map: Map) -> Self {
        Self::Map(map)
    }
}

impl<T: Into<YamlValue>> From<Vec<T>> for YamlValue {
    fn from(values: Vec<T>) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<YamlValue>> FromIterator<T> for YamlValue {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::yaml::{Subset, json::to_json, parse};

    fn as_json(value: &YamlValue) -> serde_json::Value {
        match value {
            YamlValue::Bool(value) => json!(value),
            YamlValue::Number(value) => json!(value),
            YamlValue::Text(text) => json!(text),
            YamlValue::List(values) => values.iter().map(as_json).collect(),
            YamlValue::Map(map) => map.0.iter().map(|entry| (entry.key.clone(), as_json(&entry.value))).collect(),
        }
    }

    #[test]
    fn a_document_is_written_in_block_style() {
        let inner = Map::new().with("name", "a").with("port", 80_u16);
        let map = Map::new()
            .with("kind", "x")
            .with_comment("two\nlines", "list", vec![YamlValue::from(inner), YamlValue::from("yes"), YamlValue::from("1")])
            .with("text", "a: 1\n\n  b\n")
            .with("empty", Map::new());
        let expected = "kind: x\n# two\n# lines\nlist:\n  - name: a\n    port: 80\n  - \"yes\"\n  - \"1\"\n\
                        text: |\n  a: 1\n\n    b\nempty: {}\n";
        assert_eq!(map.document(), expected);
    }

    #[test]
    fn a_comment_cannot_end_early() {
        assert_eq!(comment("a\nkind: x\r\u{2028}y\u{85}"), "# a\n# kind: x\\r\\u{2028}y\\u{85}\n");
    }

    fn values() -> impl Strategy<Value = YamlValue> {
        let text = prop_oneof![any::<String>(), "[ -~\n\t]{0,20}", "(true|~|1e3|0x1|- a|a: b|#|<<|'|\"|\\||: |\n \n)"];
        let leaf = prop_oneof![
            any::<bool>().prop_map(YamlValue::Bool),
            any::<i64>().prop_map(YamlValue::Number),
            text.prop_map(YamlValue::Text)
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            let pairs = prop::collection::btree_map(any::<String>(), inner.clone(), 0..5);
            let map = pairs
                .prop_map(|pairs| YamlValue::Map(pairs.into_iter().fold(Map::new(), |map, (key, value)| map.with(key, value))));
            prop_oneof![prop::collection::vec(inner, 0..5).prop_map(YamlValue::List), map]
        })
    }

    proptest! {
        #[test]
        fn two_readers_read_what_was_written(value in values(), text in any::<String>()) {
            let document = comment(&text) + &Map::new().with("v", value.clone()).document();
            let expected = json!({"v": as_json(&value)});
            let parsed = parse(&document, Subset::Plain);
            prop_assert!(parsed.mistakes.is_empty(), "{document}\n{:?}", parsed.mistakes);
            prop_assert_eq!(to_json(&parsed.root), expected.clone(), "{}", &document);
            let other: serde_json::Value = serde_saphyr::from_str(&document).map_err(|error| TestCaseError::fail(format!("{document}\n{error}")))?;
            prop_assert_eq!(other, expected, "{}", document);
        }
    }
}
