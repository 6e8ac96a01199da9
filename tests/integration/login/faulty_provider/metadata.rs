//! Faults of a provider's discovery document and key set.

use serde_json::{Value, json};

use super::cases::without_access_token;
use super::{FaultyFleet, PATIENCE};
use crate::support::agent::Agent;
use crate::support::faulty_idp::FaultyIdp;
use crate::support::http_client;
use crate::support::steps::{assert_not_signed_in, assert_page};
use crate::support::wait;

const DISCOVERY: &str = "/.well-known/openid-configuration";
const NOT_FETCHED: &str = "provider metadata not fetched";
const UNUSABLE: &str = "no usable signing key; assign a signing key at the provider";

/// The provider's keys and 10 MiB of padding.
pub async fn large_key_set(idp: &FaultyIdp) -> Value {
    let mut keys = document(idp, "/jwks").await;
    keys["keys"][0]["comment"] = "x".repeat(10 << 20).into();
    json!({"body": keys.to_string()})
}

pub async fn document(idp: &FaultyIdp, path: &str) -> Value {
    let answer = http_client().get(format!("{}{path}", idp.issuer())).send().await.expect("the provider answers");
    answer.json().await.expect("the provider answers JSON")
}

/// The discovery document with one changed value.
fn altered(discovery: &Value, name: &str, value: Value) -> Value {
    let mut altered = discovery.clone();
    altered[name] = value;
    json!({"body": altered.to_string()})
}

/// The path, the fault, and a part of the logged reason.
async fn metadata_faults(idp: &FaultyIdp) -> Vec<(&'static str, Value, &'static str)> {
    let found = document(idp, DISCOVERY).await;
    let redirect = json!({"status": 307, "location": "/elsewhere", "body": ""});
    let with_slash = format!("{}/", idp.issuer());
    vec![
        (DISCOVERY, altered(&found, "issuer", "https://evil.example.com".into()), "is of issuer https://evil.example.com"),
        (DISCOVERY, altered(&found, "issuer", with_slash.into()), "the issuers must be identical"),
        (DISCOVERY, altered(&found, "issuer", Value::Null), "issuer is missing"),
        (DISCOVERY, altered(&found, "token_endpoint", Value::Null), "token_endpoint is missing"),
        (DISCOVERY, altered(&found, "token_endpoint", "TBD".into()), "token_endpoint is not an absolute https"),
        (DISCOVERY, altered(&found, "authorization_endpoint", 7.into()), "authorization_endpoint is a number"),
        (DISCOVERY, altered(&found, "jwks_uri", "http://evil.example.com/jwks".into()), "jwks_uri is not an absolute https"),
        (DISCOVERY, redirect.clone(), "status 307"),
        (DISCOVERY, json!({"body": "<h1>Hello</h1>"}), "it is not a JSON object"),
        (DISCOVERY, json!({"body": "x".repeat(1_572_864)}), "more than 1 MiB"),
        ("/jwks", redirect, "status 307"),
        ("/jwks", json!({"body": "<h1>Hello</h1>"}), "key set can't be read"),
        ("/jwks", json!({"body": r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}"#}), UNUSABLE),
        ("/jwks", json!({"body": r#"{"keys": [{"kty": "RSA", "x5c": ["MIIB"]}]}"#}), UNUSABLE),
        ("/jwks", large_key_set(idp).await, "more than 1 MiB"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_with_invalid_metadata_signs_nobody_in_until_it_is_corrected() {
    let mut fleet = FaultyFleet::start().await;
    for (path, answer, reason) in metadata_faults(&fleet.idp).await {
        fleet.idp.spoil(path, &answer).await;
        let known = fleet.lines(NOT_FETCHED).len();
        fleet.restart().await;
        let page = Agent::new().get(&fleet.pod().public("/sso/login?rd=/ui/")).await;
        assert_page(&page, 503, "Sign-in is not possible right now");
        assert_not_signed_in(&page);
        fleet.assert_no_panic(reason).await;
        let lines = fleet.lines(NOT_FETCHED).split_off(known);
        assert!(!lines.is_empty() && lines.iter().all(|line| line.contains(reason)), "{path}: {reason}: {lines:?}");
        assert_eq!(fleet.pod().metric("vestibule_provider_ready", &[]).await, 0.0, "{path}: {reason}");
        fleet.idp.spoil(path, &Value::Null).await;
    }
    assert_eq!(fleet.idp.requests("/elsewhere").await, 0, "no redirect is followed");
    let found = async || (fleet.pod().metric("vestibule_provider_ready", &[]).await == 1.0).then_some(());
    wait::until("the provider to be found", PATIENCE, found).await;
    assert_eq!(fleet.role(&json!({})).await, "proxy_admin");
}

/// The fields that RFC 8414 requires, with further fields in unusual types that are not needed.
fn odd_discovery_document(found: &Value) -> Value {
    let needed = |name: &str| found[name].clone();
    json!({
        "issuer": needed("issuer"),
        "authorization_endpoint": needed("authorization_endpoint"),
        "token_endpoint": needed("token_endpoint"),
        "jwks_uri": needed("jwks_uri"),
        "response_types_supported": "code",
        "userinfo_endpoint": needed("userinfo_endpoint"),
        "end_session_endpoint": "",
        "service_documentation": "TBD",
        "op_policy_uri": 7,
        "scopes_supported": {"openid": true},
        "token_endpoint_auth_methods_supported": "client_secret_basic",
        "authorization_response_iss_parameter_supported": "no",
        "claims_parameter_supported": [[[]]],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_needed_fields_of_a_discovery_document_matter() {
    let mut fleet = FaultyFleet::start().await;
    let (found, keys) = (document(&fleet.idp, DISCOVERY).await, document(&fleet.idp, "/jwks").await);
    let document = odd_discovery_document(&found);
    for (type_, body) in [("text/plain", document.to_string()), ("application/json", format!("\u{feff}{document}"))] {
        fleet.idp.spoil(DISCOVERY, &json!({"type": type_, "body": body})).await;
        fleet.restart().await;
        assert_eq!(fleet.role(&json!({})).await, "proxy_admin", "{body}");
    }
    let compressed = |body: &Value| json!({"body": body.to_string(), "gzip": true});
    fleet.idp.spoil(DISCOVERY, &compressed(&document)).await;
    fleet.idp.spoil("/jwks", &compressed(&keys)).await;
    fleet.restart().await;
    assert_eq!(fleet.role(&json!({})).await, "proxy_admin", "pods accept no encoding");
    let mut plain = document.clone();
    plain.as_object_mut().expect("an object").remove("userinfo_endpoint");
    fleet.idp.spoil(DISCOVERY, &json!({"body": plain.to_string()})).await;
    fleet.restart().await;
    assert_eq!(fleet.role(&without_access_token()).await, "internal_user_viewer", "an id_token is enough");
}
