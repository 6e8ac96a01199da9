use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;

fn object(value: Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

fn user() -> Value {
    json!({
        "userName": "ada@example.com",
        "active": true,
        "name": {"givenName": "Ada", "familyName": "Byron"},
        "emails": [{"type": "work", "value": "ada@example.com", "primary": true}, {"type": "home", "value": "ada@home.example"}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "Engines"},
    })
}

fn patch(resource: Value, operations: Value) -> Result<Value, ScimError> {
    let request = object(json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations}));
    let changes = parse_changes(&request)?;
    apply_changes(&changes, object(resource)).map(Value::Object)
}

/// Asserts that the operations change these members of the user. Null is an absent member.
#[track_caller]
fn assert_changes(operations: Value, changed: Value) {
    let expected = crate::json::with_members(user(), &changed);
    assert_eq!(patch(user(), operations).unwrap(), expected);
}

#[rstest]
#[case::entra_text(json!([{"op": "Replace", "path": "active", "value": "False"}]), json!({"active": "False"}))]
#[case::entra_dotted(json!([{"op": "replace", "value": {"name.givenName": "A", "displayName": "A B"}}]), json!({"name": {"givenName": "A", "familyName": "Byron"}, "displayName": "A B"}))]
#[case::entra_filter_in_a_name(json!([{"op": "Add", "value": {"emails[type eq \"work\"].value": "a@b"}}]), json!({"emails": [{"type": "work", "value": "a@b", "primary": true}, {"type": "home", "value": "ada@home.example"}]}))]
#[case::entra_new_element(json!([{"op": "Replace", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "1"}]), json!({"phoneNumbers": [{"type": "mobile", "value": "1"}]}))]
#[case::entra_extension(json!([{"op": "Add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager", "value": "m-1"}]), json!({"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "Engines", "manager": "m-1"}}))]
#[case::entra_removes(json!([{"op": "Remove", "path": "emails[type eq \"home\"]"}, {"op": "remove", "path": "name.givenName"}]), json!({"emails": [{"type": "work", "value": "ada@example.com", "primary": true}], "name": {"familyName": "Byron"}}))]
#[case::removes_a_value(json!([{"op": "remove", "path": "emails[type eq \"work\"].primary"}]), json!({"emails": [{"type": "work", "value": "ada@example.com"}, {"type": "home", "value": "ada@home.example"}]}))]
#[case::removes_all(json!([{"op": "remove", "path": "emails"}, {"op": "remove", "path": "nickName"}]), json!({"emails": null}))]
#[case::removes_from_nothing(json!([{"op": "remove", "path": "ims[type eq \"x\"]"}, {"op": "remove", "path": "addresses.street"}, {"op": "remove", "path": "urn:a:1.0:User:x"}]), json!({}))]
#[case::okta(json!([{"op": "replace", "value": {"active": false}}]), json!({"active": false}))]
#[case::okta_with_read_only_members(json!([{"op": "replace", "value": {"id": "x", "meta": {}, "groups": [], "schemas": [], "displayName": "A"}}]), json!({"displayName": "A"}))]
#[case::whole_extension(json!([{"op": "add", "value": {"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"costCenter": "1"}}}]), json!({"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "Engines", "costCenter": "1"}}))]
#[case::list_is_extended(json!([{"op": "add", "path": "emails", "value": [{"type": "home", "value": "ada@home.example"}, {"type": "other", "value": "x@y"}]}]), json!({"emails": [{"type": "work", "value": "ada@example.com", "primary": true}, {"type": "home", "value": "ada@home.example"}, {"type": "other", "value": "x@y"}]}))]
#[case::list_is_replaced(json!([{"op": "replace", "path": "emails", "value": [{"value": "x@y"}]}]), json!({"emails": [{"value": "x@y"}]}))]
#[case::case_of_names(json!([{"OP": "REPLACE", "PATH": "USERNAME", "VALUE": "b"}]), json!({"userName": "b"}))]
#[case::null_unassigns(json!([{"op": "replace", "path": "name", "value": null}]), json!({"name": null}))]
#[case::core_schema_as_a_member(json!([{"op": "replace", "value": {"urn:ietf:params:scim:schemas:core:2.0:User": {"active": false, "userName": "b"}}}]), json!({"active": false, "userName": "b"}))]
#[case::core_schema_as_the_path(json!([{"op": "Replace", "path": "urn:ietf:params:scim:schemas:core:2.0:user", "value": {"name.givenName": "A"}}]), json!({"name": {"givenName": "A", "familyName": "Byron"}}))]
#[case::core_schema_before_a_name(json!([{"op": "replace", "value": {"urn:ietf:params:scim:schemas:core:2.0:User:active": "False"}}]), json!({"active": "False"}))]
#[case::in_order(json!([{"op": "add", "path": "title", "value": "a"}, {"op": "replace", "path": "title", "value": "b"}]), json!({"title": "b"}))]
#[case::all_elements(json!([{"op": "replace", "path": "emails.type", "value": "x"}]), json!({"emails": [{"type": "x", "value": "ada@example.com", "primary": true}, {"type": "x", "value": "ada@home.example"}]}))]
fn both_dialects_are_understood(#[case] operations: Value, #[case] changed: Value) {
    assert_changes(operations, changed);
}

#[rstest]
#[case::no_target(json!([{"op": "remove"}]), "path_invalid")]
#[case::no_target_in_the_core_schema(json!([{"op": "remove", "path": "urn:ietf:params:scim:schemas:core:2.0:User"}]), "path_invalid")]
#[case::no_object_in_the_core_schema(json!([{"op": "add", "path": "urn:ietf:params:scim:schemas:core:2.0:User", "value": 1}]), "value_invalid")]
#[case::unknown_operation(json!([{"op": "move", "path": "a", "value": 1}]), "syntax_invalid")]
#[case::no_operation(json!([{"path": "a", "value": 1}]), "syntax_invalid")]
#[case::not_an_object(json!(["add"]), "syntax_invalid")]
#[case::no_list(json!({}), "syntax_invalid")]
#[case::value_without_path(json!([{"op": "add", "value": "x"}]), "value_invalid")]
#[case::path(json!([{"op": "add", "path": "a[", "value": "x"}]), "path_invalid")]
#[case::path_type(json!([{"op": "add", "path": 1, "value": "x"}]), "path_invalid")]
#[case::read_only(json!([{"op": "replace", "path": "id", "value": "x"}]), "attribute_read_only")]
#[case::read_only_part(json!([{"op": "replace", "path": "meta.created", "value": "x"}]), "attribute_read_only")]
fn wrong_operations_are_refused(#[case] operations: Value, #[case] reason: &str) {
    assert_eq!(patch(user(), operations).unwrap_err().reason(), reason);
}

/// Requests of a few kilobytes whose result would have gigabytes, or whose work would grow with a power of their size.
#[rstest]
#[case::one_value_for_many_elements(json!([
    {"op": "add", "path": "x", "value": vec![json!({}); 9_000]},
    {"op": "replace", "path": "x.y", "value": "v".repeat(50_000)},
]))]
#[case::one_value_for_many_selected_elements(json!([
    {"op": "add", "path": "x", "value": vec![json!({"t": 1}); 6_000]},
    {"op": "replace", "path": "x[t eq 1].y", "value": "v".repeat(50_000)},
]))]
#[case::one_object_for_many_selected_elements(json!([
    {"op": "add", "path": "x", "value": vec![json!({"t": 1}); 6_000]},
    {"op": "add", "path": "x[t eq 1]", "value": {"y": "v".repeat(50_000)}},
]))]
#[case::doubled_again_and_again(Value::Array(
    (0..300).map(|number| json!({"op": "add", "path": format!("a{number}"), "value": "v".repeat(500)})).collect()
))]
#[case::many_changes_in_one_operation(json!([{"op": "add", "value": (0..2_000).map(|number| (format!("a{number}"), json!(1))).collect::<Map<_, _>>()}]))]
#[case::many_operations(Value::Array(vec![json!({"op": "add", "path": "title", "value": "v"}); 2_000]))]
#[case::large_values_that_replace_each_other(Value::Array(vec![json!({"op": "add", "path": "title", "value": "v".repeat(60_000)}); 20]))]
fn requests_that_need_much_memory_are_refused(#[case] operations: Value) {
    assert_eq!(patch(user(), operations).unwrap_err().reason(), "value_invalid");
}

#[test]
fn additions_to_a_long_list_keep_each_value_once() {
    let operation = json!({"op": "add", "path": "x", "value": (0..9_000).collect::<Vec<u32>>()});
    let patched = patch(user(), json!([operation, operation, operation, operation])).unwrap();
    assert_eq!(patched["x"].as_array().map(Vec::len), Some(9_000));
}

proptest! {
    #[test]
    fn no_request_makes_a_resource_too_large(
        operations in prop::collection::vec(
            (prop::sample::select(vec!["x", "x.y", "x[t eq 1]", "x[t eq 1].y", "urn:a:1.0:U:x", "y"]), 0_usize..4_000, any::<bool>()),
            1..40,
        ),
    ) {
        let operation = |(path, size, is_list): (&str, usize, bool)| {
            let value = if is_list { json!(vec![json!({"t": 1}); size / 10]) } else { json!({"y": "v".repeat(size), "t": 1}) };
            json!({"op": "add", "path": path, "value": value})
        };
        if let Ok(patched) = patch(user(), operations.into_iter().map(operation).collect()) {
            prop_assert!(patched.to_string().len() <= MAX_SIZE);
        }
    }

    #[test]
    fn no_request_panics(
        names in prop::collection::vec("[a-z]{1,3}(\\[[a-z]{1,3} eq \"?[a-z0-9]{0,3}\"?\\])?([.][a-z]{1,3})?", 1..6),
        values in prop::collection::vec(crate::json::arbitrary_text(), 1..6),
        op in prop::sample::select(vec!["add", "Replace", "remove"]),
    ) {
        let values: Vec<Value> = values.iter().map(|text| serde_json::from_str(text).unwrap_or(Value::Null)).collect();
        let operations: Vec<Value> =
            names.iter().zip(values.iter().cycle()).map(|(name, value)| json!({"op": op, "path": name, "value": value})).collect();
        let _ = patch(user(), json!(operations));
        let _ = patch(values[0].as_object().map_or(json!({}), |members| json!(members)), json!([{"op": op, "value": values.last()}]));
    }
}
