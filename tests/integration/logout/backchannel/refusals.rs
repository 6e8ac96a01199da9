//! Requests that end no session.

use serde_json::{Value, json};

use super::{PATH, log_out, post, send};
use crate::logout::scripted_fleet::{ScriptedFleet, answer};
use crate::support::http_client;

/// Faults of a logout token. The first ones are the negative plan of the certification of relying parties.
fn faults() -> Vec<(&'static str, Value)> {
    let event = "http://schemas.openid.net/event/backchannel-logout";
    let claims = |claims: Value| json!({"claims": claims});
    vec![
        ("alg none", json!({"signedBy": "none"})),
        ("wrong alg", json!({"signedBy": "client secret"})),
        ("wrong issuer", claims(json!({"iss": "https://evil.example.com"}))),
        ("wrong audience", claims(json!({"aud": "other"}))),
        ("no event", claims(json!({"events": null}))),
        ("wrong event", claims(json!({"events": {"http://schemas.openid.net/event/other": {}}}))),
        ("with nonce", claims(json!({"nonce": "n"}))),
        ("another key", json!({"signedBy": "unrelated key"})),
        ("public key as secret", json!({"signedBy": "public key as PEM"})),
        ("another type", json!({"header": {"typ": "at+jwt"}})),
        ("unknown extension", json!({"header": {"crit": ["exp"]}})),
        ("event is no object", claims(json!({"events": {event: "x"}}))),
        ("no id", claims(json!({"jti": null}))),
        ("no session and no subject", claims(json!({"sid": null, "sub": null}))),
        ("session is no text", claims(json!({"sid": 1}))),
        ("no time of issue", claims(json!({"iat": null}))),
        ("too old", claims(json!({"iat": {"in": -310}, "exp": {"in": 600}}))),
        ("issued in future", claims(json!({"iat": {"in": 310}, "exp": {"in": 600}}))),
        ("expired", claims(json!({"exp": {"in": -130}}))),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_token_is_refused_by_every_pod_and_ends_no_session() {
    let fixture = ScriptedFleet::start().await;
    let session = fixture.sign_in(json!({"sub": "ada", "sid": "s1"})).await;
    for (number, (name, mut fault)) in faults().into_iter().enumerate() {
        let mut claims = json!({"sub": "ada", "sid": "s1"});
        let changed = fault["claims"].as_object().cloned().unwrap_or_default();
        claims.as_object_mut().expect("an object").extend(changed);
        fault["claims"] = claims;
        let token = fixture.token(fault).await;
        let answer = answer(send(fixture.fleet.pod(number), PATH, &token).await).await;
        assert_eq!(answer, (400, "invalid_request".to_owned()), "{name}");
        assert!(fixture.is_live(&session).await, "{name}");
    }
    let refused = fixture.fleet.metric("vestibule_backchannel_logouts_total", &["outcome=\"refused\""]).await;
    assert_eq!(refused, faults().len() as f64);
    // None of the refusals is a reason to refuse the next token.
    assert_eq!(log_out(&fixture, 0, json!({"sub": "ada", "sid": "s1"})).await.0, 200);
    assert_eq!(fixture.fleet.status(0, &session).await, 401);
    let logged = fixture.fleet.pods.iter().map(|pod| pod.log()).collect::<String>();
    assert!(logged.contains("backchannel logout refused") && !logged.contains("eyJ"), "no token is logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_requests_are_refused_as_json() {
    let fixture = ScriptedFleet::start_with(|builder| builder).await;
    let pod = fixture.fleet.pod(0);
    let token = fixture.token(json!({"claims": {"sid": "s1"}})).await;
    let long = "x".repeat(20_000);
    let forms: [(&[(&str, &str)], u16); 6] = [
        (&[], 400),
        (&[("token", &token)], 400),
        (&[("logout_token", "")], 400),
        (&[("logout_token", "x.y.z")], 400),
        (&[("logout_token", &token), ("logout_token", &token)], 400),
        (&[("logout_token", &long)], 413),
    ];
    for (form, status) in forms {
        let (found, code) = answer(post(pod, PATH, form).await).await;
        assert_eq!((found, code.as_str()), (status, "invalid_request"), "{form:.100?}");
    }
    let in_query = http_client().post(pod.public(&format!("{PATH}?logout_token={token}"))).send().await.expect("an answer");
    assert_eq!(answer(in_query).await.0, 400);
    let get = http_client().get(pod.public(PATH)).send().await.expect("an answer");
    assert_eq!(get.headers().get("allow").and_then(|value| value.to_str().ok()), Some("POST"));
    assert_eq!(answer(get).await.0, 405);
    let further = [("logout_token", token.as_str()), ("further", "ignored")];
    assert_eq!(answer(post(pod, &format!("{PATH}?tenant=a"), &further).await).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_above_the_limit_get_429_with_retry_after() {
    let limits = "trusted_proxies: [127.0.0.0/8]\nrate_limits: {backchannel_logouts: 2}\n";
    let fixture = ScriptedFleet::start_with(|builder| builder.yaml(limits)).await;
    let from = async |address: &str| {
        let token = fixture.token(json!({"claims": {"sid": "s1"}})).await;
        let request = http_client().post(fixture.fleet.pod(0).public(PATH)).header("x-forwarded-for", address);
        request.form(&[("logout_token", token)]).send().await.expect("the pod answers")
    };
    for _ in 0..2 {
        assert_eq!(from("203.0.113.1").await.status().as_u16(), 200);
    }
    let refused = from("203.0.113.1").await;
    let wait: u64 = refused.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(answer(refused).await, (429, "slow_down".to_owned()));
    assert_eq!(from("203.0.113.2").await.status().as_u16(), 200, "another address");
}
