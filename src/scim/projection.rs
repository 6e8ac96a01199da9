//! Selects the attributes of an answer (`attributes` and `excludedAttributes`; RFC 7644, section 3.9).

use serde_json::{Map, Value};

use super::path::AttributePath;

/// Attributes of every answer (RFC 7643, section 7: "returned": "always").
const ALWAYS: [&str; 2] = ["id", "schemas"];

/// The attributes that a client requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Projection {
    #[default]
    All,
    Only(Vec<AttributePath>),
    Except(Vec<AttributePath>),
}

impl Projection {
    /// Parses the two parameters, which exclude each other; `attributes` counts. Names that no attribute can have are ignored.
    pub fn parse(attributes: Option<&str>, excluded: Option<&str>) -> Self {
        let parse = |text: &str| text.split(',').filter_map(|name| AttributePath::parse(name.trim())).collect();
        let given = |text: &&str| !text.trim().is_empty();
        match (attributes.filter(given), excluded.filter(given)) {
            (Some(attributes), _) => Self::Only(parse(attributes)),
            (None, Some(excluded)) => Self::Except(parse(excluded)),
            (None, None) => Self::All,
        }
    }

    /// True if the answer contains this core attribute.
    pub fn includes(&self, attribute: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(paths) => paths.iter().any(|path| path.is(attribute)),
            Self::Except(paths) => !paths.iter().any(|path| path.is(attribute) && path.sub.is_none()),
        }
    }

    pub fn apply(&self, resource: Map<String, Value>) -> Map<String, Value> {
        match self {
            Self::All => resource,
            Self::Only(paths) => only(resource, paths),
            Self::Except(paths) => except(resource, paths),
        }
    }
}

fn only(resource: Map<String, Value>, paths: &[AttributePath]) -> Map<String, Value> {
    let select = |(name, value): (String, Value)| {
        if ALWAYS.contains(&name.as_str()) {
            return Some((name, value));
        }
        let selected: Vec<_> = paths.iter().filter(|path| names_member(path, &name)).collect();
        let whole = selected.iter().any(|path| path.schema.is_none() && path.sub.is_none());
        let parts: Vec<&str> = selected.iter().filter_map(|path| part(path)).collect();
        match (selected.is_empty(), whole) {
            (true, _) => None,
            (false, true) => Some((name, value)),
            (false, false) => {
                Some((name, keep_members(value, |member| parts.iter().any(|part| part.eq_ignore_ascii_case(member)))))
            }
        }
    };
    resource.into_iter().filter_map(select).collect()
}

fn except(resource: Map<String, Value>, paths: &[AttributePath]) -> Map<String, Value> {
    let select = |(name, value): (String, Value)| {
        if ALWAYS.contains(&name.as_str()) {
            return Some((name, value));
        }
        let selected: Vec<_> = paths.iter().filter(|path| names_member(path, &name)).collect();
        if selected.iter().any(|path| path.schema.is_none() && path.sub.is_none()) {
            return None;
        }
        let parts: Vec<&str> = selected.iter().filter_map(|path| part(path)).collect();
        Some((name, keep_members(value, |member| !parts.iter().any(|part| part.eq_ignore_ascii_case(member)))))
    };
    resource.into_iter().filter_map(select).collect()
}

/// True if the path is this member of a resource, or within it.
fn names_member(path: &AttributePath, name: &str) -> bool {
    path.schema.as_deref().unwrap_or(&path.attribute).eq_ignore_ascii_case(name)
}

/// The name within the member: an attribute of an extension, or a sub-attribute.
fn part(path: &AttributePath) -> Option<&str> {
    if path.schema.is_some() { Some(&path.attribute) } else { path.sub.as_deref() }
}

/// Keeps some members of an object, or of each object of a list.
fn keep_members(value: Value, is_kept: impl Fn(&str) -> bool + Copy) -> Value {
    match value {
        Value::Object(members) => Value::Object(members.into_iter().filter(|(name, _)| is_kept(name)).collect()),
        Value::Array(values) => values.into_iter().map(|value| keep_members(value, is_kept)).collect(),
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case(None, None, json!({"schemas": ["s"], "id": "1", "name": {"givenName": "a", "familyName": "b"}, "members": [{"value": "x", "type": "User"}], "urn:x:2.0:User": {"a": 1, "b": 2}}))]
    #[case(Some("name.givenName"), None, json!({"schemas": ["s"], "id": "1", "name": {"givenName": "a"}}))]
    #[case(Some("NAME,members.value"), None, json!({"schemas": ["s"], "id": "1", "name": {"givenName": "a", "familyName": "b"}, "members": [{"value": "x"}]}))]
    #[case(Some("urn:x:2.0:User:a"), None, json!({"schemas": ["s"], "id": "1", "urn:x:2.0:User": {"a": 1}}))]
    #[case(Some("unknown"), None, json!({"schemas": ["s"], "id": "1"}))]
    #[case(None, Some("members, id, urn:x:2.0:User"), json!({"schemas": ["s"], "id": "1", "name": {"givenName": "a", "familyName": "b"}}))]
    #[case(None, Some("name.familyName,members,urn:x:2.0:User:b"), json!({"schemas": ["s"], "id": "1", "name": {"givenName": "a"}, "urn:x:2.0:User": {"a": 1}}))]
    fn the_requested_attributes_are_returned(#[case] only: Option<&str>, #[case] except: Option<&str>, #[case] expected: Value) {
        let resource = json!({"schemas": ["s"], "id": "1", "name": {"givenName": "a", "familyName": "b"}, "members": [{"value": "x", "type": "User"}], "urn:x:2.0:User": {"a": 1, "b": 2}});
        let projected = Projection::parse(only, except).apply(resource.as_object().unwrap().clone());
        assert_eq!(Value::Object(projected), expected);
    }

    #[test]
    fn members_are_only_read_if_they_are_returned() {
        assert!(Projection::All.includes("members"));
        assert!(!Projection::parse(None, Some("members")).includes("members"));
        assert!(!Projection::parse(Some("displayName"), None).includes("members"));
        assert!(Projection::parse(Some("members.value"), Some("members")).includes("members"));
    }
}
