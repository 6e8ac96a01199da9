//! Reads JSON objects of other parties member by member, so that a member that is not needed fails nothing.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// A JSON object whose members are parsed when they are used. Of a repeated member the last one counts.
pub struct JsonObject(BTreeMap<String, Box<RawValue>>);

/// A document that contains no JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not a JSON object")]
pub struct NotAnObjectError;

/// The reason why a needed member cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MemberError {
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{member} is {found}, not {expected}")]
    WrongType { member: &'static str, found: &'static str, expected: &'static str },
}

impl JsonObject {
    /// Parses a document. A byte order mark is skipped, and bytes that are not UTF-8 only spoil the member that has them.
    pub fn parse(document: &[u8]) -> Result<Self, NotAnObjectError> {
        let text = String::from_utf8_lossy(document);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        serde_json::from_str(text).map(Self).map_err(|_| NotAnObjectError)
    }

    /// True if the member is present and not null.
    pub fn has(&self, member: &str) -> bool {
        self.raw(member).is_some()
    }

    /// Returns the member if it is a string.
    pub fn text(&self, member: &str) -> Option<String> {
        self.read(member)
    }

    pub fn required_text(&self, member: &'static str) -> Result<String, MemberError> {
        self.text(member).ok_or_else(|| self.error(member, "a string"))
    }

    /// Returns the member if it is an object.
    pub fn object(&self, member: &str) -> Option<Self> {
        self.read(member).map(Self)
    }

    /// Returns the number as it is written, if the member is one.
    pub fn number(&self, member: &str) -> Option<&str> {
        self.raw(member).map(RawValue::get).filter(|raw| type_name(raw) == "a number")
    }

    /// Returns the objects of a list. Other items are left out.
    pub fn required_objects(&self, member: &'static str) -> Result<Vec<Self>, MemberError> {
        let items: Vec<Box<RawValue>> = self.read(member).ok_or_else(|| self.error(member, "a list"))?;
        Ok(items.iter().filter_map(|item| serde_json::from_str(item.get()).ok()).map(Self).collect())
    }

    /// Returns the strings of a list. A string counts as a list of one.
    pub fn texts(&self, member: &str) -> Vec<String> {
        if let Some(one) = self.text(member) {
            return vec![one];
        }
        let items: Vec<Box<RawValue>> = self.read(member).unwrap_or_default();
        items.iter().filter_map(|item| serde_json::from_str(item.get()).ok()).collect()
    }

    /// True if the member is `true`.
    pub fn is_true(&self, member: &str) -> bool {
        self.read(member) == Some(true)
    }

    /// The reason why the member is not of the expected type.
    pub fn error(&self, member: &'static str, expected: &'static str) -> MemberError {
        match self.raw(member) {
            None => MemberError::Missing(member),
            Some(raw) => MemberError::WrongType { member, found: type_name(raw.get()), expected },
        }
    }

    fn raw(&self, member: &str) -> Option<&RawValue> {
        self.0.get(member).map(AsRef::as_ref).filter(|raw: &&RawValue| raw.get() != "null")
    }

    fn read<T: DeserializeOwned>(&self, member: &str) -> Option<T> {
        serde_json::from_str(self.raw(member)?.get()).ok()
    }
}

/// Returns the type of a JSON text by its first character.
fn type_name(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Any JSON for property tests, also what a typed parser refuses: numbers beyond all types, deep nesting, repeated members.
#[cfg(test)]
pub mod arbitrary {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// Returns the text of a JSON value.
    pub fn json_text() -> impl Strategy<Value = String> {
        let odd = prop::sample::select(vec![
            "1e999".to_owned(),
            "-0.000e-1".to_owned(),
            "18446744073709551616".to_owned(),
            r#""\ud800""#.to_owned(),
            r#"{"a": 1, "a": []}"#.to_owned(),
            format!("{}{}", "[".repeat(200), "]".repeat(200)),
        ]);
        prop_oneof![4 => value().prop_map(|value| value.to_string()), 1 => odd]
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,5}", inner, 0..3).prop_map(|map| json!(map)),
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn object(text: &str) -> JsonObject {
        JsonObject::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn members_are_read_by_their_type() {
        let read =
            object(r#"{"text": "a", "list": ["a", 1, "b"], "keys": [{"x": "y"}, 7], "yes": true, "none": null, "n": 1e999}"#);
        assert_eq!((read.text("text").as_deref(), read.text("list"), read.text("absent")), (Some("a"), None, None));
        assert_eq!(
            (read.texts("text"), read.texts("list"), read.texts("yes")),
            (vec!["a".into()], vec!["a".into(), "b".into()], vec![])
        );
        let keys = read.required_objects("keys").unwrap();
        assert_eq!(keys.iter().map(|key| key.text("x")).collect::<Vec<_>>(), [Some("y".to_owned())]);
        assert_eq!((read.is_true("yes"), read.is_true("text"), read.has("none"), read.has("n")), (true, false, false, true));
        assert_eq!((read.number("n"), read.number("text")), (Some("1e999"), None));
    }

    #[rstest]
    #[case(r#"{}"#, "m is missing")]
    #[case(r#"{"m": null}"#, "m is missing")]
    #[case(r#"{"m": 1.5}"#, "m is a number, not a string")]
    #[case(r#"{"m": false}"#, "m is a boolean, not a string")]
    #[case(r#"{"m": []}"#, "m is a list, not a string")]
    #[case(r#"{"m": {}}"#, "m is an object, not a string")]
    fn an_error_names_the_member_and_its_type(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(object(text).required_text("m").unwrap_err().to_string(), expected);
    }

    #[test]
    fn a_byte_order_mark_and_foreign_bytes_in_other_members_do_not_matter() {
        let document = b"\xef\xbb\xbf{\"name\": \"M\xfcller\", \"m\": \"a\"}";
        assert_eq!(JsonObject::parse(document).unwrap().text("m").as_deref(), Some("a"));
        for other in ["", "[]", "\"a\"", "<html>", "{\"a\": 1", "{} {}"] {
            assert_eq!(JsonObject::parse(other.as_bytes()).err(), Some(NotAnObjectError), "{other}");
        }
    }

    proptest! {
        #[test]
        fn another_member_never_matters(name in "[a-z]{2,6}", value in arbitrary::json_text()) {
            let read = object(&format!(r#"{{"{name}": {value}, "m": "a", "{name}x": {value}}}"#));
            prop_assert_eq!(read.required_text("m").unwrap(), "a");
        }
    }
}
