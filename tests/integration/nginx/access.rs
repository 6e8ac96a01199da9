//! Access rules, behind a real nginx and in front of an upstream that tells what it got.

mod live;
mod store_away;

use serde_json::Value;
use tokio::sync::OnceCell;

use super::raw::{self, Answer};
use super::{ALICE, BOB, CAROL, CREDENTIALS, IDENTITY, assert_allowed, assert_denied, cookie_of};
use crate::support::deployment::{Deployment, DeploymentOptions, ROLE_MAP};

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

/// Method, path, further headers, and the status that comes back.
type Asked<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], u16);

const FOREIGN: &str = "Bearer known-to-the-upstream-alone";

fn role_map() -> String {
    format!("{ROLE_MAP}{ACCESS}")
}

/// The deployment of the tests that stop none of it.
async fn site() -> &'static Deployment {
    static SITE: OnceCell<Deployment> = OnceCell::const_new();
    let options = || DeploymentOptions { adjust: |pod| pod.role_map = Some(role_map()), ..DeploymentOptions::default() };
    SITE.get_or_init(|| Deployment::start(options())).await
}

/// A program's request through nginx.
async fn ask(site: &Deployment, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let all = [&[("Accept", "application/json")], headers].concat();
    raw::send(site.nginx.port(), method, path, &all).await
}

/// The headers that reached the upstream.
#[track_caller]
fn received(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["headers"].clone()
}

/// A check as nginx makes it, at a pod's own listener.
async fn check(site: &Deployment, narrowing: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let url = format!("http://localhost{path}");
    let all = [&[("x-original-url", url.as_str()), ("x-original-method", "GET")], headers].concat();
    raw::send(site.pods[0].check_port(), "GET", &format!("/auth/nginx{narrowing}"), &all).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_path_asks_for_nothing_and_its_identity_headers_are_there_and_empty() {
    let site = site().await;
    let answer = check(site, "", "/open/x", &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    for name in IDENTITY {
        assert_eq!(answer.all(name), [""], "{answer:?}");
    }
    let forged: Vec<_> = IDENTITY.into_iter().map(|name| (name, "forged")).collect();
    let seen = received(&ask(site, "GET", "/open/x", &forged).await);
    for name in IDENTITY {
        assert!(seen[name].as_str().unwrap_or_default().is_empty(), "{name}: {seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_an_open_path_the_upstream_gets_an_unknown_credential_as_it_is_and_never_our_cookie() {
    let site = site().await;
    let cookie = cookie_of(site, ALICE).await;
    let cookies = format!("a=1; {cookie}");
    for name in CREDENTIALS {
        for session in [&[][..], &[("Cookie", cookies.as_str())]] {
            let seen = received(&ask(site, "GET", "/open/x", &[&[(name, FOREIGN)], session].concat()).await);
            assert_eq!(seen[name], FOREIGN, "{seen}");
            for other in CREDENTIALS.into_iter().filter(|other| *other != name) {
                assert_eq!(seen[other], Value::Null, "{seen}");
            }
            let kept = if session.is_empty() { Value::Null } else { Value::from("a=1") };
            assert_eq!(seen["cookie"], kept, "{seen}");
            assert!(seen["x-auth-request-user"].as_str().unwrap_or_default().is_empty(), "{seen}");
        }
    }
    let all: Vec<_> = CREDENTIALS.into_iter().map(|name| (name, FOREIGN)).collect();
    let seen = received(&ask(site, "GET", "/open/x", &all).await);
    assert!(CREDENTIALS.into_iter().all(|name| seen[name] == FOREIGN), "several, and different ones too: {seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_for_nobody_and_one_that_no_rule_selects_are_refused_to_everybody() {
    let site = site().await;
    let cookie = cookie_of(site, ALICE).await;
    for path in ["/closed/x", "/closed", "/elsewhere", "/openly/x", "/OPEN/x/../../closed/x"] {
        for headers in [&[][..], &[("Cookie", cookie.as_str())], &[("Authorization", FOREIGN)]] {
            assert_denied(&check(site, "", path, headers).await, 403, "access_denied");
            let answer = ask(site, "GET", path, headers).await;
            assert_eq!(answer.status, 403, "{path}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_and_hosts_select_rules() {
    let site = site().await;
    let (alice, bob) = (cookie_of(site, ALICE).await, cookie_of(site, BOB).await);
    let table: [Asked<'_>; 12] = [
        ("GET", "/by-method/x", &[], 200),
        ("HEAD", "/by-method/x", &[], 200),
        ("OPTIONS", "/by-method/x", &[], 200),
        ("POST", "/by-method/x", &[], 401),
        ("POST", "/by-method/x", &[("Cookie", &alice)], 200),
        ("POST", "/by-method/x", &[("Cookie", &bob)], 403),
        ("PUT", "/by-method/x", &[("Cookie", &alice)], 403),
        ("GET", "/by-host/x", &[("Cookie", &alice)], 403),
        ("GET", "/by-host/x", &[("Host", "models.example.com")], 200),
        ("GET", "/by-host/x", &[("Host", "MODELS.Example.com:8443")], 200),
        ("GET", "/by-host/x", &[("Host", "a.b.example.com")], 403),
        ("GET", "/by-host/x", &[("Host", "example.com")], 403),
    ];
    for (method, path, headers, expected) in table {
        let answer = ask(site, method, path, headers).await;
        assert_eq!(answer.status, expected, "{method} {path} {headers:?}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_teams_and_credentials_are_required_together() {
    let site = site().await;
    let people = [cookie_of(site, ALICE).await, cookie_of(site, BOB).await, cookie_of(site, CAROL).await];
    let table = [
        ("/admins/x", [200, 403, 403]),
        ("/data/x", [403, 200, 403]),
        ("/admins-of-data/x", [403, 403, 403]),
        ("/programs/x", [403, 403, 403]),
        ("/browsers/x", [200, 200, 200]),
        ("/", [200, 200, 200]),
    ];
    for (path, expected) in table {
        assert_eq!(ask(site, "GET", path, &[]).await.status, 401, "{path}");
        for (cookie, expected) in people.iter().zip(expected) {
            let answer = ask(site, "GET", path, &[("Cookie", cookie)]).await;
            assert_eq!(answer.status, expected, "{path}: {answer:?}");
            if expected == 200 {
                assert_ne!(received(&answer)["x-auth-request-role"], Value::Null, "{answer:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_the_rule_does_not_read_reaches_the_upstream_while_the_session_identifies() {
    let site = site().await;
    let cookie = cookie_of(site, ALICE).await;
    for name in CREDENTIALS {
        let seen = received(&ask(site, "GET", "/theirs/x", &[(name, FOREIGN), ("Cookie", &cookie)]).await);
        assert_eq!((&seen[name], &seen["x-auth-request-role"]), (&FOREIGN.into(), &"proxy_admin".into()), "{seen}");
        assert_eq!(seen["cookie"], Value::Null, "{seen}");
        let answer = ask(site, "GET", "/theirs/x", &[(name, FOREIGN)]).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (401, Some("login_required")), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_does_not_count_where_the_rule_does_not_read_it() {
    let site = site().await;
    let cookie = cookie_of(site, ALICE).await;
    assert_denied(&check(site, "", "/ours/x", &[("cookie", &cookie)]).await, 401, "login_required");
    let answer = check(site, "", "/ours/x", &[("cookie", &cookie), ("x-api-key", FOREIGN)]).await;
    assert_denied(&answer, 401, "login_required");
    let answer = check(site, "", "/ours/x", &[("cookie", &cookie), ("authorization", FOREIGN)]).await;
    assert_denied(&answer, 401, "invalid_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_credential_is_refused_in_spite_of_a_good_session() {
    let site = site().await;
    let cookie = cookie_of(site, ALICE).await;
    assert_eq!(ask(site, "GET", "/browsers/x", &[("Cookie", &cookie)]).await.status, 200);
    for name in CREDENTIALS {
        let answer = ask(site, "GET", "/browsers/x", &[(name, FOREIGN), ("Cookie", &cookie)]).await;
        assert_eq!(answer.status, 401, "{answer:?}");
        // nginx's own answer: the upstream's would tell what it received.
        assert_eq!(answer.json()["error"], "invalid_token", "{answer:?}");
        assert!(!answer.body.contains(FOREIGN), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn narrowing_demands_a_sign_in_on_an_open_path_and_opens_nothing() {
    let site = site().await;
    let (alice, bob) = (cookie_of(site, ALICE).await, cookie_of(site, BOB).await);
    let narrowed = "?allow_roles=proxy_admin";
    assert_denied(&check(site, narrowed, "/open/x", &[]).await, 401, "login_required");
    let answer = check(site, narrowed, "/open/x", &[("cookie", &alice)]).await;
    assert_allowed(&answer);
    assert_eq!(answer.one("x-auth-request-role"), "proxy_admin");
    assert_denied(&check(site, narrowed, "/open/x", &[("cookie", &bob)]).await, 403, "access_denied");
    let foreign = [("cookie", alice.as_str()), ("authorization", FOREIGN)];
    assert_denied(&check(site, narrowed, "/open/x", &foreign).await, 401, "invalid_token");

    assert_allowed(&check(site, "?allow_teams=research", "/data/x", &[("cookie", &bob)]).await);
    for (query, path, cookie) in [
        ("?allow_roles=proxy_admin", "/data/x", &bob),
        ("?allow_teams=research", "/data/x", &alice),
        ("?allow_roles=proxy_admin", "/closed/x", &alice),
        ("?allow_roles=proxy_admin", "/elsewhere", &alice),
    ] {
        assert_denied(&check(site, query, path, &[("cookie", cookie)]).await, 403, "access_denied");
    }
}
