//! Vestibule's own credentials, live or revoked, never reach the upstream: through nginx, and with `echo=true`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{ask, fleet, received};
use crate::support::api::{Auth, create_key, revoke_key};
use crate::support::auth_request::{CREDENTIAL_HEADERS, SECRET_HEADER};
use crate::support::fleet::Fleet;
use crate::support::raw_http::{self, Answer};
use crate::support::steps::BOB;

/// Credentials of one user: a live key, a revoked key, and the session's cookie.
struct OwnCredentials {
    live: String,
    revoked: String,
    session: String,
    cookie: String,
}

impl OwnCredentials {
    async fn create(fleet: &Fleet) -> Self {
        let cookie = fleet.session_header(BOB).await;
        let session = cookie["vestibule=".len()..].to_owned();
        let live = create_key(&fleet.pods[0], Auth::Session(&session), json!({})).await;
        let revoked = create_key(&fleet.pods[0], Auth::Session(&session), json!({})).await;
        revoke_key(&fleet.pods[0], Auth::Session(&session), &revoked.id).await;
        Self { live: live.key, revoked: revoked.key, session, cookie }
    }

    fn tokens(&self) -> [&str; 3] {
        [&self.live, &self.revoked, &self.session]
    }
}

/// The values in which a client may send a token.
fn spellings(token: &str) -> Vec<String> {
    vec![
        token.to_owned(),
        format!("Bearer {token}"),
        format!("bEARER \t {token}"),
        format!("Token token=\"{token}\""),
        format!("Bearer theirs, Bearer {token}"),
        format!("Basic {}", STANDARD.encode(format!("user:{token}"))),
    ]
}

/// The check's response at a pod's own listener, with and without `echo`.
async fn checks(fleet: &Fleet, path: &str, headers: &[(&str, &str)]) -> [Answer; 2] {
    let url = format!("http://localhost{path}");
    let all = [&[("x-original-url", url.as_str()), ("x-original-method", "GET"), SECRET_HEADER], headers].concat();
    let port = fleet.pods[1].check_port();
    [raw_http::send(port, "GET", "/auth/nginx", &all).await, raw_http::send(port, "GET", "/auth/nginx?echo=true", &all).await]
}

fn untouched(answer: &Answer) -> Vec<String> {
    answer.all("x-vestibule-untouched").iter().flat_map(|names| names.split(',')).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_header_passes_our_credential_on_paths_that_pass_the_clients_own() {
    let fleet = fleet().await;
    let own = OwnCredentials::create(fleet).await;
    for (path, cookie) in [("/open/x", "a=1"), ("/theirs/x", own.cookie.as_str())] {
        for name in CREDENTIAL_HEADERS {
            for value in own.tokens().into_iter().flat_map(spellings) {
                let headers = [(name, value.as_str()), ("Cookie", cookie)];
                let seen = received(fleet, path, &headers).await;
                assert_eq!(seen[name], Value::Null, "{path} {name}: {value}: {seen}");
                let [plain, echo] = checks(fleet, path, &headers).await;
                assert_eq!((plain.status, echo.status), (200, 200), "{path} {name}: {value}");
                assert_eq!(echo.all(name), [""], "{path} {name}: {value}: {echo:?}");
                for answer in [plain, echo] {
                    assert!(!untouched(&answer).contains(&name.to_owned()), "{path} {name}: {value}: {answer:?}");
                    assert_eq!(untouched(&answer).len(), CREDENTIAL_HEADERS.len() - 1, "{path} {name}: {answer:?}");
                    assert!(answer.all(name).iter().all(|value| value.is_empty()), "{path} {name}: {value}: {answer:?}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doubled_header_with_our_credential_passes_neither_value() {
    let fleet = fleet().await;
    let own = OwnCredentials::create(fleet).await;
    for name in CREDENTIAL_HEADERS {
        for token in own.tokens() {
            for values in [["theirs", token], [token, "theirs"], [token, token]] {
                let headers = values.map(|value| (name, value));
                let answer = ask(fleet.nginx().port(), "/open/x", &headers).await;
                // nginx itself refuses a second Authorization.
                assert!(answer.status == 200 || (name, answer.status) == ("authorization", 400), "{name}: {answer:?}");
                assert!(!answer.body.contains(token) && !answer.body.contains("theirs"), "{name}: {answer:?}");
                for answer in checks(fleet, "/open/x", &headers).await {
                    assert!(!format!("{answer:?}").contains(token), "{name}: {answer:?}");
                    assert!(!untouched(&answer).contains(&name.to_owned()), "{name}: {answer:?}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_authenticates_on_a_pass_rule_is_replaced_by_nothing() {
    let fleet = fleet().await;
    let own = OwnCredentials::create(fleet).await;
    let bearer = format!("bearer   {}", own.live);
    let seen = received(fleet, "/pass/x", &[("Authorization", &bearer)]).await;
    assert_eq!((&seen["authorization"], seen["x-auth-request-user"].is_string()), (&Value::Null, true), "{seen}");
    for answer in checks(fleet, "/pass/x", &[("authorization", &bearer)]).await {
        assert_eq!((answer.status, answer.one("authorization")), (200, ""), "{answer:?}");
    }
    let others = [("Authorization", "Bearer theirs"), ("x-api-key", own.live.as_str()), ("api-key", "theirs too")];
    let seen = received(fleet, "/open/x", &others).await;
    let passed = (&seen["authorization"], &seen["x-api-key"], &seen["api-key"]);
    assert_eq!(passed, (&json!("Bearer theirs"), &Value::Null, &json!("theirs too")), "the upstream's own credentials pass");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_our_cookies_passes() {
    let fleet = fleet().await;
    let own = OwnCredentials::create(fleet).await;
    let token = &own.session;
    let unusual = [
        format!("VESTIBULE={token}"),
        format!("__host-vestibule={token}"),
        format!("%76estibule={token}"),
        format!("%5F%5FHost-vestibule=\"{token}\""),
        format!("..Host-vestibule={token}"),
        format!("\"vestibule\"={token}"),
        format!("=vestibule={token}"),
        format!("c=3 vestibule={token}"),
        format!("other={token}"),
        "Vestibule-Login=secret-of-the-browser".to_owned(),
        "__Secure-vestibule-device=secret-of-the-browser".to_owned(),
    ];
    for pair in unusual {
        for (path, sent) in [("/open/x", format!("a=1; {pair}; b=2")), ("/v1/x", format!("{}; a=1; {pair}; b=2", own.cookie))] {
            let seen = received(fleet, path, &[("Cookie", &sent)]).await;
            assert_eq!(seen["cookie"], Value::Null, "{path}: {sent}: {seen}");
            let [plain, echo] = checks(fleet, path, &[("cookie", &sent)]).await;
            assert_eq!(plain.one("x-vestibule-removed"), "cookie", "{path}: {sent}");
            assert_eq!(echo.one("cookie"), "a=1; b=2", "{path}: {sent}");
        }
    }
    for usual in ["vestibule", "vestibule-login", "vestibule-device", "__Host-vestibule", "__Host-vestibule-login"] {
        let sent = format!("a=1; {usual}={token}; b=2");
        assert_eq!(received(fleet, "/open/x", &[("Cookie", &sent)]).await["cookie"], "a=1; b=2", "{usual}");
        let [plain, echo] = checks(fleet, "/open/x", &[("cookie", &sent)]).await;
        assert_eq!((plain.all("x-vestibule-removed").len(), echo.one("cookie")), (0, "a=1; b=2"), "{usual}");
        // nginx keeps white space that the pod trims, at the beginning of the header and around each pair.
        for (before, after) in [("\t", ""), (" \t ", "\t"), ("", "\t "), ("a=1;\t", "\t;b=2"), (";\t;", "\t"), ("\t;\t", ";\t")] {
            let sent = format!("{before}{usual}\t={token}{after}");
            for path in ["/open/x", "/theirs/x"] {
                let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie:{sent}\r\nConnection: close\r\n\r\n");
                let answer = raw_http::send_bytes(fleet.nginx().port(), request.as_bytes()).await.expect("an answer");
                assert!(!answer.body.contains(token), "{path}: {sent:?}: {answer:?}");
            }
        }
    }
}
