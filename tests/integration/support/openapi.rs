//! Compares calls of the JSON API and their answers with the OpenAPI document, for all tests that call it.
//!
//! The document permits additional fields in answers for later releases. Here, answers have exactly the listed fields.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jsonschema::Validator;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

const API: &str = "/vestibule/api/";

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_saphyr::from_str(include_str!("../../../src/http/api/openapi.yaml")).expect("the document is YAML"));

/// The part of the document that describes a call.
enum DocumentedCall {
    Operation(&'static Value),
    /// The path exists with other methods.
    MethodNotAllowed,
    NotFound,
}

/// Panics if the document does not permit this answer with exactly these fields.
#[track_caller]
pub fn assert_answer_is_documented(method: &str, path: &str, status: u16, body: &Value) {
    let call = format!("{method} {path} -> {status}");
    let schema = &response(&call, method, path, status)["content"]["application/json"]["schema"];
    assert!(!schema.is_null(), "{call}: the document has no JSON there: {body}");
    assert_valid(&call, &validator(forbid_additional_fields(inline_references(schema))), body);
}

/// Panics if the document does not describe the query and body of this call, which the API accepted.
#[track_caller]
pub fn assert_call_is_documented(method: &str, path: &str, body: Option<&Value>) {
    let call = format!("{method} {path}");
    let DocumentedCall::Operation(operation) = find(method, path) else { panic!("{call}: not in the document") };
    for (name, _) in form_urlencoded::parse(path.split_once('?').map_or("", |(_, query)| query).as_bytes()) {
        let parameters = operation["parameters"].as_array().into_iter().flatten().map(resolved);
        let known = parameters.filter(|parameter| parameter["in"] == "query").any(|parameter| parameter["name"] == *name);
        assert!(known, "{call}: the document has no parameter {name}");
    }
    match (&operation["requestBody"], body) {
        (Value::Null, None) => {}
        (documented, None) => assert!(documented["required"] != true, "{call}: the document wants a body"),
        (documented, Some(body)) => {
            let schema = &documented["content"]["application/json"]["schema"];
            assert!(!schema.is_null(), "{call}: the document has no JSON to be sent there: {body}");
            assert_valid(&call, &validator(inline_references(schema)), body);
        }
    }
}

/// Checks an answer of any content type, if the document describes its path.
#[track_caller]
pub fn assert_response_is_documented(method: &str, path: &str, status: u16, headers: &HeaderMap, text: &str) {
    // These statuses do not come from a pod.
    let of_a_gateway = [502, 504].contains(&status);
    let is_operation = matches!(find(method, path), DocumentedCall::Operation(_));
    if of_a_gateway || !(is_operation || path.starts_with(API)) || ["HEAD", "OPTIONS"].contains(&method) {
        return;
    }
    let kind = headers.get(CONTENT_TYPE).map_or("", |kind| kind.to_str().unwrap_or_default());
    let kind = kind.split(';').next().unwrap_or_default();
    let call = format!("{method} {path} -> {status}");
    if kind == "application/json" {
        let body = serde_json::from_str(text).unwrap_or_else(|error| panic!("{call}: {error}: {text}"));
        return assert_answer_is_documented(method, path, status, &body);
    }
    let documented = response(&call, method, path, status);
    let fits = if kind.is_empty() { documented["content"].is_null() } else { !documented["content"][kind].is_null() };
    assert!(fits, "{call}: the document has nothing of type {kind:?} there: {text}");
}

/// The ids of all operations.
pub fn operations() -> BTreeSet<&'static str> {
    let items = DOCUMENT["paths"].as_object().expect("the document has paths").values();
    items.filter_map(Value::as_object).flat_map(Map::values).filter_map(|operation| operation["operationId"].as_str()).collect()
}

/// The id of the operation of a call.
#[track_caller]
pub fn operation(method: &str, path: &str) -> &'static str {
    let DocumentedCall::Operation(operation) = find(method, path) else { panic!("{method} {path}: not in the document") };
    operation["operationId"].as_str().expect("an operation has an id")
}

#[track_caller]
fn response(call: &str, method: &str, path: &str, status: u16) -> &'static Value {
    let named = |name: &str| &DOCUMENT["components"]["responses"][name];
    match (find(method, path), status) {
        (DocumentedCall::Operation(operation), status) => {
            let documented = resolved(&operation["responses"][status.to_string()]);
            let known: Vec<_> = operation["responses"].as_object().into_iter().flat_map(Map::keys).collect();
            assert!(!documented.is_null(), "{call}: the document has only {known:?}");
            documented
        }
        (DocumentedCall::MethodNotAllowed, 405) => named("MethodNotAllowed"),
        (DocumentedCall::NotFound, 404) => named("NotFound"),
        _ => panic!("{call}: not in the document"),
    }
}

/// Prefers a literal path over one with parameters.
fn find(method: &str, path: &str) -> DocumentedCall {
    let path = path.split('?').next().unwrap_or_default();
    let paths = DOCUMENT["paths"].as_object().expect("the document has paths");
    let item = paths.get(path).or_else(|| paths.iter().find(|(template, _)| fits(template, path)).map(|(_, item)| item));
    match item.map(|item| &item[method.to_lowercase()]) {
        None => DocumentedCall::NotFound,
        Some(Value::Null) => DocumentedCall::MethodNotAllowed,
        Some(operation) => DocumentedCall::Operation(operation),
    }
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    let is_place = |segment: &str| segment.starts_with('{');
    template.len() == path.len()
        && template.iter().zip(&path).all(|(segment, part)| segment == part || is_place(segment) && !part.is_empty())
}

fn resolved(value: &'static Value) -> &'static Value {
    let Some(reference) = value["$ref"].as_str() else { return value };
    DOCUMENT.pointer(&reference[1..]).unwrap_or_else(|| panic!("{reference} leads nowhere"))
}

/// A schema with all references replaced by their targets.
fn inline_references(schema: &'static Value) -> Value {
    match schema {
        Value::Object(fields) if fields.contains_key("$ref") => inline_references(resolved(schema)),
        Value::Object(fields) if fields.contains_key("allOf") => {
            let parts = fields["allOf"].as_array().into_iter().flatten();
            parts.map(inline_references).reduce(merge_schemas).expect("allOf lists something")
        }
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), inline_references(value))).collect(),
        Value::Array(values) => values.iter().map(inline_references).collect(),
        plain => plain.clone(),
    }
}

/// An object schema with the fields of both.
fn merge_schemas(mut one: Value, mut other: Value) -> Value {
    if let (Some(fields), Some(others)) = (one["properties"].as_object_mut(), other["properties"].as_object_mut()) {
        fields.append(others);
    }
    if let (Some(required), Some(others)) = (one["required"].as_array_mut(), other["required"].as_array_mut()) {
        required.append(others);
    }
    one
}

/// The schema without additional fields in any object.
fn forbid_additional_fields(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(|value| *value = forbid_additional_fields(value.take()));
            if fields.get("properties").is_some_and(Value::is_object) {
                fields.entry("additionalProperties").or_insert(json!(false));
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| *value = forbid_additional_fields(value.take())),
        _ => {}
    }
    schema
}

fn validator(schema: Value) -> Validator {
    let options = jsonschema::draft202012::options().should_validate_formats(true);
    options.build(&schema).unwrap_or_else(|error| panic!("{error}: {schema}"))
}

#[track_caller]
fn assert_valid(call: &str, validator: &Validator, value: &Value) {
    let wrong: Vec<String> = validator.iter_errors(value).map(|error| format!("  {}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{call}: not as the document has it:\n{}\n{value:#}", wrong.join("\n"));
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    const ID: &str = "019aab4e-54b1-7c3e-8a52-3f1f0f6b2a11";

    fn panics(call: impl FnOnce() + std::panic::UnwindSafe) -> bool {
        catch_unwind(call).is_err()
    }

    #[test]
    fn an_answer_has_exactly_the_fields_of_its_schema() {
        let revoked = |body: &Value| assert_answer_is_documented("DELETE", &format!("{API}keys/{ID}"), 200, body);
        revoked(&json!({"token_id": ID, "deleted": true}));
        for wrong in [
            json!({"token_id": ID}),
            json!({"token_id": ID, "deleted": false}),
            json!({"token_id": "x", "deleted": true}),
            json!({"token_id": ID, "deleted": true, "more": 1}),
            json!([]),
        ] {
            assert!(panics(|| revoked(&wrong)), "{wrong}");
        }
    }

    #[test]
    fn all_of_merges_the_fields_of_its_schemas() {
        let mut key = json!({
            "token_id": ID, "key_alias": null, "user_id": ID, "user_role": null, "teams": null, "paths": null, "further_paths": [],
            "manage_keys": false, "manage_people": false, "created_at": "2026-11-22T10:00:00Z", "expires": "2026-11-22T10:00:00Z",
            "last_used": null, "parent": null, "application": null, "created_by": null, "key": "sk-x",
        });
        assert_answer_is_documented("POST", &format!("{API}keys"), 201, &key);
        key["created_at"] = json!("yesterday");
        assert!(panics(|| assert_answer_is_documented("POST", &format!("{API}keys"), 201, &key)));
    }

    #[test]
    fn status_and_error_code_must_match_the_operation() {
        let error = |code: &str| json!({"error": code, "error_description": "A sentence."});
        assert_answer_is_documented("GET", &format!("{API}keys?limit=0"), 400, &error("invalid_request"));
        assert!(panics(|| assert_answer_is_documented("GET", &format!("{API}keys"), 400, &error("slow_down"))));
        assert!(panics(|| assert_answer_is_documented("GET", &format!("{API}keys"), 418, &error("invalid_request"))));
        assert_answer_is_documented("PUT", &format!("{API}keys"), 405, &error("invalid_request"));
        assert_answer_is_documented("GET", &format!("{API}nothing"), 404, &error("not_found"));
        assert!(panics(|| assert_answer_is_documented("GET", &format!("{API}nothing"), 200, &json!({}))));
    }

    #[test]
    fn calls_are_compared_with_the_document() {
        assert_call_is_documented("GET", &format!("{API}keys?limit=5"), None);
        assert!(panics(|| assert_call_is_documented("GET", &format!("{API}keys?page=5"), None)));
        let keys = format!("{API}keys");
        assert_call_is_documented("POST", &keys, None);
        assert_call_is_documented("POST", &keys, Some(&json!({"key_alias": "ünïcödé 🔑", "duration": null, "teams": []})));
        for wrong in [json!({"alias": "x"}), json!({"duration": 30}), json!({"paths": []}), json!([])] {
            assert!(panics(|| assert_call_is_documented("POST", &keys, Some(&wrong))), "{wrong}");
        }
        assert!(panics(|| assert_call_is_documented("POST", &format!("{API}password"), None)));
    }

    #[test]
    fn answers_without_json_are_compared_by_content_type() {
        let html = HeaderMap::from_iter([(CONTENT_TYPE, "text/html; charset=utf-8".parse().unwrap())]);
        assert_response_is_documented("GET", "/sso/key/generate?response_type=oauth_token", 200, &html, "<p>");
        assert_response_is_documented("GET", "/sso/key/generate", 302, &HeaderMap::new(), "");
        assert_response_is_documented("GET", "/vestibule/keys", 200, &html, "<p>");
        assert!(panics(|| assert_response_is_documented("GET", "/sso/session", 500, &html, "<p>")));
        assert!(panics(|| assert_response_is_documented("GET", "/sso/session", 401, &html, "<p>")));
    }
}
