//! The requests of Entra ID and Okta, in the order in which they send them.

use std::collections::HashMap;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{BY_SUBJECT, Directory, ScimAnswer, TOKEN, fleet};
use crate::support::{fleet::Fleet, http_client};

const ENTRA: &str = include_str!("sequences/entra.yaml");
const OKTA: &str = include_str!("sequences/okta.yaml");
const ERRORS: &str = include_str!("sequences/errors.yaml");

/// A request and the members that its answer must have. `{name}` is an id that an earlier exchange kept.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    request: String,
    #[serde(default)]
    body: Option<Value>,
    /// The operations of a PATCH request, instead of its body.
    #[serde(default)]
    operations: Option<Value>,
    status: u16,
    #[serde(default)]
    expected: Option<Value>,
    #[serde(default)]
    keep: Option<String>,
}

impl Exchange {
    fn body(&self) -> Option<Value> {
        let schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"];
        let patch = self.operations.as_ref().map(|operations| json!({"schemas": schemas, "Operations": operations}));
        self.body.clone().or(patch)
    }
}

/// Sends the requests of a sequence and compares their answers.
async fn replay(directory: &Directory, sequence: &str) {
    let exchanges: Vec<Exchange> = serde_saphyr::from_str(sequence).expect("a sequence");
    let mut ids: HashMap<String, String> = HashMap::new();
    for exchange in exchanges {
        let fill = |text: &str| ids.iter().fold(text.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), id));
        let fill_value = |value: &Value| serde_json::from_str::<Value>(&fill(&value.to_string())).expect("JSON");
        let request = fill(&exchange.request);
        let (method, path) = request.split_once(' ').expect("a method and a path");
        let body = exchange.body().as_ref().map(fill_value);
        let answer = directory.send(method.parse::<Method>().expect("a method"), path, body).await;
        let expected = exchange.expected.as_ref().map_or_else(|| json!({}), fill_value);
        let is_expected = answer.status == exchange.status && (answer.body.is_null() || contains(&answer.body, &expected));
        let Exchange { status, .. } = exchange;
        assert!(is_expected, "{request}: {} {:#}\nexpected: {status} {expected:#}", answer.status, answer.body);
        if let Some(name) = exchange.keep {
            ids.insert(name, answer.id(status));
        }
    }
}

/// True if a value has all members of the expected one. Null is an absent member.
fn contains(value: &Value, expected: &Value) -> bool {
    match (value, expected) {
        (Value::Object(_), Value::Object(members)) => members.iter().all(|(name, expected)| contains(&value[name], expected)),
        (Value::Array(values), Value::Array(expected)) => {
            values.len() == expected.len() && values.iter().zip(expected).all(|(value, expected)| contains(value, expected))
        }
        _ => value == expected,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_sequences_of_directories_are_answered() {
    let fleet = fleet(BY_SUBJECT).await;
    let directory = Directory::of(&fleet);
    replay(&directory, ENTRA).await;
    replay(&directory, OKTA).await;
    replay(&directory, ERRORS).await;
    assert_requires_a_token(&fleet).await;
    assert_urls(&fleet, &directory).await;
    let refused =
        fleet.metric("vestibule_scim_requests_total", &["resource=\"users\"", "method=\"get\"", "status=\"401\""]).await;
    assert!(refused > 0.0);
    assert!(
        fleet.metric("vestibule_scim_requests_total", &["resource=\"groups\"", "method=\"patch\"", "status=\"204\""]).await > 0.0
    );
    for pod in &fleet.pods {
        let log = pod.log();
        assert!(!log.contains(TOKEN) && !log.contains("Test_User") && !log.contains("okta.local"), "personal data in the log");
    }
}

async fn assert_requires_a_token(fleet: &Fleet) {
    let url = fleet.url("/vestibule/scim/v2/Users");
    let wrong = "scim-token-0123456789abcdefghijklmnoq";
    let tokens = [
        "".to_owned(),
        format!("Bearer {wrong}"),
        format!("Basic {TOKEN}"),
        TOKEN.to_owned(),
        format!("Bearer {TOKEN}x"),
        format!("Bearer {TOKEN} {TOKEN}"),
        "Bearer ".to_owned(),
    ];
    for authorization in &tokens {
        let answer = http_client().get(&url).header("authorization", authorization).send().await.expect("an answer");
        let answer = ScimAnswer::of(answer).await;
        assert_eq!(answer.status, 401, "{authorization}: {answer:?}");
        assert!(answer.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Bearer ")), "{answer:?}");
    }
    let answer = http_client().get(&url).header("authorization", format!("bearer {TOKEN}")).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
    let large = "x".repeat(5 << 20);
    let request = http_client().post(&url).bearer_auth(TOKEN).header("content-type", "application/json").body(large);
    assert_eq!(request.send().await.expect("an answer").status().as_u16(), 413);
    let request = http_client().post(&url).bearer_auth(TOKEN).header("content-type", "text/plain").body("{}");
    assert_eq!(ScimAnswer::of(request.send().await.expect("an answer")).await.status, 415);
}

async fn assert_urls(fleet: &Fleet, directory: &Directory) {
    let created = directory.send(Method::POST, "/Users", Some(json!({"userName": "u", "externalId": "x"}))).await;
    let id = created.id(201);
    let location = fleet.url(&format!("/vestibule/scim/v2/Users/{id}"));
    assert_eq!((created.header("location"), &created.body["meta"]["location"]), (Some(location.as_str()), &json!(location)));
    let read = directory.get(&format!("/Users/{id}")).await;
    assert_eq!(read.body["meta"], created.body["meta"]);
    let changed = directory.patch(&format!("/Users/{id}"), json!([{"op": "add", "path": "title", "value": "x"}])).await;
    assert_ne!(changed.body["meta"]["version"], created.body["meta"]["version"]);
    assert_eq!(changed.body["meta"]["created"], created.body["meta"]["created"]);
}
