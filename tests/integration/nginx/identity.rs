//! Identity headers at the upstream: only the product sets them, and no credential is passed on.

use serde_json::Value;

use crate::support::agent::Agent;
use crate::support::auth_request::CREDENTIAL_HEADERS;
use crate::support::fleet::Fleet;
use crate::support::forged_headers::{FORGED, spellings, values_of};
use crate::support::raw_http;
use crate::support::steps::{ALICE, BOB, CAROL, IDENTITY_HEADERS};

/// The request that the upstream received through nginx.
async fn received(fleet: &Fleet, headers: &[(&str, &str)]) -> Value {
    let mut all = vec![("Accept", "application/json")];
    all.extend_from_slice(headers);
    let answer = raw_http::send(fleet.nginx().port(), "GET", "/ui/", &all).await;
    assert_eq!(answer.status, 200, "{headers:?}: {answer:?}");
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_headers_of_a_client_never_reach_the_upstream() {
    let fleet = Fleet::shared().await;
    let cookie = fleet.session_header(CAROL).await;
    let honest = received(fleet, &[("Cookie", &cookie)]).await;
    for name in IDENTITY_HEADERS {
        for spelling in spellings(name) {
            let seen = received(fleet, &[("Cookie", &cookie), (&spelling, FORGED), (&spelling, FORGED)]).await;
            assert!(!seen.to_string().contains(FORGED), "{spelling}: {seen}");
            assert_eq!(values_of(&seen, name), values_of(&honest, name), "{spelling}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_forged_headers_together_change_nothing() {
    let fleet = Fleet::shared().await;
    let cookie = fleet.session_header(CAROL).await;
    let spellings: Vec<String> = IDENTITY_HEADERS.iter().flat_map(|name| spellings(name)).collect();
    let mut headers: Vec<(&str, &str)> = spellings.iter().map(|spelling| (spelling.as_str(), FORGED)).collect();
    headers.push(("Cookie", &cookie));
    let (seen, honest) = (received(fleet, &headers).await, received(fleet, &[("Cookie", &cookie)]).await);
    assert!(!seen.to_string().contains(FORGED), "{seen}");
    for name in IDENTITY_HEADERS {
        assert_eq!(values_of(&seen, name), values_of(&honest, name), "{name}");
    }
}

/// Other protocols would carry requests without checks, with identity headers of the client.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_upgrade_to_websocket_and_to_no_other_protocol() {
    let fleet = Fleet::shared().await;
    let cookie = fleet.session_header(CAROL).await;
    let table = [
        ("websocket", "websocket"),
        ("WebSocket", "websocket"),
        ("h2c", ""),
        ("H2C", ""),
        ("h2c, websocket", ""),
        ("websocket, h2c", ""),
        ("websocketh2c", ""),
        ("HTTP/2.0", ""),
        ("TLS/1.0", ""),
    ];
    for (upgrade, passed) in table {
        let settings = ("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA");
        let connection = ("Connection", "Upgrade, HTTP2-Settings");
        let seen = received(fleet, &[("Cookie", &cookie), connection, ("Upgrade", upgrade), settings]).await;
        assert_eq!(values_of(&seen, "upgrade").concat(), passed, "{upgrade}");
        let expected = if passed.is_empty() { "" } else { "upgrade" };
        assert_eq!(values_of(&seen, "connection").concat().replace("close", "").replace("keep-alive", ""), expected, "{upgrade}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_receives_the_identity_of_the_signed_in_user() {
    let fleet = Fleet::shared().await;
    let users = [
        (ALICE, ["alice@example.com", "alice", "research", "proxy_admin"]),
        (BOB, ["bob@example.com", "bob", "data,research", "internal_user"]),
        // carol's address is not verified.
        (CAROL, ["", "carol", "", "internal_user_viewer"]),
    ];
    for (user, expected) in users {
        let agent = Agent::new();
        fleet.open(&agent, "/", user).await;
        let page = agent.get_with(&fleet.url("/ui/"), &[("accept", "application/json")]).await;
        let (seen, header) = (page.json(), |name: &str| values_of(&page.json(), &format!("x-auth-request-{name}")).concat());
        let teams = |text: &str| {
            let mut teams: Vec<&str> = text.split(',').collect();
            teams.sort_unstable();
            teams.join(",")
        };
        let found = [header("email"), header("preferred-username"), teams(&header("groups")), header("role")];
        assert_eq!(found, expected, "{seen}");
        let session = agent.get(&fleet.url("/sso/session")).await.json();
        assert_eq!(session["user_id"], header("user"), "{session}");
        assert_eq!(header("key"), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_never_reaches_the_upstream() {
    let fleet = Fleet::shared().await;
    let cookie = fleet.session_header(ALICE).await;
    let seen = received(fleet, &[("Cookie", &cookie)]).await;
    for name in CREDENTIAL_HEADERS {
        for spelling in spellings(name) {
            let headers = [("Accept", "application/json"), ("Cookie", cookie.as_str()), (spelling.as_str(), "sk-of-somebody")];
            let answer = raw_http::send(fleet.nginx().port(), "GET", "/ui/", &headers).await;
            // Either the check refuses the credential, or nginx drops the invalid header name.
            assert!([200, 401].contains(&answer.status), "{spelling}: {answer:?}");
            assert!(!answer.body.contains("sk-of-somebody"), "{spelling}: {answer:?}");
        }
        assert_eq!(values_of(&seen, name), Vec::<String>::new());
    }
}

/// Headers between clients and gateways: some frameworks use them for routing, after the check.
const GATEWAY_HEADERS: [&str; 6] = [
    "x-original-url",
    "x-original-method",
    "x-rewrite-url",
    "x-vestibule-untouched",
    "x-vestibule-removed",
    "proxy-authorization",
];

#[tokio::test(flavor = "multi_thread")]
async fn gateway_headers_of_a_client_never_reach_the_upstream() {
    let fleet = Fleet::shared().await;
    let cookie = fleet.session_header(CAROL).await;
    for name in GATEWAY_HEADERS {
        for spelling in spellings(name) {
            let seen = received(fleet, &[("Cookie", &cookie), (&spelling, FORGED)]).await;
            assert!(!seen.to_string().contains(FORGED), "{spelling}: {seen}");
            assert_eq!(values_of(&seen, name), Vec::<String>::new(), "{spelling}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_cookies_are_removed_and_all_others_are_kept() {
    let fleet = Fleet::shared().await;
    let cookie = fleet.session_header(ALICE).await;
    let table = [
        ("{}", ""),
        ("a=1; {}; b=2", "a=1; b=2"),
        ("a=1;{};b=2", "a=1;b=2"),
        ("{}; {}; a=1", "a=1"),
        ("a=1; vestibule-login=x; {}", "a=1"),
        ("vestibule-device=x; {}; a=1", "a=1"),
        ("__Host-vestibule=x; {}; __Host-vestibule-login=y; a=1; vestibule-login=z", "a=1"),
        ("myvestibule=1; {}; vestibule-x=2", "myvestibule=1; vestibule-x=2"),
        ("a=vestibule=1; {}", "a=vestibule=1"),
        ("{}; {}; {}; {}; {}; {}; a=1", ""),
    ];
    for (sent, expected) in table {
        let sent = sent.replace("{}", &cookie);
        let seen = received(fleet, &[("Cookie", &sent)]).await;
        assert_eq!(values_of(&seen, "cookie").join("; "), expected, "{sent}");
        assert!(!seen.to_string().contains(&cookie), "{seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_cookies_are_removed_from_several_cookie_headers() {
    let fleet = Fleet::shared().await;
    let cookie = fleet.session_header(ALICE).await;
    let seen = received(fleet, &[("Cookie", "a=1"), ("Cookie", &cookie), ("Cookie", "b=2")]).await;
    assert_eq!(values_of(&seen, "cookie").join("; "), "a=1; b=2");
}
