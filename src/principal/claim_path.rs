//! Parses paths to claims and reads the values at a path as text.

use std::borrow::Cow;
use std::fmt;

use super::Claims;
use crate::json::Value;

/// A dot path into nested claims: `resource_access.litellm.roles`. `[]` after a name selects each
/// entry of a list of objects: `groups[].name`. A step `*` selects each member of an object, and a
/// last step `{}` its keys. A backslash escapes a dot, a bracket, a brace, a star and itself:
/// `https://example\.com/roles`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimPath {
    first: Box<str>,
    further: Box<[ClaimStep]>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum ClaimStep {
    Field(Box<str>),
    /// `[]`: each entry of a list.
    Each,
    /// `*`: each member of an object.
    Members,
    /// `{}`: the keys of an object.
    Keys,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimPathError {
    #[error("is empty")]
    Empty,
    #[error("has an empty step between its dots; write a dot within a name as \\.")]
    EmptyStep,
    #[error("has a backslash that is not followed by a dot, a bracket, a brace, a star or a backslash")]
    Escape,
    #[error(
        "has a square bracket in the wrong place; write name[].field for each entry of a list, and a bracket within a name as \\[ \
         or \\]"
    )]
    Bracket,
    #[error("begins with * or {{}}; begin it with the name of a claim")]
    NoName,
    #[error("has a step after {{}}, which must be the last step; write * for each member of an object")]
    AfterKeys,
}

const MEMBERS: &str = "*";
const KEYS: &str = "{}";

impl ClaimPath {
    pub fn parse(text: &str) -> Result<Self, ClaimPathError> {
        if text.is_empty() {
            return Err(ClaimPathError::Empty);
        }
        let mut steps = Vec::new();
        let mut rest = text;
        loop {
            let (step, each, after) = split_step(rest)?;
            if step == ClaimStep::Keys && (each.is_some() || after.is_some()) {
                return Err(if steps.is_empty() { ClaimPathError::NoName } else { ClaimPathError::AfterKeys });
            }
            steps.push(step);
            steps.extend(each);
            match after {
                Some(after) => rest = after,
                None => break,
            }
        }
        // `values` reads the entries of a list in any case, so a final `[]` changes nothing.
        steps.pop_if(|last| *last == ClaimStep::Each);
        let mut steps = steps.into_iter();
        let Some(ClaimStep::Field(first)) = steps.next() else { return Err(ClaimPathError::NoName) };
        Ok(Self { first, further: steps.collect() })
    }

    /// Returns the claim's values as text. A string, number or boolean is one value; a list has one value per entry, and with
    /// a last `{}` an object has one per key. Empty strings, nulls, objects and nested lists are ignored.
    pub fn values<'a>(&self, claims: &'a Claims) -> Vec<Cow<'a, str>> {
        let mut found = Vec::new();
        if let Some(value) = claims.get(&*self.first) {
            collect(value, &self.further, &mut found);
        }
        found
    }

    /// Returns the claim's value as text; `None` if there is no value or more than one.
    pub fn single_value<'a>(&self, claims: &'a Claims) -> Option<Cow<'a, str>> {
        let mut values = self.values(claims);
        if values.len() == 1 { values.pop() } else { None }
    }

    /// Returns the JSON value at this path; `None` if it is absent or if the path can lead to several values.
    pub fn find<'a>(&self, claims: &'a Claims) -> Option<&'a Value> {
        self.further.iter().try_fold(claims.get(&*self.first)?, |value, step| match step {
            ClaimStep::Field(name) => value.get(name),
            ClaimStep::Each | ClaimStep::Members | ClaimStep::Keys => None,
        })
    }

    /// True if the path has `[]`, `*` or `{}` and so can lead to several values.
    pub fn is_plural(&self) -> bool {
        self.further.iter().any(|step| !matches!(step, ClaimStep::Field(_)))
    }

    /// True if the claims have anything but null at this path, even an object, an empty list or an empty key.
    pub fn is_in(&self, claims: &Claims) -> bool {
        claims.get(&*self.first).is_some_and(|value| is_present(value, &self.further))
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(f, &self.first)?;
        for step in &self.further {
            match step {
                ClaimStep::Each => f.write_str("[]")?,
                ClaimStep::Members => f.write_str(".*")?,
                ClaimStep::Keys => f.write_str(".{}")?,
                ClaimStep::Field(name) => {
                    f.write_str(".")?;
                    write_name(f, name)?;
                }
            }
        }
        Ok(())
    }
}

fn write_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    let is_step = matches!(name, MEMBERS | KEYS);
    for character in name.chars() {
        if is_step || matches!(character, '.' | '[' | ']' | '\\') {
            f.write_str("\\")?;
        }
        write!(f, "{character}")?;
    }
    Ok(())
}

fn collect<'a>(value: &'a Value, steps: &[ClaimStep], found: &mut Vec<Cow<'a, str>>) {
    match (steps, value) {
        ([], Value::Array(values)) => found.extend(values.iter().filter_map(text)),
        ([], single) => found.extend(text(single)),
        ([ClaimStep::Field(name), rest @ ..], value) => value.get(name).into_iter().for_each(|value| collect(value, rest, found)),
        ([ClaimStep::Each, rest @ ..], Value::Array(values)) => values.iter().for_each(|value| collect(value, rest, found)),
        ([ClaimStep::Members, rest @ ..], Value::Object(members)) => {
            members.values().for_each(|value| collect(value, rest, found))
        }
        ([ClaimStep::Keys, ..], Value::Object(members)) => {
            found.extend(members.keys().filter(|key| !key.is_empty()).map(|key| Cow::Borrowed(key.as_str())));
        }
        ([ClaimStep::Each | ClaimStep::Members | ClaimStep::Keys, ..], _) => {}
    }
}

fn is_present(value: &Value, steps: &[ClaimStep]) -> bool {
    match (steps, value) {
        ([], value) => !value.is_null(),
        ([ClaimStep::Field(name), rest @ ..], value) => value.get(name).is_some_and(|value| is_present(value, rest)),
        ([ClaimStep::Each, rest @ ..], Value::Array(values)) => values.iter().any(|value| is_present(value, rest)),
        ([ClaimStep::Members, rest @ ..], Value::Object(members)) => members.values().any(|value| is_present(value, rest)),
        ([ClaimStep::Keys, ..], Value::Object(members)) => !members.is_empty(),
        ([ClaimStep::Each | ClaimStep::Members | ClaimStep::Keys, ..], _) => false,
    }
}

/// A step, the `[]` after it, and the text after the following dot.
type StepSplit<'a> = (ClaimStep, Option<ClaimStep>, Option<&'a str>);

fn split_step(text: &str) -> Result<StepSplit<'_>, ClaimPathError> {
    let mut name = String::new();
    let mut is_escaped = false;
    let mut characters = text.chars();
    let (each, after) = loop {
        match characters.next() {
            None => break (None, None),
            Some('.') => break (None, Some(characters.as_str())),
            Some('[') => break (Some(ClaimStep::Each), parse_after_bracket(characters.as_str())?),
            Some(']') => return Err(ClaimPathError::Bracket),
            Some('\\') => {
                is_escaped = true;
                name.push(unescape(characters.next())?);
            }
            Some(other) => name.push(other),
        }
    };
    let step = match name.as_str() {
        "" => return Err(ClaimPathError::EmptyStep),
        MEMBERS if !is_escaped => ClaimStep::Members,
        KEYS if !is_escaped => ClaimStep::Keys,
        _ => ClaimStep::Field(name.into()),
    };
    Ok((step, each, after))
}

fn parse_after_bracket(text: &str) -> Result<Option<&str>, ClaimPathError> {
    match text.strip_prefix(']').ok_or(ClaimPathError::Bracket)? {
        "" => Ok(None),
        rest => rest.strip_prefix('.').map(Some).ok_or(ClaimPathError::Bracket),
    }
}

fn unescape(character: Option<char>) -> Result<char, ClaimPathError> {
    let can_be_escaped = |character: &char| matches!(character, '.' | '[' | ']' | '\\' | '*' | '{' | '}');
    character.filter(can_be_escaped).ok_or(ClaimPathError::Escape)
}

fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) if !text.is_empty() => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Borrowed(number.as_str())),
        Value::Bool(true) => Some(Cow::Borrowed("true")),
        Value::Bool(false) => Some(Cow::Borrowed("false")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims() -> Claims {
        crate::json::object(json!({
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
            "teams": [
                {"name": "red", "org": {"name": "o1"}, "labels": ["l1", "l2"], "members": [{"id": "m1"}, {"id": "m2"}]},
                {"name": "blue", "labels": "l3"},
                {"name": 3},
                "text",
                {"other": "name"},
            ],
            "single": {"name": "alone"},
            "back\\slash": "escaped",
            "urn:zitadel:iam:org:project:roles": {"admin": {"1": "a.example.com"}, "": {}, "user": null},
            "organization": {
                "acme": {"id": "o1", "groups": ["/a", "/b"], "tags": {"x": 1}},
                "empty": {},
                "globex": {"groups": "/c"},
                "text": "none",
            },
            "pairs": [{"k1": 1}, {"k2": [2]}, "text"],
            "odd": {"*": "star", "a*": "not a step", "{x}": "not a step either", "{}": "braces"},
            " ": "blank",
        }))
    }

    #[test]
    fn values_are_found_by_path() {
        let claims = claims();
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
            ("groups[]", &["a", "b", "7", "true"]),
            ("groups[].name", &["x"]),
            ("teams[].name", &["red", "blue", "3"]),
            ("teams[].org.name", &["o1"]),
            ("teams[].labels", &["l1", "l2", "l3"]),
            ("teams[].members[].id", &["m1", "m2"]),
            ("teams.name", &[]),
            ("urn:zitadel:iam:org:project:roles.{}", &["admin", "user"]),
            ("urn:zitadel:iam:org:project:roles.*.{}", &["1"]),
            ("organization.{}", &["acme", "empty", "globex", "text"]),
            ("organization.*.groups[]", &["/a", "/b", "/c"]),
            ("organization.*.groups", &["/a", "/b", "/c"]),
            ("organization.*", &["none"]),
            ("organization.*.tags.{}", &["x"]),
            ("organization.acme.groups.{}", &[]),
            ("pairs[].{}", &["k1", "k2"]),
            ("pairs[].*", &["1", "2"]),
            ("pairs.{}", &[]),
            ("groups.{}", &[]),
            ("groups.*", &[]),
            ("role.{}", &[]),
            (r"odd.\*", &["star"]),
            (r"odd.\{\}", &["braces"]),
            ("odd.a*", &["not a step"]),
            ("odd.{x}", &["not a step either"]),
            ("single[].name", &[]),
            ("role[].name", &[]),
        ];
        for (path, expected) in table {
            let text = path;
            let path = ClaimPath::parse(path).unwrap();
            assert_eq!(path.to_string(), text.strip_suffix("[]").unwrap_or(text));
            assert_eq!(path.values(&claims), *expected, "{path:?}");
        }
    }

    #[test]
    fn an_invalid_path_is_rejected_with_its_cause() {
        let table = [
            ("", ClaimPathError::Empty),
            (".", ClaimPathError::EmptyStep),
            ("a.", ClaimPathError::EmptyStep),
            (".a", ClaimPathError::EmptyStep),
            ("a..b", ClaimPathError::EmptyStep),
            ("a\\", ClaimPathError::Escape),
            (r"a\b", ClaimPathError::Escape),
            ("groups[0]", ClaimPathError::Bracket),
            ("groups[", ClaimPathError::Bracket),
            ("groups]", ClaimPathError::Bracket),
            ("groups[]name", ClaimPathError::Bracket),
            ("groups[][].name", ClaimPathError::Bracket),
            ("[].name", ClaimPathError::EmptyStep),
            ("groups[].", ClaimPathError::EmptyStep),
            ("*", ClaimPathError::NoName),
            ("*.a", ClaimPathError::NoName),
            ("*[].a", ClaimPathError::NoName),
            ("{}", ClaimPathError::NoName),
            ("{}.a", ClaimPathError::NoName),
            ("a.{}.b", ClaimPathError::AfterKeys),
            ("a.{}[]", ClaimPathError::AfterKeys),
            (r"a.\x", ClaimPathError::Escape),
        ];
        for (path, expected) in table {
            assert_eq!(ClaimPath::parse(path), Err(expected), "{path}");
        }
    }
}
