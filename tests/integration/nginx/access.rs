//! Access rules behind a real nginx, in front of an upstream that echoes requests.

mod edits;
mod store_outage;

use serde_json::Value;
use tokio::sync::OnceCell;

use super::{assert_allowed, assert_denied};
use crate::support::auth_request::{CREDENTIAL_HEADERS, send_to_check};
use crate::support::fleet::{Fleet, ROLE_MAP};
use crate::support::pod::PodOptions;
use crate::support::raw_http::{self, Answer};
use crate::support::steps::{ALICE, BOB, CAROL, IDENTITY_HEADERS};

/// alice is a proxy_admin of the team research, bob an internal_user of research and data, carol has the
/// default role and no team.
const ACCESS: &str = r#"access:
  - {paths: [/], allow: signed_in}
  - {paths: [/open/**], allow: anyone}
  - {paths: [/closed/**], allow: nobody}
  - {paths: [/by-method/**], methods: [GET, OPTIONS], allow: anyone}
  - {paths: [/by-method/**], methods: [POST], roles: [proxy_admin]}
  - {hosts: ["*.example.com"], paths: [/by-host/**], allow: anyone}
  - {hosts: [localhost], paths: [/by-host/**], allow: nobody}
  - {paths: [/admins/**], roles: [proxy_admin, org_admin]}
  - {paths: [/data/**], teams: [data, none-of-ours]}
  - {paths: [/admins-of-data/**], roles: [proxy_admin], teams: [data]}
  - {paths: [/programs/**], credentials: [key, token]}
  - {paths: [/browsers/**], credentials: [session]}
  - {paths: [/theirs/**], read: [session]}
  - {paths: [/ours/**], read: [authorization]}
  - {paths: [/edited/**], allow: nobody}
"#;

/// Method, path, additional headers, and the expected status.
type RequestCase<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], u16);

const FOREIGN: &str = "Bearer known-to-the-upstream-alone";

fn role_map() -> String {
    format!("{ROLE_MAP}{ACCESS}")
}

/// The fleet that the tests of this module share; none of them stops a part.
async fn fleet() -> &'static Fleet {
    static FLEET: OnceCell<Fleet> = OnceCell::const_new();
    let with_access = |pod: &mut PodOptions| pod.role_map = Some(role_map());
    FLEET.get_or_init(|| Fleet::builder().pods(3).cluster().idp().nginx().config(with_access).start()).await
}

/// A client's request through nginx.
async fn ask(fleet: &Fleet, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let all = [&[("Accept", "application/json")], headers].concat();
    raw_http::send(fleet.nginx().port(), method, path, &all).await
}

/// The headers that reached the upstream.
#[track_caller]
fn received(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["headers"].clone()
}

/// An auth request of nginx at a pod's own listener.
async fn check(fleet: &Fleet, narrowing: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    check_at(fleet, "localhost", narrowing, path, headers).await
}

async fn check_at(fleet: &Fleet, host: &str, narrowing: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let url = format!("http://{host}{path}");
    let all = [&[("x-original-url", url.as_str()), ("x-original-method", "GET")], headers].concat();
    send_to_check(&fleet.pods[0], "GET", &format!("/auth/nginx{narrowing}"), &all).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_path_needs_no_credential_and_its_identity_headers_are_empty() {
    let fleet = fleet().await;
    let answer = check(fleet, "", "/open/x", &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    for name in IDENTITY_HEADERS {
        assert_eq!(answer.all(name), [""], "{answer:?}");
    }
    let forged: Vec<_> = IDENTITY_HEADERS.into_iter().map(|name| (name, "forged")).collect();
    let seen = received(&ask(fleet, "GET", "/open/x", &forged).await);
    for name in IDENTITY_HEADERS {
        assert!(seen[name].as_str().unwrap_or_default().is_empty(), "{name}: {seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_public_path_the_upstream_receives_an_unknown_credential_unchanged_and_never_our_cookie() {
    let fleet = fleet().await;
    let cookie = fleet.session_header(ALICE).await;
    let cookies = format!("a=1; {cookie}");
    for name in CREDENTIAL_HEADERS {
        for session in [&[][..], &[("Cookie", cookies.as_str())]] {
            let seen = received(&ask(fleet, "GET", "/open/x", &[&[(name, FOREIGN)], session].concat()).await);
            assert_eq!(seen[name], FOREIGN, "{seen}");
            for other in CREDENTIAL_HEADERS.into_iter().filter(|other| *other != name) {
                assert_eq!(seen[other], Value::Null, "{seen}");
            }
            let kept = if session.is_empty() { Value::Null } else { Value::from("a=1") };
            assert_eq!(seen["cookie"], kept, "{seen}");
            assert!(seen["x-auth-request-user"].as_str().unwrap_or_default().is_empty(), "{seen}");
        }
    }
    let all: Vec<_> = CREDENTIAL_HEADERS.into_iter().map(|name| (name, FOREIGN)).collect();
    let seen = received(&ask(fleet, "GET", "/open/x", &all).await);
    assert!(CREDENTIAL_HEADERS.into_iter().all(|name| seen[name] == FOREIGN), "several, and different ones too: {seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_with_access_none_and_one_without_a_matching_rule_are_refused_to_everybody() {
    let fleet = fleet().await;
    let cookie = fleet.session_header(ALICE).await;
    for path in ["/closed/x", "/closed", "/elsewhere", "/openly/x", "/OPEN/x/../../closed/x"] {
        for headers in [&[][..], &[("Cookie", cookie.as_str())], &[("Authorization", FOREIGN)]] {
            assert_denied(&check(fleet, "", path, headers).await, 403, "access_denied");
            let answer = ask(fleet, "GET", path, headers).await;
            assert_eq!(answer.status, 403, "{path}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_match_methods_and_hosts() {
    let fleet = fleet().await;
    let (alice, bob) = (fleet.session_header(ALICE).await, fleet.session_header(BOB).await);
    let table: [RequestCase<'_>; 8] = [
        ("GET", "/by-method/x", &[], 200),
        ("HEAD", "/by-method/x", &[], 200),
        ("OPTIONS", "/by-method/x", &[], 200),
        ("POST", "/by-method/x", &[], 401),
        ("POST", "/by-method/x", &[("Cookie", &alice)], 200),
        ("POST", "/by-method/x", &[("Cookie", &bob)], 403),
        ("PUT", "/by-method/x", &[("Cookie", &alice)], 403),
        ("GET", "/by-host/x", &[("Cookie", &alice)], 403),
    ];
    for (method, path, headers, expected) in table {
        let answer = ask(fleet, method, path, headers).await;
        assert_eq!(answer.status, expected, "{method} {path} {headers:?}: {answer:?}");
    }
    for (host, code) in
        [("models.example.com", None), ("a.b.example.com", Some("access_denied")), ("example.com", Some("access_denied"))]
    {
        let answer = check_at(fleet, host, &format!("?host={host}"), "/by-host/x", &[]).await;
        let spelled =
            check_at(fleet, &format!("{}.:8443", host.to_uppercase()), &format!("?host={host}"), "/by-host/x", &[]).await;
        for answer in [answer, spelled] {
            match code {
                None => assert_eq!(answer.status, 200, "{host}: {answer:?}"),
                Some(code) => assert_denied(&answer, 403, code),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_teams_and_credentials_are_required_together() {
    let fleet = fleet().await;
    let users = [fleet.session_header(ALICE).await, fleet.session_header(BOB).await, fleet.session_header(CAROL).await];
    let table = [
        ("/admins/x", [200, 403, 403]),
        ("/data/x", [403, 200, 403]),
        ("/admins-of-data/x", [403, 403, 403]),
        ("/programs/x", [403, 403, 403]),
        ("/browsers/x", [200, 200, 200]),
        ("/", [200, 200, 200]),
    ];
    for (path, expected) in table {
        assert_eq!(ask(fleet, "GET", path, &[]).await.status, 401, "{path}");
        for (cookie, expected) in users.iter().zip(expected) {
            let answer = ask(fleet, "GET", path, &[("Cookie", cookie)]).await;
            assert_eq!(answer.status, expected, "{path}: {answer:?}");
            if expected == 200 {
                assert_ne!(received(&answer)["x-auth-request-role"], Value::Null, "{answer:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_the_rule_does_not_read_reaches_the_upstream_and_the_session_is_used() {
    let fleet = fleet().await;
    let cookie = fleet.session_header(ALICE).await;
    for name in CREDENTIAL_HEADERS {
        let seen = received(&ask(fleet, "GET", "/theirs/x", &[(name, FOREIGN), ("Cookie", &cookie)]).await);
        assert_eq!((&seen[name], &seen["x-auth-request-role"]), (&FOREIGN.into(), &"proxy_admin".into()), "{seen}");
        assert_eq!(seen["cookie"], Value::Null, "{seen}");
        let answer = ask(fleet, "GET", "/theirs/x", &[(name, FOREIGN)]).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (401, Some("login_required")), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_ignored_if_the_rule_does_not_accept_sessions() {
    let fleet = fleet().await;
    let cookie = fleet.session_header(ALICE).await;
    assert_denied(&check(fleet, "", "/ours/x", &[("cookie", &cookie)]).await, 401, "login_required");
    let answer = check(fleet, "", "/ours/x", &[("cookie", &cookie), ("x-api-key", FOREIGN)]).await;
    assert_denied(&answer, 401, "login_required");
    let answer = check(fleet, "", "/ours/x", &[("cookie", &cookie), ("authorization", FOREIGN)]).await;
    assert_denied(&answer, 401, "invalid_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_credential_is_refused_despite_a_valid_session() {
    let fleet = fleet().await;
    let cookie = fleet.session_header(ALICE).await;
    assert_eq!(ask(fleet, "GET", "/browsers/x", &[("Cookie", &cookie)]).await.status, 200);
    for name in CREDENTIAL_HEADERS {
        let answer = ask(fleet, "GET", "/browsers/x", &[(name, FOREIGN), ("Cookie", &cookie)]).await;
        assert_eq!(answer.status, 401, "{answer:?}");
        // nginx answers: the upstream would echo the request.
        assert_eq!(answer.json()["error"], "invalid_token", "{answer:?}");
        assert!(!answer.body.contains(FOREIGN), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_check_requires_a_sign_in_on_a_public_path_and_grants_nothing() {
    let fleet = fleet().await;
    let (alice, bob) = (fleet.session_header(ALICE).await, fleet.session_header(BOB).await);
    let restriction = "?allow_roles=proxy_admin";
    assert_denied(&check(fleet, restriction, "/open/x", &[]).await, 401, "login_required");
    let answer = check(fleet, restriction, "/open/x", &[("cookie", &alice)]).await;
    assert_allowed(&answer);
    assert_eq!(answer.one("x-auth-request-role"), "proxy_admin");
    assert_denied(&check(fleet, restriction, "/open/x", &[("cookie", &bob)]).await, 403, "access_denied");
    let foreign = [("cookie", alice.as_str()), ("authorization", FOREIGN)];
    assert_denied(&check(fleet, restriction, "/open/x", &foreign).await, 401, "invalid_token");

    assert_allowed(&check(fleet, "?allow_teams=research", "/data/x", &[("cookie", &bob)]).await);
    for (query, path, cookie) in [
        ("?allow_roles=proxy_admin", "/data/x", &bob),
        ("?allow_teams=research", "/data/x", &alice),
        ("?allow_roles=proxy_admin", "/closed/x", &alice),
        ("?allow_roles=proxy_admin", "/elsewhere", &alice),
    ] {
        assert_denied(&check(fleet, query, path, &[("cookie", cookie)]).await, 403, "access_denied");
    }
}
