//! JSON values as they were sent: numbers keep their spelling and their length.
//!
//! `serde_json::Value` rounds numbers with more than 64 bits, and writes `1e2` as `100.0`. Its feature `arbitrary_precision`
//! would change how every other crate in the process reads numbers.

mod document;

pub use document::{JsonObject, MemberError, NotAnObjectError};

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error};
use serde_json::value::RawValue;

/// A value that serde cannot represent counts as null: a text that is not Unicode (`"\ud800"`), and lists and objects that are
/// nested more than [`MAX_DEPTH`] deep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Array(Vec<Value>),
    Object(Object),
}

/// The last member of a repeated name counts.
pub type Object = BTreeMap<String, Value>;

/// A number as it is written. Two spellings of one number differ: `1.50` is not `1.5`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number(Box<str>);

/// Records contain values within some levels of their own, and `serde_json` refuses more than 127 levels.
const MAX_DEPTH: usize = 100;

/// Parses an object. A byte order mark is skipped. Texts with bytes that are not UTF-8 count as null, since replacing the bytes
/// could turn two texts into the same one.
pub fn parse_object(document: &[u8]) -> Result<Object, serde_json::Error> {
    let text = String::from_utf8_lossy(document);
    let mut object = read_object(&text)?;
    if let Cow::Owned(_) = text {
        remove_replaced_texts(&mut object);
    }
    Ok(object)
}

/// Reads an object from a text that may begin with a byte order mark.
fn read_object(text: &str) -> Result<Object, serde_json::Error> {
    serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn remove_replaced_texts(object: &mut Object) {
    object.retain(|name, _| !name.contains(char::REPLACEMENT_CHARACTER));
    object.values_mut().for_each(Value::clear_replaced_texts);
}

impl Value {
    fn clear_replaced_texts(&mut self) {
        match self {
            Self::String(text) if text.contains(char::REPLACEMENT_CHARACTER) => *self = Self::Null,
            Self::Array(values) => values.iter_mut().for_each(Self::clear_replaced_texts),
            Self::Object(members) => remove_replaced_texts(members),
            _ => {}
        }
    }

    fn parse(text: &str, depth: usize) -> Self {
        match text.as_bytes().first() {
            Some(b'{' | b'[') if depth == MAX_DEPTH => Self::Null,
            Some(b'{') => Self::parse_object(text, depth).unwrap_or(Self::Null),
            Some(b'[') => Self::parse_array(text, depth).unwrap_or(Self::Null),
            Some(b'"') => serde_json::from_str(text).map_or(Self::Null, Self::String),
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'n') | None => Self::Null,
            Some(_) => Self::Number(Number(text.into())),
        }
    }

    fn parse_object(text: &str, depth: usize) -> Result<Self, serde_json::Error> {
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
        Ok(Self::Object(members.into_iter().map(|(name, value)| (name, Self::parse(value.get(), depth + 1))).collect()))
    }

    fn parse_array(text: &str, depth: usize) -> Result<Self, serde_json::Error> {
        let values: Vec<&RawValue> = serde_json::from_str(text)?;
        Ok(Self::Array(values.into_iter().map(|value| Self::parse(value.get(), depth + 1)).collect()))
    }

    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }

    pub fn is_string(&self) -> bool {
        matches!(self, Self::String(_))
    }

    pub fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(values) => Some(values),
            _ => None,
        }
    }

    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// Returns a member; `None` if it is absent or if the value is not an object.
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.as_object()?.get(name)
    }

    /// The name of the value's type, for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

impl Number {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the nearest floating-point number, which is infinite if the number is out of range.
    pub fn as_f64(&self) -> f64 {
        self.0.parse().expect("every number of JSON has Rust's syntax too")
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl<'a> FromIterator<&'a str> for Value {
    fn from_iter<I: IntoIterator<Item = &'a str>>(texts: I) -> Self {
        Self::Array(texts.into_iter().map(Self::from).collect())
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|raw| Self::parse(raw.get(), 0))
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(Number(text)) => {
                serde_json::from_str::<&RawValue>(text).map_err(S::Error::custom)?.serialize(serializer)
            }
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(values) => serializer.collect_seq(values),
            Self::Object(members) => serializer.collect_map(members),
        }
    }
}

/// Converts an object that a test has written with `json!`.
#[cfg(test)]
pub fn object(value: serde_json::Value) -> Object {
    serde_json::from_value(value).expect("an object")
}

/// Returns an object with some members replaced. Null removes a member.
#[cfg(test)]
pub fn with_members(mut object: serde_json::Value, changed: &serde_json::Value) -> serde_json::Value {
    let members = object.as_object_mut().expect("an object");
    for (name, value) in changed.as_object().expect("an object") {
        match value {
            serde_json::Value::Null => members.remove(name),
            value => members.insert(name.clone(), value.clone()),
        };
    }
    object
}

/// Any JSON, with numbers in unusual spellings.
#[cfg(test)]
pub fn arbitrary() -> impl proptest::strategy::Strategy<Value = Value> {
    use proptest::prelude::*;
    let number = "-?(0|[1-9][0-9]{0,30})([.][0-9]{1,20})?([eE][+-]?[0-9]{1,3})?";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number.prop_map(|text| Value::Number(Number(text.into()))),
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(Value::Object),
        ]
    })
}

/// The text of any JSON, also of what a typed parser refuses: numbers beyond all types, deep nesting, repeated members.
#[cfg(test)]
pub fn arbitrary_text() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let odd = prop::sample::select(vec![
        "1e999".to_owned(),
        "-0.000e-1".to_owned(),
        r#""\ud800""#.to_owned(),
        r#"{"a": 1, "a": []}"#.to_owned(),
        format!("{}{}", "[".repeat(200), "]".repeat(200)),
    ]);
    prop_oneof![4 => arbitrary().prop_map(|value| serde_json::to_string(&value).expect("a value is JSON")), 1 => odd]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn parse(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    fn rewritten(text: &str) -> String {
        serde_json::to_string(&parse(text)).unwrap()
    }

    #[rstest]
    #[case("1e2")]
    #[case("1E+2")]
    #[case("1.50")]
    #[case("-0")]
    #[case("-0.0")]
    #[case("1.0")]
    #[case("18446744073709551616")]
    #[case("116544810872468347481.000000000000000000001")]
    #[case("1e400")]
    #[case("-1E-400")]
    fn a_number_keeps_its_spelling(#[case] number: &str) {
        let Value::Number(read) = parse(number) else { panic!("{number} is not a number") };
        assert_eq!(read.to_string(), number);
        for text in [format!("[{number}]"), format!(r#"{{"a":{{"b":[{number}]}}}}"#)] {
            assert_eq!(rewritten(&text), text);
        }
    }

    #[test]
    fn a_number_out_of_range_is_infinite() {
        let number = |text: &str| Number(text.into()).as_f64();
        assert_eq!((number("1e400"), number("-1e400"), number("1E2")), (f64::INFINITY, f64::NEG_INFINITY, 100.0));
    }

    #[rstest]
    #[case::surrogate(r#"["\ud83d", "a"]"#, r#"[null,"a"]"#)]
    #[case::surrogate_in_a_name(r#"{"a": {"\ud83d": 1}, "b": 2}"#, r#"{"a":null,"b":2}"#)]
    #[case::repeated_name(r#"{"a": 1, "a": 2}"#, r#"{"a":2}"#)]
    #[case::escaped_name(r#"{"\u0061": "\u0062"}"#, r#"{"a":"b"}"#)]
    #[case::names_of_serde_json(
        r#"{"$serde_json::private::RawValue": "[1]", "a": {"$serde_json::private::Number": "1"}}"#,
        r#"{"$serde_json::private::RawValue":"[1]","a":{"$serde_json::private::Number":"1"}}"#
    )]
    fn unusual_values_are_read(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(rewritten(text), expected);
    }

    #[test]
    fn lists_that_are_nested_too_deep_count_as_null() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(rewritten(&nested(MAX_DEPTH)), nested(MAX_DEPTH));
        let deepest = format!("{}null{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        assert_eq!(rewritten(&nested(MAX_DEPTH + 1)), deepest);
        assert_eq!(rewritten(&nested(100_000)), deepest);
    }

    #[test]
    fn bytes_that_are_not_unicode_only_clear_their_own_text() {
        let read = |document: &[u8]| serde_json::to_string(&parse_object(document).unwrap()).unwrap();
        let document = b"\xef\xbb\xbf {\"a\": [\"M\xfcller\", \"b\"], \"\xff\": 1, \"c\": {\"d\": \"\xfe\", \"e\": 1e2}}";
        assert_eq!(read(document), r#"{"a":[null,"b"],"c":{"d":null,"e":1e2}}"#);
        assert_eq!(read(r#"{"a": "\ufffd"}"#.as_bytes()), "{\"a\":\"\u{fffd}\"}");
    }

    #[rstest]
    #[case("")]
    #[case("01")]
    #[case("1.")]
    #[case("[1,]")]
    #[case("{} {}")]
    #[case("NaN")]
    fn malformed_json_is_refused(#[case] text: &str) {
        assert!(serde_json::from_str::<Value>(text).is_err());
    }

    proptest! {
        #[test]
        fn written_and_read_again_a_value_is_the_same(value in arbitrary()) {
            let text = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(parse(&text), value);
        }
    }
}
