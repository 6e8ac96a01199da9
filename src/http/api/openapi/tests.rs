//! The document is one of OpenAPI 3.1, has the API's endpoints and no others, and says what it promises to say of each.

use std::collections::BTreeSet;

use jsonschema::Validator;

use super::*;
use crate::http::{api::endpoints, paths::API};

/// As OpenAPI has them; what else stands beside them is about all of them.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// What is documented besides the API's own endpoints.
const FURTHER: [&str; 5] =
    ["/onboarding/claim_token", "/onboarding/get_token", "/sso/key/generate", "/sso/session", "/vestibule/jwks.json"];

/// Fields that not every answer has. All others are required.
const SOMETIMES: [&str; 8] = [
    "AppDenied.state",
    "AppKey.state",
    "AppUnavailable.state",
    "Claimed.expires",
    "Claimed.key",
    "Claimed.token_id",
    "Explanation/access.upstream_credential",
    "Explanation/access/readings.upstream_credential",
];

fn served() -> Value {
    written("https://llm.example.com")
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

/// What a reference within the document leads to.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        None => value,
        Some(reference) => {
            let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leads elsewhere"));
            document.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"))
        }
    }
}

/// Every value of the document with where it stands.
fn walk<'a>(value: &'a Value, at: &str, visit: &mut impl FnMut(&str, &'a Value)) {
    visit(at, value);
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| walk(value, &format!("{at}/{name}"), visit)),
        Value::Array(values) => values.iter().for_each(|value| walk(value, at, visit)),
        _ => {}
    }
}

/// A validator for a schema of the document, whose references it follows.
fn validator(document: &Value, schema: &Value) -> Validator {
    let mut root = document.clone();
    root["allOf"] = json!([schema]);
    jsonschema::draft202012::options().should_validate_formats(true).build(&root).expect("a schema")
}

fn parsed(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("YAML")
}

#[test]
fn it_is_a_document_of_openapi_3_1() {
    let schema = parsed(include_str!("../../../../tests/openapi/schema.yaml"));
    let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&schema).expect("a schema");
    let document = served();
    let wrong: Vec<String> =
        validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn it_has_every_address_and_method_of_the_api_and_no_others() {
    let routed: BTreeSet<_> = endpoints()
        .iter()
        .flat_map(|address| address.methods().iter().map(move |method| (address.path(), method)))
        .map(|(path, method)| (format!("{API}{path}"), method.as_str().to_lowercase()))
        .collect();
    let document = served();
    let all = operations(&document).into_iter().map(|(path, method, _)| (path.to_owned(), method.to_owned()));
    let (documented, further): (BTreeSet<_>, BTreeSet<_>) = all.partition(|(path, _)| path.starts_with(API));
    assert_eq!(documented, routed);
    assert_eq!(further.into_iter().map(|(path, _)| path).collect::<BTreeSet<_>>(), FURTHER.map(str::to_owned).into());
}

#[test]
fn the_source_is_read_as_another_reader_reads_it() {
    assert_eq!(yaml::parse(SOURCE, Subset::Plain).mistakes, []);
    let mut document = served();
    let mut source = parsed(SOURCE);
    for known_later in ["servers", "info"] {
        document[known_later].take();
        source[known_later].take();
    }
    assert_eq!(document, source);
}

#[test]
fn what_the_source_cannot_know_is_put_in_when_it_is_served() {
    let document = served();
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(document["servers"], json!([{"url": "https://llm.example.com"}]));
}

#[test]
fn every_operation_has_an_id_a_summary_a_tag_and_what_it_takes_and_answers() {
    let document = served();
    let mut ids = BTreeSet::new();
    let tags: BTreeSet<_> = document["tags"].as_array().into_iter().flatten().map(|tag| tag["name"].as_str()).collect();
    for (path, method, operation) in operations(&document) {
        let call = format!("{method} {path}");
        assert!(operation["operationId"].as_str().is_some_and(|id| ids.insert(id)), "{call}");
        assert!(operation["summary"].is_string() && tags.contains(&operation["tags"][0].as_str()), "{call}");
        let of = |holder: &'_ Value| holder["parameters"].as_array().cloned().unwrap_or_default();
        let parameters = [of(&document["paths"][path]), of(operation)].concat();
        let in_path = parameters.iter().filter(|parameter| resolved(&document, parameter)["in"] == "path").count();
        assert_eq!(in_path, path.matches('{').count(), "{call}");
        for (status, response) in object(&operation["responses"]) {
            let is_redirect = status.starts_with('3');
            assert_eq!(resolved(&document, response)["content"].is_object(), !is_redirect, "{call} {status}");
        }
    }
}

#[test]
fn a_request_has_no_fields_but_those_that_are_listed() {
    let document = served();
    for (path, method, operation) in operations(&document) {
        let schema = resolved(&document, &operation["requestBody"]["content"]["application/json"]["schema"]);
        assert!(schema.is_null() || schema["additionalProperties"] == false, "{method} {path}");
    }
}

#[test]
fn every_field_of_an_answer_is_always_there_but_those_that_are_named_here() {
    let document = served();
    let mut sometimes = BTreeSet::new();
    walk(&document, "", &mut |at, schema| {
        let is_sent = at.contains("/requestBody/") || schema["additionalProperties"] == false;
        let Some(fields) = schema["properties"].as_object().filter(|_| !is_sent) else { return };
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let at = at.replace("/components/schemas/", "").replace("/properties", "").replace("/items", "");
        let absent = fields.keys().filter(|field| !required.contains(&Value::from(field.as_str())));
        sometimes.extend(absent.map(|field| format!("{at}.{field}")));
    });
    assert_eq!(sometimes, SOMETIMES.map(str::to_owned).into());
}

#[test]
fn references_lead_somewhere_and_nothing_is_there_that_none_leads_to() {
    let document = served();
    let mut used = BTreeSet::new();
    walk(&document, "", &mut |_, value| {
        if let Some(reference) = value["$ref"].as_str() {
            resolved(&document, value);
            used.insert(reference.to_owned());
        }
    });
    for kind in ["parameters", "headers", "responses", "schemas"] {
        for (name, _) in object(&document["components"][kind]) {
            let reference = format!("#/components/{kind}/{name}");
            // Whatever the address: it is said of all of them at the top.
            assert!(used.contains(&reference) || name == "OtherMethod", "nothing uses {reference}");
        }
    }
}

#[test]
fn schemas_are_schemas_and_examples_are_examples_of_them() {
    let document = served();
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
fn no_example_holds_a_secret_that_could_be_one() {
    let document = served();
    walk(&document, "", &mut |at, value| {
        let text = value.as_str().unwrap_or_default();
        assert!(!text.split_whitespace().any(|word| word.starts_with("sk-") && word.len() > 20), "{at}: {text}");
    });
}
