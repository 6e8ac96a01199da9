//! The fields of a JSON body or of a query. A handler takes them one by one, and a field that remains is an error.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use url::form_urlencoded;

use crate::{
    api_keys::KeyDuration,
    json::{self, Value},
};

/// The fields that were not taken yet.
#[derive(Default)]
pub(in crate::http) struct Fields(json::Object);

/// An invalid field. Its name is one of the API's, or has a limited length and alphabet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    #[error("there is no field {0}")]
    Unknown(String),
    #[error("{0} {1}")]
    Value(&'static str, &'static str),
}

/// Errors repeat only texts that look like a field name. Another text may be a misplaced value, even a secret.
fn is_field_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphabetic() || b"_-".contains(&byte))
}

/// A JSON object with unique names. Parsers differ in the value of a repeated name (RFC 8259, section 4).
struct UniqueObject(json::Object);

impl<'de> Deserialize<'de> for UniqueObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct UniqueFieldsVisitor;
        impl<'de> Visitor<'de> for UniqueFieldsVisitor {
            type Value = UniqueObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueObject, A::Error> {
                let mut fields = json::Object::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if fields.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name is repeated"));
                    }
                }
                Ok(UniqueObject(fields))
            }
        }
        deserializer.deserialize_map(UniqueFieldsVisitor)
    }
}

/// No field of the API has a longer name.
const LONGEST_NAME: usize = 32;

impl Fields {
    /// Returns `None` if the body is not a JSON object.
    pub(in crate::http) fn parse(body: &[u8]) -> Option<Self> {
        let UniqueObject(fields) = serde_json::from_slice(body).ok()?;
        Some(Self(fields))
    }

    /// Parses a query. Returns `None` if a parameter is repeated.
    pub(in crate::http) fn parse_query(query: &str) -> Option<Self> {
        let mut fields = json::Object::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if fields.insert(name.into_owned(), Value::String(value.into_owned())).is_some() {
                return None;
            }
        }
        Some(Self(fields))
    }

    /// Takes a string. `null` counts as absent.
    pub(in crate::http) fn text(&mut self, name: &'static str) -> Result<Option<String>, FieldError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(FieldError::Value(name, "must be a string")),
        }
    }

    pub(in crate::http) fn object(&mut self, name: &'static str) -> Result<Option<json::Object>, FieldError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(FieldError::Value(name, "must be an object")),
        }
    }

    /// Takes a string and parses it. The parser's error completes a sentence that begins with the field's name.
    pub(in crate::http) fn parse_field<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, &'static str>,
    ) -> Result<Option<T>, FieldError> {
        let text = self.text(name)?;
        text.map(|text| parse(&text).map_err(|wrong| FieldError::Value(name, wrong))).transpose()
    }

    pub(in crate::http) fn flag(&mut self, name: &'static str) -> Result<bool, FieldError> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(FieldError::Value(name, "must be true or false")),
        }
    }

    /// Takes a list of strings and parses them.
    pub(in crate::http) fn list<T>(
        &mut self,
        name: &'static str,
        longest: usize,
        parse: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Result<Option<Vec<T>>, FieldError> {
        let wrong = |wrong: &'static str| FieldError::Value(name, wrong);
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(values)) if values.len() <= longest => {
                let texts = values.iter().map(|value| value.as_str().ok_or("must be a list of strings"));
                texts.map(|text| text.and_then(&parse).map_err(wrong)).collect::<Result<_, _>>().map(Some)
            }
            Some(Value::Array(_)) => Err(wrong("has too many entries")),
            Some(_) => Err(wrong("must be a list of strings")),
        }
    }

    /// Takes a list that is absent or has entries. An empty list could be understood as none or as all.
    pub(in crate::http) fn non_empty_list<T>(
        &mut self,
        name: &'static str,
        longest: usize,
        parse: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Result<Option<Vec<T>>, FieldError> {
        match self.list(name, longest, parse)? {
            Some(list) if list.is_empty() => Err(FieldError::Value(name, "must not be empty; leave it out for all")),
            list => Ok(list),
        }
    }

    /// Returns an error if a field was not taken.
    pub(in crate::http) fn finish(self) -> Result<(), FieldError> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((name, _)) if is_field_name(&name) => Err(FieldError::Unknown(name)),
            Some(_) => Err(FieldError::Unknown("of that name".to_owned())),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }
}

/// Takes a required string.
pub(in crate::http) fn required_text(fields: &mut Fields, name: &'static str) -> Result<String, FieldError> {
    fields.text(name)?.ok_or(FieldError::Value(name, "is required"))
}

/// Parses a duration, in the format of all calls.
pub(in crate::http) fn parse_duration(text: &str) -> Result<KeyDuration, &'static str> {
    KeyDuration::parse(text).map_err(|_| "must be a whole number and a unit, such as 30s, 30m, 30h, 30d, 2w or 1mo")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        Fields::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn fields_are_taken_by_their_type() {
        let mut all = fields(r#"{"a": "x", "b": true, "c": ["1", "2"], "d": null}"#);
        assert_eq!(all.text("a"), Ok(Some("x".to_owned())));
        assert_eq!(all.flag("b"), Ok(true));
        let number = |text: &str| text.parse::<u8>().map_err(|_| "must be numbers");
        assert_eq!(all.list("c", 2, number), Ok(Some(vec![1, 2])));
        assert_eq!((all.text("d"), all.text("e"), all.flag("f")), (Ok(None), Ok(None), Ok(false)));
        assert_eq!(all.finish(), Ok(()));
    }

    #[test]
    fn the_numbers_of_an_object_keep_their_spelling() {
        let claims = fields(r#"{"claims": {"level": [1.50, 1e2, 18446744073709551616]}}"#).object("claims").unwrap().unwrap();
        assert_eq!(serde_json::to_string(&claims).unwrap(), r#"{"level":[1.50,1e2,18446744073709551616]}"#);
    }

    #[test]
    fn a_wrong_type_is_named_and_not_repeated() {
        let mut all = fields(r#"{"a": 1, "b": "yes", "c": "x", "d": [1], "e": ["1", "2", "3"], "f": ["x"], "g": "x"}"#);
        let list = |all: &mut Fields, name| all.list(name, 2, |_| Err::<(), _>("is wrong"));
        assert_eq!(all.text("a").unwrap_err().to_string(), "a must be a string");
        assert_eq!(all.flag("b").unwrap_err().to_string(), "b must be true or false");
        assert_eq!(list(&mut all, "c").unwrap_err().to_string(), "c must be a list of strings");
        assert_eq!(list(&mut all, "d").unwrap_err().to_string(), "d must be a list of strings");
        assert_eq!(list(&mut all, "e").unwrap_err().to_string(), "e has too many entries");
        assert_eq!(list(&mut all, "f").unwrap_err().to_string(), "f is wrong");
        assert_eq!(all.parse_field("g", |_| Err::<(), _>("is wrong")).unwrap_err().to_string(), "g is wrong");
    }

    #[test]
    fn an_empty_list_is_refused() {
        let parse = |text| fields(text).non_empty_list("a", 2, |text| Ok(text.to_owned()));
        assert_eq!(parse(r#"{"a": []}"#).unwrap_err().to_string(), "a must not be empty; leave it out for all");
        assert_eq!((parse("{}"), parse(r#"{"a": ["x"]}"#)), (Ok(None), Ok(Some(vec!["x".to_owned()]))));
    }

    #[test]
    fn an_unknown_field_is_repeated_only_if_it_looks_like_a_name() {
        for name in ["typo", "key_Alias", "dry-run", &"x".repeat(LONGEST_NAME)] {
            let wrong = fields(&format!(r#"{{"{name}": 1}}"#)).finish().unwrap_err();
            assert_eq!(wrong.to_string(), format!("there is no field {name}"));
        }
        for name in ["sk-Zm9v0", "a b", "", "\u{e9}", &"x".repeat(LONGEST_NAME + 1)] {
            let wrong = fields(&format!(r#"{{"{name}": 1}}"#)).finish().unwrap_err();
            assert_eq!(wrong.to_string(), "there is no field of that name", "{name}");
        }
    }

    #[test]
    fn a_query_has_each_parameter_once() {
        let mut query = Fields::parse_query("limit=5&after=a%20b").unwrap();
        assert_eq!((query.text("limit"), query.text("after")), (Ok(Some("5".into())), Ok(Some("a b".into()))));
        assert!(Fields::parse_query("a=1&a=2").is_none());
    }

    #[test]
    fn only_an_object_has_fields() {
        for text in ["", "[]", "1", "{", "\"x\"", "{} {}", r#"{"a": 1, "a": 1}"#] {
            assert!(Fields::parse(text.as_bytes()).is_none(), "{text}");
        }
    }
}
