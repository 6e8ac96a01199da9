//! Key sets as providers publish them: sign-in and token issuers read the same keys in the same way.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::FaultyFleet;
use super::cases::Case;
use super::metadata::document;
use crate::support::auth_request::auth_request;

/// The provider's key in another form.
fn altered(key: &Value, changed: &Value) -> Value {
    let mut altered = key.clone();
    for (name, value) in changed.as_object().expect("an object") {
        match value {
            Value::Null => altered.as_object_mut().expect("an object").remove(name),
            value => altered.as_object_mut().expect("an object").insert(name.clone(), value.clone()),
        };
    }
    altered
}

/// Another key of the same type. Nobody has its private part.
fn decoy(key: &Value, changed: &Value) -> Value {
    let mut modulus = decoded(key, "n");
    let middle = modulus.len() / 2;
    modulus[middle] ^= 1;
    altered(&altered(key, &json!({"n": URL_SAFE_NO_PAD.encode(modulus)})), changed)
}

fn decoded(key: &Value, member: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(key[member].as_str().expect("a key of RSA")).expect("base64url")
}

fn odd_key_sets(key: &Value) -> Vec<(&'static str, Vec<Value>)> {
    let zeros = |member: &str| URL_SAFE_NO_PAD.encode([&[0; 3], &*decoded(key, member)].concat());
    let standard = |member: &str| STANDARD.encode(decoded(key, member));
    let nameless = json!({"kid": null});
    vec![
        ("without kid and alg", vec![altered(key, &json!({"kid": null, "alg": null, "use": null}))]),
        ("leading zeros", vec![altered(key, &json!({"n": zeros("n"), "e": zeros("e")}))]),
        ("the standard alphabet with padding", vec![altered(key, &json!({"n": standard("n"), "e": standard("e")}))]),
        (
            "unneeded members",
            vec![altered(key, &json!({"x5c": 7, "x5t": {}, "x5u": [], "use": 1, "key_ops": "verify", "alg": []}))],
        ),
        (
            "unusable keys beside it",
            vec![
                json!({"kty": "AKP", "kid": key["kid"], "pub": "AAAA"}),
                json!({"kty": "RSA", "kid": key["kid"], "x5c": ["MIIB"]}),
                json!({"kty": "oct", "kid": key["kid"], "k": "c2VjcmV0"}),
                decoy(key, &json!({"use": "enc"})),
                "no key".into(),
                key.clone(),
            ],
        ),
        ("an id that is not unique", vec![decoy(key, &json!({})), decoy(key, &json!({"alg": null})), key.clone()]),
        (
            "five hundred keys",
            (0..499).map(|number| decoy(key, &json!({"kid": format!("k{number}")}))).chain([key.clone()]).collect(),
        ),
        ("many without an id", [vec![decoy(key, &nameless); 7], vec![altered(key, &nameless)]].concat()),
    ]
}

async fn publish(fleet: &mut FaultyFleet, keys: &[Value]) {
    fleet.idp.spoil("/jwks", &json!({"body": json!({"keys": keys}).to_string(), "type": "text/plain"})).await;
    fleet.restart().await;
}

/// The status of a check with the access token of the last login.
async fn check_last_token(fleet: &FaultyFleet) -> u16 {
    let token = fleet.idp.last_access_token().await;
    auth_request(fleet.pod(), &[("authorization", &format!("Bearer {token}"))]).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_and_token_issuers_read_keys_in_every_usual_form() {
    let mut fleet = FaultyFleet::start().await;
    let key = document(&fleet.idp, "/jwks").await["keys"][0].clone();
    for (name, keys) in odd_key_sets(&key) {
        publish(&mut fleet, &keys).await;
        assert_eq!(fleet.role(&json!({})).await, "proxy_admin", "{name}");
        assert_eq!(check_last_token(&fleet).await, 200, "{name}");
    }
    publish(&mut fleet, &[vec![decoy(&key, &json!({"kid": null})); 8], vec![altered(&key, &json!({"kid": null}))]].concat())
        .await;
    fleet.assert_refused(&Case("the ninth key", json!({}), "signature is wrong")).await;
    assert_eq!(check_last_token(&fleet).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_several_keys_a_token_without_a_key_id_is_verified_with_each() {
    let mut fleet = FaultyFleet::start().await;
    let key = document(&fleet.idp, "/jwks").await["keys"][0].clone();
    publish(&mut fleet, &[decoy(&key, &json!({"kid": "second"})), key]).await;
    assert_eq!(fleet.role(&json!({})).await, "proxy_admin", "the right one is named");
    let nameless = json!({"idToken": {"header": {"kid": null}}, "accessToken": {"header": {"kid": null}}});
    assert_eq!(fleet.role(&nameless).await, "proxy_admin");
    for case in [
        Case("an unknown key", json!({"idToken": {"header": {"kid": "other"}}}), "no key of the issuer matches"),
        Case("another key", json!({"idToken": {"header": {"kid": "second"}}}), "signature is wrong"),
        Case("a forgery", json!({"idToken": {"header": {"kid": null}, "signedBy": "unrelated key"}}), "signature is wrong"),
    ] {
        fleet.assert_refused(&case).await;
    }
}
