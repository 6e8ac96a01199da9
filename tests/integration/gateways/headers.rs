//! No header of a client reaches the upstream as one of the gateway, or has an effect on the check.

use serde_json::Value;

use super::{Caller, GatewayFleet, JSON, UPSTREAM_CREDENTIAL, is_from_upstream};
use crate::support::auth_request::{CREDENTIAL_HEADERS, GATEWAY_SECRET};
use crate::support::forged_headers::{FORGED, spellings, values_of};
use crate::support::gateway::RunningGateway;
use crate::support::steps::IDENTITY_HEADERS;

const TARGET: &str = "/v1/models";

/// Headers between gateway, check and upstream, of all families. Some frameworks route by them, after the check.
const GATEWAY_HEADERS: [&str; 13] = [
    "x-vestibule-assertion",
    "x-vestibule-untouched",
    "x-vestibule-removed",
    "x-vestibule-gateway-secret",
    "x-original-url",
    "x-original-method",
    "x-rewrite-url",
    "x-forwarded-uri",
    "x-forwarded-method",
    "x-forwarded-host",
    "x-forwarded-proto",
    "proxy-authorization",
    "x-envoy-original-path",
];

/// The identity and gateway headers that the upstream received.
fn trusted(received: &Value) -> Vec<(&'static str, Vec<String>)> {
    IDENTITY_HEADERS.into_iter().chain(GATEWAY_HEADERS).map(|name| (name, values_of(received, name))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_header_that_a_client_forges_reaches_the_upstream() {
    let shared = GatewayFleet::shared().await;
    shared.gateways.each(async |to| forge_each_header(shared, to).await).await;
}

async fn forge_each_header(shared: &GatewayFleet, to: &RunningGateway) {
    let honest = shared.received(to, TARGET, Caller::Viewer, &[]).await;
    assert_eq!(values_of(&honest, "x-auth-request-role"), ["internal_user_viewer"], "{:?}", to.gateway);
    let names = IDENTITY_HEADERS.into_iter().chain(GATEWAY_HEADERS);
    for spelling in names.clone().flat_map(spellings) {
        let received = shared.received(to, TARGET, Caller::Viewer, &[(&spelling, FORGED)]).await;
        assert_eq!(trusted(&received), trusted(&honest), "{:?}: {spelling}", to.gateway);
        assert!(!received.to_string().contains(FORGED), "{:?}: {spelling}: {received}", to.gateway);
        let twice = [JSON, (spelling.as_str(), FORGED), (spelling.as_str(), FORGED)];
        let answer = shared.send(to, ("GET", TARGET), Caller::Viewer, &twice).await;
        // nginx refuses some headers if they are repeated.
        if is_from_upstream(&answer) {
            assert_eq!(trusted(&answer.json()), trusted(&honest), "{:?}: {spelling} twice", to.gateway);
        } else {
            assert_eq!(answer.status, 400, "{:?}: {spelling} twice: {answer:?}", to.gateway);
        }
    }
    // A gateway secret of the client has no effect, even if it is the correct one.
    let secrets = [("X-Vestibule-Gateway-Secret", GATEWAY_SECRET), ("x-vestibule-gateway-secret", FORGED)];
    let received = shared.received(to, TARGET, Caller::Viewer, &secrets).await;
    assert_eq!(trusted(&received), trusted(&honest), "{:?}", to.gateway);
    assert!(!received.to_string().contains(GATEWAY_SECRET), "{:?}: {received}", to.gateway);
    // Pages of Vestibule ignore it.
    let answer = shared.send(to, ("GET", "/sso/session"), Caller::Viewer, &secrets).await;
    assert_eq!(answer.status, 200, "{:?}: {answer:?}", to.gateway);

    // All headers in one request, in one spelling each: nginx refuses some headers if they are repeated.
    for spelling in 0..spellings(IDENTITY_HEADERS[0]).len() {
        let all: Vec<String> = names.clone().map(|name| spellings(name).swap_remove(spelling)).collect();
        let forged: Vec<(&str, &str)> = all.iter().map(|name| (name.as_str(), FORGED)).collect();
        let received = shared.received(to, TARGET, Caller::Viewer, &forged).await;
        assert_eq!(trusted(&received), trusted(&honest), "{:?}: {all:?}", to.gateway);
    }
}

/// Proxies remove headers that are listed in `Connection`: the request is refused, or the upstream receives every identity header.
#[tokio::test(flavor = "multi_thread")]
async fn a_header_listed_in_connection_removes_no_identity_header() {
    let shared = GatewayFleet::shared().await;
    shared.gateways.each(async |to| list_each_header(shared, to).await).await;
}

async fn list_each_header(shared: &GatewayFleet, to: &RunningGateway) {
    let honest = shared.received(to, TARGET, Caller::Viewer, &[]).await;
    let names = IDENTITY_HEADERS.into_iter().chain(GATEWAY_HEADERS).chain(CREDENTIAL_HEADERS).chain(["cookie", "host"]);
    for name in names {
        for listed in [format!("close, {name}"), format!("{}, close", name.to_uppercase()), format!("keep-alive,{name}")] {
            let headers = [JSON, ("Connection", listed.as_str()), (name, FORGED)];
            // A forged credential or host would be refused because of its value.
            let is_own = CREDENTIAL_HEADERS.contains(&name) || ["cookie", "host"].contains(&name);
            let headers = if is_own { &headers[..2] } else { &headers[..] };
            let answer = shared.send(to, ("GET", TARGET), Caller::Viewer, headers).await;
            if is_from_upstream(&answer) {
                let received = answer.json();
                assert_eq!(trusted(&received), trusted(&honest), "{:?}: {listed}", to.gateway);
                assert!(!received.to_string().contains(&shared.viewer), "{:?}: {listed}: {received}", to.gateway);
            } else {
                assert!([400, 401, 403].contains(&answer.status), "{:?}: {listed}: {answer:?}", to.gateway);
            }
        }
    }
}

/// Every gateway passes the headers of the other families to the check.
#[tokio::test(flavor = "multi_thread")]
async fn headers_of_other_gateways_do_not_change_the_authorized_request() {
    let shared = GatewayFleet::shared().await;
    let forged = [
        JSON,
        ("X-Original-URL", "http://localhost/open/x"),
        ("X-Original-Method", "OPTIONS"),
        ("X-Rewrite-URL", "/open/x"),
        ("X-Forwarded-Uri", "/open/x"),
        ("X-Forwarded-Method", "OPTIONS"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "localhost"),
        ("X-Forwarded-Prefix", "/open"),
        ("X-Envoy-Original-Path", "/open/x"),
        ("X-HTTP-Method-Override", "OPTIONS"),
        ("Forwarded", "host=evil.example;proto=https"),
    ];
    shared
        .gateways
        .each(async |to| {
            for (name, value) in forged {
                for (caller, status) in [(Caller::Viewer, 403), (Caller::Anonymous, 401)] {
                    let answer = shared.send(to, ("GET", "/admin/x"), caller, &[JSON, (name, value)]).await;
                    assert_eq!(answer.status, status, "{:?}: {name}: {answer:?}", to.gateway);
                }
            }
            let answer = shared.send(to, ("GET", "/admin/x"), Caller::Viewer, &forged).await;
            assert_eq!(answer.status, 403, "{:?}: {answer:?}", to.gateway);
            let other_hosts = [("X-Forwarded-Host", "evil.example"), ("X-Original-URL", "http://evil.example/")];
            let received = shared.received(to, TARGET, Caller::Viewer, &other_hosts).await;
            assert!(!received.to_string().contains("evil"), "{:?}: {received}", to.gateway);
        })
        .await;
}

/// Credentials end at the gateway in every header, and the client's other cookies pass.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_and_our_cookies_end_at_the_gateway() {
    let shared = GatewayFleet::shared().await;
    shared
        .gateways
        .each(async |to| {
            for name in CREDENTIAL_HEADERS {
                let value = if name == "authorization" { format!("Bearer {}", shared.key.key) } else { shared.key.key.clone() };
                for name in [name.to_owned(), name.to_uppercase()] {
                    let received = shared.received(to, TARGET, Caller::Anonymous, &[(&name, &value)]).await;
                    assert!(!received.to_string().contains(&shared.key.key), "{:?}: {name}: {received}", to.gateway);
                    assert_eq!(values_of(&received, "x-auth-request-key"), [shared.key.id.as_str()], "{:?}: {name}", to.gateway);
                }
                let answer = shared.send(to, ("GET", TARGET), Caller::Viewer, &[JSON, (name, "Bearer sk-wrong")]).await;
                assert_eq!(answer.status, 401, "{:?}: {name}: no fallback to the cookie: {answer:?}", to.gateway);
            }
            for (sent, kept) in [("a=1; {}; b=2", "a=1; b=2"), ("{}", ""), ("vestibule-login=x; {}; a=1; {}", "a=1")] {
                let sent = sent.replace("{}", &shared.user);
                let received = shared.received(to, TARGET, Caller::Anonymous, &[("Cookie", &sent)]).await;
                assert_eq!(values_of(&received, "cookie").concat(), kept, "{:?}: {sent}", to.gateway);
            }
        })
        .await;
}

/// The upstream's own credential takes the place of the client's, and a path that is open to anyone keeps the client's.
#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_receives_the_credential_that_the_role_map_says() {
    let shared = GatewayFleet::shared().await;
    let foreign = [("Authorization", "Bearer of-the-upstreams-own-user"), ("X-Api-Key", "foreign")];
    shared
        .gateways
        .each(async |to| {
            for (target, caller, headers, authorization, api_key) in [
                ("/static/x", Caller::User, &[][..], UPSTREAM_CREDENTIAL, ""),
                ("/static/x", Caller::Key, &[], UPSTREAM_CREDENTIAL, ""),
                ("/v1/x", Caller::Key, &[], "", ""),
                ("/open/x", Caller::Anonymous, &foreign, foreign[0].1, foreign[1].1),
                ("/open/x", Caller::User, &foreign, foreign[0].1, foreign[1].1),
            ] {
                let received = shared.received(to, target, caller, headers).await;
                let found = ["authorization", "x-api-key"].map(|name| values_of(&received, name).concat());
                assert_eq!(found, [authorization, api_key], "{:?}: {target} {caller:?}: {received}", to.gateway);
            }
        })
        .await;
}
