//! Where a claim stands among the claims of a source, and its values as text.

use std::borrow::Cow;
use std::slice;

use serde_json::Value;

use crate::principal::Claims;

/// A dot path into nested claims: `resource_access.litellm.roles`. A backslash takes the meaning
/// from a dot, a square bracket and itself: `https://example\.com/roles`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath {
    first: Box<str>,
    nested: Box<[Box<str>]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimPathError {
    #[error("is empty")]
    Empty,
    #[error("has an empty step between its dots; a dot that belongs to a name is written \\.")]
    EmptyStep,
    #[error("has a backslash that is not followed by a dot, a square bracket or a backslash")]
    Escape,
    #[error("has a square bracket, which is kept for lists; one that belongs to a name is written \\[ or \\]")]
    Bracket,
}

impl ClaimPath {
    pub fn parse(text: &str) -> Result<Self, ClaimPathError> {
        if text.is_empty() {
            return Err(ClaimPathError::Empty);
        }
        let mut steps = vec![String::new()];
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let literal = match character {
                '.' => {
                    steps.push(String::new());
                    continue;
                }
                '[' | ']' => return Err(ClaimPathError::Bracket),
                '\\' => escaped(characters.next())?,
                other => other,
            };
            steps.last_mut().expect("there is always a step").push(literal);
        }
        if steps.iter().any(String::is_empty) {
            return Err(ClaimPathError::EmptyStep);
        }
        let mut steps = steps.into_iter().map(Box::from);
        Ok(Self { first: steps.next().expect("there is always a step"), nested: steps.collect() })
    }

    /// The claim's values as text: a text, number or boolean is one value, a list is each of its
    /// own. Empty texts, nulls, objects and lists within lists are no values.
    pub fn values<'a>(&self, claims: &'a Claims) -> impl Iterator<Item = Cow<'a, str>> {
        let values = match self.find(claims) {
            None => &[],
            Some(Value::Array(values)) => values.as_slice(),
            Some(single) => slice::from_ref(single),
        };
        values.iter().filter_map(text)
    }

    fn find<'a>(&self, claims: &'a Claims) -> Option<&'a Value> {
        self.nested.iter().try_fold(claims.get(&*self.first)?, |value, step| value.get(&**step))
    }
}

fn escaped(character: Option<char>) -> Result<char, ClaimPathError> {
    character.filter(|character| matches!(character, '.' | '[' | ']' | '\\')).ok_or(ClaimPathError::Escape)
}

fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) if !text.is_empty() => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(true) => Some(Cow::Borrowed("true")),
        Value::Bool(false) => Some(Cow::Borrowed("false")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_found_by_path() {
        let claims = json!({
            "role": "admin",
            "groups": ["a", "b", 7, true, null, "", {"name": "x"}, ["nested"]],
            "level": 3,
            "share": 1.5,
            "staff": false,
            "nothing": null,
            "empty": "",
            "none": [],
            "resource_access": {"litellm": {"roles": ["r1", "r2"]}},
            "https://example.com/roles": "namespaced",
            "a": {"b.c": {"d": "dotted"}},
            "a.b": "flat",
            "list[0]": "bracketed",
            "back\\slash": "escaped",
            " ": "blank",
        });
        let table: &[(&str, &[&str])] = &[
            ("role", &["admin"]),
            ("groups", &["a", "b", "7", "true"]),
            ("level", &["3"]),
            ("share", &["1.5"]),
            ("staff", &["false"]),
            ("nothing", &[]),
            ("empty", &[]),
            ("none", &[]),
            ("absent", &[]),
            ("resource_access.litellm.roles", &["r1", "r2"]),
            ("resource_access.litellm", &[]),
            ("resource_access.litellm.roles.r1", &[]),
            ("resource_access.other.roles", &[]),
            ("groups.0", &[]),
            ("role.x", &[]),
            (r"https://example\.com/roles", &["namespaced"]),
            ("https://example.com/roles", &[]),
            (r"a.b\.c.d", &["dotted"]),
            (r"a\.b", &["flat"]),
            ("a.b", &[]),
            (r"list\[0\]", &["bracketed"]),
            (r"back\\slash", &["escaped"]),
            (" ", &["blank"]),
            ("Role", &[]),
        ];
        for (path, expected) in table {
            let path = ClaimPath::parse(path).unwrap();
            let found: Vec<_> = path.values(claims.as_object().unwrap()).collect();
            assert_eq!(found, *expected, "{path:?}");
        }
    }

    #[test]
    fn a_bad_path_is_named() {
        let table = [
            ("", ClaimPathError::Empty),
            (".", ClaimPathError::EmptyStep),
            ("a.", ClaimPathError::EmptyStep),
            (".a", ClaimPathError::EmptyStep),
            ("a..b", ClaimPathError::EmptyStep),
            ("a\\", ClaimPathError::Escape),
            (r"a\b", ClaimPathError::Escape),
            ("groups[].name", ClaimPathError::Bracket),
            ("groups[0]", ClaimPathError::Bracket),
        ];
        for (path, expected) in table {
            assert_eq!(ClaimPath::parse(path), Err(expected), "{path}");
        }
    }
}
