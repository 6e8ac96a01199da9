//! The document is valid OpenAPI 3.1, contains exactly the API's endpoints, and describes each of them completely.

use std::collections::BTreeSet;

use jsonschema::Validator;

use super::*;
use crate::http::{api_routes::endpoints, paths::API};

/// The method names of OpenAPI. Other members of a path item apply to all methods.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Documented paths outside of the API.
const RELATED: [&str; 5] =
    ["/onboarding/claim_token", "/onboarding/get_token", "/sso/key/generate", "/sso/session", "/vestibule/jwks.json"];

/// The optional fields of responses. All others are required.
const OPTIONAL: [&str; 8] = [
    "AcceptedInvitation.expires",
    "AcceptedInvitation.key",
    "AcceptedInvitation.token_id",
    "AppDenied.state",
    "AppKey.state",
    "AppUnavailable.state",
    "Explanation/access.upstream_credential",
    "Explanation/access/readings.upstream_credential",
];

fn served_document() -> Value {
    build_document("https://llm.example.com")
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// Every operation with its path and method.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let mut all = Vec::new();
    for (path, item) in object(&document["paths"]) {
        let methods = object(item).filter(|(method, _)| METHODS.contains(&method.as_str()));
        all.extend(methods.map(|(method, operation)| (path.as_str(), method.as_str(), operation)));
    }
    all
}

/// Returns the target of a reference within the document.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        None => value,
        Some(reference) => {
            let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leads elsewhere"));
            document.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"))
        }
    }
}

/// Visits every value of the document with its path.
fn walk<'a>(value: &'a Value, at: &str, visit: &mut impl FnMut(&str, &'a Value)) {
    visit(at, value);
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| walk(value, &format!("{at}/{name}"), visit)),
        Value::Array(values) => values.iter().for_each(|value| walk(value, at, visit)),
        _ => {}
    }
}

/// Returns a validator for a schema of the document. It follows references.
fn validator(document: &Value, schema: &Value) -> Validator {
    let mut root = document.clone();
    root["allOf"] = json!([schema]);
    jsonschema::draft202012::options().should_validate_formats(true).build(&root).expect("a schema")
}

fn parsed(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("YAML")
}

#[test]
fn the_document_is_valid_openapi_3_1() {
    let schema = parsed(include_str!("../../../../tests/openapi/schema.yaml"));
    let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&schema).expect("a schema");
    let document = served_document();
    let wrong: Vec<String> =
        validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_document_has_exactly_the_endpoints_and_methods_of_the_api() {
    let routed: BTreeSet<_> = endpoints()
        .iter()
        .flat_map(|address| address.methods().iter().map(move |method| (address.path(), method)))
        .map(|(path, method)| (format!("{API}{path}"), method.as_str().to_lowercase()))
        .collect();
    let document = served_document();
    let all = operations(&document).into_iter().map(|(path, method, _)| (path.to_owned(), method.to_owned()));
    let (documented, further): (BTreeSet<_>, BTreeSet<_>) = all.partition(|(path, _)| path.starts_with(API));
    assert_eq!(documented, routed);
    assert_eq!(further.into_iter().map(|(path, _)| path).collect::<BTreeSet<_>>(), RELATED.map(str::to_owned).into());
}

#[test]
fn another_yaml_parser_reads_the_same_document() {
    assert_eq!(yaml::parse(SOURCE, Subset::Plain).mistakes, []);
    let mut document = served_document();
    let mut source = parsed(SOURCE);
    for added in ["servers", "info"] {
        document[added].take();
        source[added].take();
    }
    assert_eq!(document, source);
}

#[test]
fn version_and_origin_are_added() {
    let document = served_document();
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(document["servers"], json!([{"url": "https://llm.example.com"}]));
}

#[test]
fn every_operation_has_an_id_a_summary_a_tag_its_parameters_and_responses() {
    let document = served_document();
    let mut ids = BTreeSet::new();
    let tags: BTreeSet<_> = document["tags"].as_array().into_iter().flatten().map(|tag| tag["name"].as_str()).collect();
    for (path, method, operation) in operations(&document) {
        let call = format!("{method} {path}");
        assert!(operation["operationId"].as_str().is_some_and(|id| ids.insert(id)), "{call}");
        assert!(operation["summary"].is_string() && tags.contains(&operation["tags"][0].as_str()), "{call}");
        let of = |holder: &'_ Value| holder["parameters"].as_array().cloned().unwrap_or_default();
        let parameters = [of(&document["paths"][path]), of(operation)].concat();
        let in_path = parameters.iter().filter(|parameter| resolve(&document, parameter)["in"] == "path").count();
        assert_eq!(in_path, path.matches('{').count(), "{call}");
        for (status, response) in object(&operation["responses"]) {
            let is_redirect = status.starts_with('3');
            assert_eq!(resolve(&document, response)["content"].is_object(), !is_redirect, "{call} {status}");
        }
    }
}

#[test]
fn requests_allow_only_listed_fields() {
    let document = served_document();
    for (path, method, operation) in operations(&document) {
        let schema = resolve(&document, &operation["requestBody"]["content"]["application/json"]["schema"]);
        assert!(schema.is_null() || schema["additionalProperties"] == false, "{method} {path}");
    }
}

#[test]
fn all_fields_of_responses_are_required_except_listed_ones() {
    let document = served_document();
    let mut optional = BTreeSet::new();
    walk(&document, "", &mut |at, schema| {
        let is_sent = at.contains("/requestBody/") || schema["additionalProperties"] == false;
        let Some(fields) = schema["properties"].as_object().filter(|_| !is_sent) else { return };
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let at = at.replace("/components/schemas/", "").replace("/properties", "").replace("/items", "");
        let absent = fields.keys().filter(|field| !required.contains(&Value::from(field.as_str())));
        optional.extend(absent.map(|field| format!("{at}.{field}")));
    });
    assert_eq!(optional, OPTIONAL.map(str::to_owned).into());
}

#[test]
fn references_have_targets_and_every_component_is_used() {
    let document = served_document();
    let mut used = BTreeSet::new();
    walk(&document, "", &mut |_, value| {
        if let Some(reference) = value["$ref"].as_str() {
            resolve(&document, value);
            used.insert(reference.to_owned());
        }
    });
    for kind in ["parameters", "headers", "responses", "schemas"] {
        for (name, _) in object(&document["components"][kind]) {
            let reference = format!("#/components/{kind}/{name}");
            // The introduction mentions it for all endpoints.
            assert!(used.contains(&reference) || name == "MethodNotAllowed", "nothing uses {reference}");
        }
    }
}

#[test]
fn schemas_are_valid_and_examples_match_them() {
    let document = served_document();
    let mut examples = 0;
    let is_schema = |at: &str, schema| {
        jsonschema::draft202012::meta::validate(schema).unwrap_or_else(|error| panic!("{at}: {error}"));
    };
    object(&document["components"]["schemas"]).for_each(|(name, schema)| is_schema(name, schema));
    walk(&document, "", &mut |at, value| {
        let schema = value.get("schema").inspect(|schema| is_schema(at, schema)).unwrap_or(value);
        let several = object(&value["examples"]).map(|(_, example)| &example["value"]);
        for example in value.get("example").into_iter().chain(several) {
            let validator = validator(&document, schema);
            let wrong: Vec<String> = validator.iter_errors(example).map(|error| error.to_string()).collect();
            assert!(wrong.is_empty(), "{at}: {wrong:#?}");
            examples += 1;
        }
    });
    assert!(examples > 20, "{examples}");
}

#[test]
fn no_example_contains_a_possible_secret() {
    let document = served_document();
    walk(&document, "", &mut |at, value| {
        let text = value.as_str().unwrap_or_default();
        assert!(!text.split_whitespace().any(|word| word.starts_with("sk-") && word.len() > 20), "{at}: {text}");
    });
}
