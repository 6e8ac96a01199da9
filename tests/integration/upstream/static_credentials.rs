//! Static upstream credentials by role and team, pass-through of the client's credential, and none.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Files, ask, fleet, received};
use crate::support::api::{Auth, create_key};
use crate::support::auth_request::{CREDENTIAL_HEADERS, send_to_check};
use crate::support::fleet::Fleet;
use crate::support::pod::{Pod, until_everywhere};
use crate::support::raw_http;
use crate::support::steps::{ALICE, BOB, CAROL};

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_receives_a_credential_by_role_and_team() {
    let fleet = fleet().await;
    let users = [fleet.session_header(ALICE).await, fleet.session_header(BOB).await, fleet.session_header(CAROL).await];
    let (admins, all, data) =
        (json!("Bearer sk-upstream-for-admins"), json!("Bearer sk-upstream-for-all"), json!("Basic ZGF0YTp1cHN0cmVhbQ=="));
    let table = [
        ("/v1/models", [&admins, &all, &all]),
        ("/data/x", [&Value::Null, &data, &Value::Null]),
        ("/none/x", [&Value::Null; 3]),
        ("/pass/x", [&Value::Null; 3]),
        ("/open/x", [&Value::Null; 3]),
        ("/open-with-key/x", [&all; 3]),
        // Two path interpretations that match different rules.
        ("/none/../data/x", [&Value::Null; 3]),
    ];
    for (path, expected) in table {
        for (cookie, expected) in users.iter().zip(expected) {
            let seen = received(fleet, path, &[("Cookie", cookie)]).await;
            assert_eq!(&seen["authorization"], expected, "{path}: {seen}");
            assert_eq!(seen["cookie"], Value::Null, "{seen}");
        }
    }
    let seen = received(fleet, "/open-with-key/x", &[]).await;
    assert_eq!(seen["authorization"], all, "no sign-in is required: {seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_any_header_is_removed_and_the_upstream_credential_is_sent() {
    let fleet = fleet().await;
    let cookie = fleet.session_header(BOB).await;
    let key = create_key(&fleet.pods[0], Auth::Session(&cookie["vestibule=".len()..]), json!({})).await;
    for name in CREDENTIAL_HEADERS {
        let value = if name == "authorization" { format!("Bearer {}", key.key) } else { key.key.clone() };
        let seen = received(fleet, "/v1/models", &[(name, &value), ("Cookie", "a=1")]).await;
        assert_eq!(seen["authorization"], "Bearer sk-upstream-for-all", "{seen}");
        assert!(!seen.to_string().contains(&key.key), "by {name}: {seen}");
        for other in CREDENTIAL_HEADERS.into_iter().filter(|other| *other != "authorization") {
            assert_eq!(seen[other], Value::Null, "by {name}: {seen}");
        }
        assert_eq!((&seen["x-auth-request-key"], &seen["cookie"]), (&json!(key.id), &json!("a=1")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_pass_rule_passes_the_clients_credential() {
    let fleet = fleet().await;
    let cookie = fleet.session_header(BOB).await;
    let key = create_key(&fleet.pods[0], Auth::Session(&cookie["vestibule=".len()..]), json!({})).await;
    let bearer = format!("Bearer {}", key.key);
    for (path, expected) in [("/pass/x", Value::Null), ("/none/x", Value::Null), ("/v1/x", json!("Bearer sk-upstream-for-all"))] {
        let seen = received(fleet, path, &[("Authorization", &bearer)]).await;
        assert_eq!(seen["authorization"], expected, "{path}: {seen}");
    }
    let seen = received(fleet, "/pass/x", &[("x-api-key", &key.key)]).await;
    assert_eq!((&seen["authorization"], &seen["x-api-key"]), (&Value::Null, &Value::Null), "only Authorization: {seen}");
    let theirs = [("Authorization", "Bearer of-the-upstream"), ("x-api-key", "theirs"), ("Cookie", cookie.as_str())];
    let seen = received(fleet, "/theirs/x", &theirs).await;
    assert_eq!((&seen["authorization"], &seen["x-api-key"]), (&json!("Bearer of-the-upstream"), &json!("theirs")), "{seen}");
    let seen = received(fleet, "/open/x", &[("Authorization", "Basic c29tZWJvZHk6dGhlaXJz")]).await;
    assert_eq!(seen["authorization"], "Basic c29tZWJvZHk6dGhlaXJz", "{seen}");
    let seen = received(fleet, "/open-with-key/x", &[("Authorization", "Basic c29tZWJvZHk6dGhlaXJz")]).await;
    assert_eq!(seen["authorization"], "Bearer sk-upstream-for-all", "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumed_credential_is_never_echoed() {
    let fleet = fleet().await;
    let cookie = fleet.session_header(BOB).await;
    let key = create_key(&fleet.pods[0], Auth::Session(&cookie["vestibule=".len()..]), json!({})).await;
    let bearer = format!("Bearer {}", key.key);
    for (query, path) in [("?allow_roles=internal_user", "/open/x"), ("", "/open/../some/x"), ("", "/pass/../some/x")] {
        let echo = if query.is_empty() { "?echo=true".to_owned() } else { format!("{query}&echo=true") };
        for query in [query, &echo] {
            let answer = check(fleet, query, path, &[("authorization", &bearer)]).await;
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
            assert_eq!(answer.all("authorization").len(), 1, "{path}: {answer:?}");
            assert!(!format!("{answer:?}").contains(&key.key), "{path}: {answer:?}");
            assert!(
                answer.all("x-vestibule-untouched").iter().all(|names| !names.contains("authorization")),
                "{path}: {answer:?}"
            );
        }
    }
}

/// A check at a pod's own listener.
async fn check(fleet: &Fleet, query: &str, path: &str, headers: &[(&str, &str)]) -> raw_http::Answer {
    let url = format!("http://localhost{path}");
    let all = [&[("x-original-url", url.as_str()), ("x-original-method", "GET")], headers].concat();
    send_to_check(&fleet.pods[0], "GET", &format!("/auth/nginx{query}"), &all).await
}

const OWN: (&str, &str) = ("authorization", "Bearer own");

#[tokio::test(flavor = "multi_thread")]
async fn authorization_is_in_the_answer_and_empty_unless_a_credential_is_sent_or_passed() {
    let fleet = fleet().await;
    let cookie = fleet.session_header(ALICE).await;
    let signed_in = ("cookie", cookie.as_str());
    for (path, headers, expected) in [
        ("/x", &[signed_in][..], &["Bearer sk-upstream-for-admins"][..]),
        ("/none/x", &[signed_in], &[""]),
        ("/data/x", &[signed_in], &[""]),
        ("/open-with-key/x", &[OWN], &["Bearer sk-upstream-for-all"]),
        ("/pass/x", &[signed_in], &[]),
        ("/open/x", &[OWN], &[]),
    ] {
        let answer = check(fleet, "", path, headers).await;
        assert_eq!((answer.status, &answer.all("authorization")[..]), (200, expected), "{path}: {answer:?}");
        assert_eq!(answer.one("x-vestibule-assertion"), "", "{path}");
        let passed = answer.all("x-vestibule-untouched").concat().contains("authorization");
        assert_eq!(passed, expected.is_empty(), "{path}: {answer:?}");
    }
    for (path, headers, status) in
        [("/x", &[][..], 401), ("/x", &[OWN], 401), ("/closed/x", &[signed_in], 403), ("/asserted/x", &[], 401)]
    {
        let answer = check(fleet, "?echo=true", path, headers).await;
        assert_eq!(answer.status, status, "{path}");
        for name in ["authorization", "x-vestibule-assertion", "x-vestibule-untouched", "cookie"] {
            assert!(answer.all(name).is_empty(), "{answer:?}");
        }
    }
}

/// A gateway that sets headers from the answer alone finds the client's headers there, if they are passed on.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_only_echoes_headers_that_the_upstream_may_receive() {
    let fleet = fleet().await;
    let cookie = fleet.session_header(ALICE).await;
    let cookies = format!("a=1; {cookie}; vestibule-login=x; b=2");
    let signed_in = ("cookie", cookies.as_str());
    let long = "a".repeat(7000);
    for (path, headers, authorization, api_key) in [
        ("/x", &[signed_in][..], &["Bearer sk-upstream-for-admins"][..], &[][..]),
        ("/none/x", &[signed_in], &[""], &[]),
        ("/pass/x", &[signed_in], &[""], &[]),
        ("/theirs/x", &[OWN, ("x-api-key", "k"), signed_in], &["Bearer own"], &["k"]),
        ("/open/x", &[OWN, ("x-api-key", "k"), signed_in], &["Bearer own"], &["k"]),
        ("/open/x", &[("authorization", &long), signed_in], &[&long], &[""]),
        ("/open/x", &[OWN, OWN, signed_in], &["Bearer own"], &[""]),
        ("/open/x", &[OWN, ("authorization", "Bearer other"), signed_in], &[""], &[""]),
        ("/open-with-key/x", &[OWN, ("x-api-key", "k"), signed_in], &["Bearer sk-upstream-for-all"], &["k"]),
    ] {
        let answer = check(fleet, "?echo=true", path, headers).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_eq!(answer.all("authorization"), authorization, "{path} {headers:?}");
        assert_eq!(answer.all("x-api-key"), api_key, "{path} {headers:?}");
        assert_eq!(answer.one("cookie"), "a=1; b=2", "{path}");
    }
    assert_eq!(check(fleet, "?echo=true", "/x", &[("cookie", &cookie)]).await.one("cookie"), "");
    let answer = ask(fleet.nginx().port(), "/open/x", &[("Authorization", &long)]).await;
    assert_eq!(answer.json()["headers"]["authorization"], json!(long), "a long token gets through nginx");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_file_is_used_without_a_restart_and_an_invalid_edit_keeps_the_old_credential() {
    let fleet = fleet().await;
    let (cookie, files) = (fleet.session_header(BOB).await, Files::shared());
    let sent = async |pod: &Pod| {
        let headers = [("x-original-url", "http://localhost/data/x"), ("x-original-method", "GET"), ("cookie", cookie.as_str())];
        send_to_check(pod, "GET", "/auth/nginx", &headers).await.one("authorization").to_owned()
    };
    let old = "Basic ZGF0YTp1cHN0cmVhbQ==";
    files.write("for-data", "two\nlines\n");
    until_everywhere(&fleet.pods, "the refusal in the log", PATIENCE, async |pod| {
        pod.log().contains("upstream credential rejected")
    })
    .await;
    for pod in &fleet.pods {
        assert_eq!(sent(pod).await, old);
    }
    files.write("for-data", "rotated-upstream-secret");
    let took =
        until_everywhere(&fleet.pods, "the new one", PATIENCE, async |pod| sent(pod).await == "Bearer rotated-upstream-secret")
            .await;
    println!("sent by three pods {took:?} after the edit");
    files.write("for-data", old);
    until_everywhere(&fleet.pods, "the old one again", PATIENCE, async |pod| sent(pod).await == old).await;
    for pod in &fleet.pods {
        let output = pod.log() + &pod.metrics().await;
        for secret in ["sk-upstream", "ZGF0YTp1cHN0cmVhbQ", "rotated-upstream-secret"] {
            assert!(!output.contains(secret), "{secret} is logged");
        }
    }
}
