//! JSON documents of other parties, which are read member by member, so that a member that is not needed cannot cause a
//! failure.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{Object, Value, read_object};

/// A JSON object. A member that is null counts as absent.
pub struct JsonObject(Object);

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
    /// Parses a document. A byte order mark is skipped, and bytes that are not UTF-8 only affect the member that has them.
    pub fn parse(document: &[u8]) -> Result<Self, NotAnObjectError> {
        read_object(&String::from_utf8_lossy(document)).map(Self).map_err(|_| NotAnObjectError)
    }

    /// Like [`JsonObject::parse`], in one pass: lists and objects are read as empty ones. For documents of anonymous clients.
    pub fn parse_scalars(document: &[u8]) -> Result<Self, NotAnObjectError> {
        let members: BTreeMap<String, &RawValue> = serde_json::from_slice(document).map_err(|_| NotAnObjectError)?;
        let scalar = |raw: &RawValue| match raw.get().as_bytes().first() {
            Some(b'[') => Value::Array(Vec::new()),
            Some(b'{') => Value::Object(Object::new()),
            _ => Value::parse(raw.get(), 0),
        };
        Ok(Self(members.into_iter().map(|(name, raw)| (name, scalar(raw))).collect()))
    }

    /// True if the member is present and not null.
    pub fn has(&self, member: &str) -> bool {
        self.get(member).is_some()
    }

    /// Returns the member if it is a string.
    pub fn text(&self, member: &str) -> Option<String> {
        self.get(member).and_then(text)
    }

    pub fn required_text(&self, member: &'static str) -> Result<String, MemberError> {
        self.text(member).ok_or_else(|| self.error(member, "a string"))
    }

    /// Returns the member if it is an object.
    pub fn object(&self, member: &str) -> Option<Self> {
        self.get(member)?.as_object().cloned().map(Self)
    }

    /// Returns the number as it is written, if the member is one.
    pub fn number(&self, member: &str) -> Option<&str> {
        match self.get(member)? {
            Value::Number(number) => Some(number.as_str()),
            _ => None,
        }
    }

    /// Returns the objects of a list. Other items are left out.
    pub fn required_objects(&self, member: &'static str) -> Result<Vec<Self>, MemberError> {
        let items = self.get(member).and_then(Value::as_array).ok_or_else(|| self.error(member, "a list"))?;
        Ok(items.iter().filter_map(Value::as_object).cloned().map(Self).collect())
    }

    /// Returns the strings of a list. A string counts as a list of one.
    pub fn texts(&self, member: &str) -> Vec<String> {
        match self.get(member) {
            Some(Value::Array(items)) => items.iter().filter_map(text).collect(),
            other => other.and_then(text).into_iter().collect(),
        }
    }

    /// True if the member is `true`.
    pub fn is_true(&self, member: &str) -> bool {
        self.get(member) == Some(&Value::Bool(true))
    }

    /// The reason why the member is not of the expected type.
    pub fn error(&self, member: &'static str, expected: &'static str) -> MemberError {
        match self.get(member) {
            None => MemberError::Missing(member),
            Some(value) => MemberError::WrongType { member, found: value.type_name(), expected },
        }
    }

    fn get(&self, member: &str) -> Option<&Value> {
        self.0.get(member).filter(|value| !value.is_null())
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::{super::arbitrary_text, *};

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

    #[test]
    fn lists_and_objects_are_present_but_empty_if_only_scalars_are_read() {
        let read = JsonObject::parse_scalars(br#"{"alg": "ES256", "crit": ["b64"], "jwk": {"kty": "EC"}, "kid": null}"#).unwrap();
        assert_eq!((read.text("alg").as_deref(), read.texts("crit"), read.has("crit")), (Some("ES256"), vec![], true));
        assert_eq!((read.has("jwk"), read.has("kid"), read.text("jwk")), (true, false, None));
        assert_eq!(JsonObject::parse_scalars(b"[]").err(), Some(NotAnObjectError));
    }

    proptest! {
        #[test]
        fn another_member_never_matters(name in "[a-z]{2,6}", value in arbitrary_text()) {
            let read = object(&format!(r#"{{"{name}": {value}, "m": "a", "{name}x": {value}}}"#));
            prop_assert_eq!(read.required_text("m").unwrap(), "a");
        }
    }
}
