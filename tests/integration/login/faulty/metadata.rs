//! Faults of a provider's discovery document and key set.

use serde_json::{Value, json};

use super::cases::Case;
use super::{FaultyFleet, PATIENCE};
use crate::support::agent::Agent;
use crate::support::faulty_idp::FaultyIdp;
use crate::support::http_client;
use crate::support::steps::{assert_not_signed_in, assert_page};
use crate::support::wait;

const DISCOVERY: &str = "/.well-known/openid-configuration";
const NOT_FETCHED: &str = "provider metadata not fetched";

/// The provider's keys and 10 MiB of padding.
pub async fn large_key_set(idp: &FaultyIdp) -> Value {
    let mut keys = document(idp, "/jwks").await;
    keys["keys"][0]["comment"] = "x".repeat(10 << 20).into();
    json!({"body": keys.to_string()})
}

async fn document(idp: &FaultyIdp, path: &str) -> Value {
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
        (DISCOVERY, altered(&found, "issuer", with_slash.into()), "the same letter by letter"),
        (DISCOVERY, altered(&found, "issuer", Value::Null), "discovery document can't be read"),
        (DISCOVERY, altered(&found, "jwks_uri", "http://evil.example.com/jwks".into()), "evil.example.com is not an https"),
        (DISCOVERY, redirect.clone(), "status 307"),
        (DISCOVERY, json!({"body": "<h1>Hello</h1>"}), "discovery document can't be read"),
        (DISCOVERY, json!({"body": "x".repeat(1_572_864)}), "more than 1 MiB"),
        ("/jwks", redirect, "status 307"),
        ("/jwks", json!({"body": "<h1>Hello</h1>"}), "key set can't be read"),
        ("/jwks", json!({"body": r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}"#}), "no usable key"),
        ("/jwks", large_key_set(idp).await, "more than 1 MiB"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_with_invalid_metadata_signs_nobody_in_until_it_is_corrected() {
    let mut fleet = FaultyFleet::start().await;
    for (path, answer, reason) in metadata_faults(&fleet.idp).await {
        fleet.idp.spoil(path, &answer).await;
        let known = fleet.lines(NOT_FETCHED).len();
        fleet.fleet.pods[0].restart().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn with_several_keys_a_token_must_name_its_key() {
    let fleet = FaultyFleet::start_with(async |idp| idp.spoil("/jwks", &with_a_second_key(idp).await).await).await;
    assert_eq!(fleet.role(&json!({})).await, "proxy_admin", "the right one is named");
    for case in [
        Case("no key", json!({"idToken": {"header": {"kid": null}}}), "no key of the issuer matches"),
        Case("an unknown key", json!({"idToken": {"header": {"kid": "other"}}}), "no key of the issuer matches"),
        Case("another key", json!({"idToken": {"header": {"kid": "second"}}}), "signature is wrong"),
    ] {
        fleet.assert_refused(&case).await;
    }
    let nameless = json!({"accessToken": {"header": {"kid": null}}});
    assert_eq!(fleet.role(&nameless).await, "internal_user_viewer", "its claims are left out");
    assert_eq!(fleet.role(&json!({})).await, "proxy_admin");
}

/// The provider's key set with an additional foreign key.
async fn with_a_second_key(idp: &FaultyIdp) -> Value {
    let mut keys = document(idp, "/jwks").await;
    let mut second = keys["keys"][0].clone();
    let modulus = second["n"].as_str().expect("a key of RSA");
    let (middle, other) = (modulus.len() / 2, if modulus.as_bytes()[modulus.len() / 2] == b'A' { "B" } else { "A" });
    second["n"] = format!("{}{other}{}", &modulus[..middle], &modulus[middle + 1..]).into();
    second["kid"] = "second".into();
    keys["keys"].as_array_mut().expect("a list").push(second);
    json!({"body": keys.to_string()})
}
