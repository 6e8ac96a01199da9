//! Converts users between the JSON of SCIM and their records.

use serde_json::{Map, Value, json};

use super::{USER_SCHEMA, attributes, error::ScimError, patch::READ_ONLY};
use crate::users::{OtherAttributes, ProvisionedAttributes, ProvisionedUser};

/// The maximum size of the attributes that are only kept, in bytes of JSON.
const MAX_OTHER: usize = 16 << 10;

/// The maximum depth of nested values.
const MAX_DEPTH: usize = 16;

const MAX_NAME: usize = 256;

/// Attributes that are never kept: passwords are secrets, and nobody signs in with them.
const DROPPED: [&str; 1] = ["password"];

/// Reads a whole user. Without `active`, the user keeps this state.
pub fn read(mut resource: Map<String, Value>, active: bool) -> Result<ProvisionedAttributes, ScimError> {
    attributes::lift_core_attributes(&mut resource)?;
    let user_name = take_name(&mut resource, "userName")?.ok_or(ScimError::value("userName is required."))?;
    let external_id = take_name(&mut resource, "externalId")?;
    let active = match attributes::take(&mut resource, "active") {
        None | Some(Value::Null) => active,
        Some(value) => attributes::boolean(&value).ok_or(ScimError::value("active must be true or false."))?,
    };
    Ok(ProvisionedAttributes { user_name, external_id, active, other: read_other(resource)? })
}

/// Reads the attributes that are only kept.
pub fn read_other(mut resource: Map<String, Value>) -> Result<OtherAttributes, ScimError> {
    for name in READ_ONLY.into_iter().chain(DROPPED) {
        attributes::take(&mut resource, name);
    }
    resource.retain(|_, value| !value.is_null());
    if resource.values().any(|value| depth(value) > MAX_DEPTH) {
        return Err(ScimError::value("The resource has values that are nested too deeply."));
    }
    match attributes::size(&resource) <= MAX_OTHER {
        true => Ok(resource),
        false => Err(ScimError::value("The resource has more than 16 KiB of attributes.")),
    }
}

/// Takes the value of an attribute that names a resource. An empty text counts as absent.
pub fn take_name(resource: &mut Map<String, Value>, name: &'static str) -> Result<Option<String>, ScimError> {
    let text = match attributes::take(resource, name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text,
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => return Err(ScimError::value(format!("{name} must be a string."))),
    };
    if text.len() > MAX_NAME {
        let length = text.len();
        return Err(ScimError::value(format!(
            "{name} has {length} bytes. At most {MAX_NAME} bytes are supported; letters outside of ASCII have 2 to 4 bytes each."
        )));
    }
    if text.chars().any(char::is_control) {
        return Err(ScimError::value(format!("{name} must have no control character.")));
    }
    Ok(Some(text).filter(|text| !text.trim().is_empty()))
}

/// The attributes that a PATCH request can change.
pub fn editable(user: &ProvisionedUser) -> Map<String, Value> {
    let mut resource = user.other.clone();
    resource.insert("userName".to_owned(), user.user_name.clone().into());
    if let Some(id) = &user.external_id {
        resource.insert("externalId".to_owned(), id.clone().into());
    }
    resource.insert("active".to_owned(), user.active.into());
    resource
}

/// Returns a user as the directory reads it. `base` is the URL of the service.
pub fn render(user: &ProvisionedUser, base: &str) -> Map<String, Value> {
    let mut resource = editable(user);
    resource.insert("schemas".to_owned(), schemas_of(USER_SCHEMA, &user.other));
    resource.insert("id".to_owned(), user.id.clone().into());
    let groups = user.groups.iter().map(|group| {
        let location = format!("{base}/Groups/{}", group.id);
        json!({"value": group.id, "display": group.name, "$ref": location, "type": "direct"})
    });
    resource.insert("groups".to_owned(), groups.collect());
    let location = format!("{base}/Users/{}", user.id);
    resource.insert("meta".to_owned(), meta("User", user.created, user.modified, &location));
    resource
}

pub fn meta(kind: &str, created: jiff::Timestamp, modified: jiff::Timestamp, location: &str) -> Value {
    let version = format!("W/\"{:x}\"", modified.as_nanosecond());
    json!({"resourceType": kind, "created": created, "lastModified": modified, "location": location, "version": version})
}

/// The core schema, and the extensions of the resource.
pub fn schemas_of(core: &str, other: &OtherAttributes) -> Value {
    let extensions = other.keys().filter(|name| name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:")));
    std::iter::once(core).chain(extensions.map(String::as_str)).map(Value::from).collect()
}

/// The depth of a value, as far as it matters.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or_default(),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read_json(resource: &Value, active: bool) -> Result<ProvisionedAttributes, ScimError> {
        read(resource.as_object().unwrap().clone(), active)
    }

    #[test]
    fn the_attributes_that_count_are_typed_and_all_others_are_kept() {
        let user = json!({
            "schemas": [USER_SCHEMA], "id": "x", "meta": {}, "groups": [{"value": "g"}], "password": "hunter2",
            "USERNAME": "ada", "externalId": 7, "active": "False", "nickName": null, "custom": {"a": [1, {"b": null}]},
        });
        let read = read_json(&user, true).unwrap();
        assert_eq!((read.user_name.as_str(), read.external_id.as_deref(), read.active), ("ada", Some("7"), false));
        assert_eq!(Value::Object(read.other), json!({"custom": {"a": [1, {"b": null}]}}));
    }

    #[rstest]
    #[case(json!({"userName": "a"}), true)]
    #[case(json!({"userName": "a", "active": null}), true)]
    #[case(json!({"userName": "a", "active": true}), true)]
    #[case(json!({"userName": "a", "active": "TRUE"}), true)]
    #[case(json!({"userName": "a", "active": "false"}), false)]
    fn a_user_without_the_state_keeps_it(#[case] user: Value, #[case] expected: bool) {
        assert_eq!(read_json(&user, true).unwrap().active, expected);
        let absent = user.get("active").is_none_or(Value::is_null);
        assert_eq!(read_json(&user, false).unwrap().active, expected && !absent);
    }

    #[test]
    fn attributes_under_the_core_schema_are_those_of_the_user() {
        let user = json!({"schemas": [USER_SCHEMA], USER_SCHEMA: {"userName": "ada", "ACTIVE": "False"}, "active": true});
        let read = read_json(&user, true).unwrap();
        assert_eq!((read.user_name.as_str(), read.active, read.other.len()), ("ada", false, 0));
    }

    #[test]
    fn a_long_name_is_refused_with_its_length() {
        let fits = json!({"userName": "名".repeat(85)});
        assert!(read_json(&fits, true).is_ok());
        let Err(ScimError::InvalidValue(detail)) = read_json(&json!({"userName": "名".repeat(86)}), true) else {
            panic!("refused")
        };
        assert!(detail.contains("userName has 258 bytes") && detail.contains("256"), "{detail}");
    }

    #[rstest]
    #[case(json!({}))]
    #[case(json!({"userName": ""}))]
    #[case(json!({"userName": "  "}))]
    #[case(json!({"userName": ["a"]}))]
    #[case(json!({"userName": "a\nb"}))]
    #[case(json!({"userName": "x".repeat(257)}))]
    #[case(json!({"userName": "a", "externalId": {}}))]
    #[case(json!({"userName": "a", "active": "maybe"}))]
    #[case(json!({"userName": "a", "active": 1}))]
    #[case(json!({"userName": "a", "title": "x".repeat(16 << 10)}))]
    #[case(json!({"userName": "a", "title": [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}))]
    fn wrong_users_are_refused(#[case] user: Value) {
        assert!(matches!(read_json(&user, true), Err(ScimError::InvalidValue(_))), "{user}");
    }
}
