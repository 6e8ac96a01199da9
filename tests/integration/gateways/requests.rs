//! A table of requests and their outcomes, the same on every gateway.

use super::{Caller, GatewayFleet, JSON, assert_no_internal_headers, is_from_upstream};
use crate::support::forged_headers::values_of;
use crate::support::gateway::{Gateway, RunningGateway};
use crate::support::raw_http::Answer;
use Caller::{Admin, Anonymous, Key, Token, UnknownKey, User, Viewer};
use Outcome::{Challenge, Denied, DeniedPage, GrpcChallenge, SignIn, Upstream};

enum Outcome {
    /// The upstream receives the role, and the part of the email before the at sign.
    Upstream(&'static str, &'static str),
    /// 401 with a challenge.
    Challenge,
    /// The same, which Envoy translates to a status of gRPC.
    GrpcChallenge,
    /// A redirect to the sign-in that returns to the target.
    SignIn,
    Denied,
    DeniedPage,
}

struct Step {
    line: (&'static str, &'static str),
    caller: Caller,
    headers: &'static [(&'static str, &'static str)],
    outcome: Outcome,
}

const fn step(
    line: (&'static str, &'static str),
    caller: Caller,
    headers: &'static [(&'static str, &'static str)],
    outcome: Outcome,
) -> Step {
    Step { line, caller, headers, outcome }
}

const CHAT: (&str, &str) = ("GET", "/v1/chat?a=1&b=%2F");
const PAGE: (&str, &str) = ("GET", "/ui/?tab=a%2Fb&x=%26");
const ADMIN: (&str, &str) = ("GET", "/admin/x");
const HTML: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
const NAVIGATE: (&str, &str) = ("Sec-Fetch-Mode", "navigate");
const CORS: (&str, &str) = ("Sec-Fetch-Mode", "cors");
const XHR: (&str, &str) = ("X-Requested-With", "XMLHttpRequest");
const ORIGIN: (&str, &str) = ("Origin", "https://app.example.com");
const PREFLIGHT: (&str, &str) = ("Access-Control-Request-Method", "POST");
const GRPC: (&str, &str) = ("Content-Type", "application/grpc");
const EVENTS: (&str, &str) = ("Accept", "text/event-stream");

const TABLE: &[Step] = &[
    // Credentials of each kind and roles.
    step(CHAT, Admin, &[JSON], Upstream("proxy_admin", "alice")),
    step(CHAT, User, &[JSON], Upstream("internal_user", "bob")),
    // carol's address is not verified, and access tokens contain none.
    step(CHAT, Viewer, &[JSON], Upstream("internal_user_viewer", "")),
    step(CHAT, Key, &[JSON], Upstream("internal_user", "bob")),
    step(CHAT, Token, &[JSON], Upstream("proxy_admin", "")),
    step(ADMIN, Admin, &[JSON], Upstream("proxy_admin", "alice")),
    step(ADMIN, Token, &[JSON], Upstream("proxy_admin", "")),
    step(("GET", "/open/x"), Anonymous, &[JSON], Upstream("", "")),
    step(
        ("GET", "/v1/chat?host=evil.example&route=x&echo=true&allow_roles=none"),
        User,
        &[JSON],
        Upstream("internal_user", "bob"),
    ),
    step(("DELETE", "/v1/chat"), Key, &[JSON], Upstream("internal_user", "bob")),
    step(("OPTIONS", "/v1/chat"), Key, &[JSON], Upstream("internal_user", "bob")),
    step(("PATCH", "/v1/chat"), Key, &[JSON, ("Content-Length", "0")], Upstream("internal_user", "bob")),
    // Not authenticated.
    step(CHAT, Anonymous, &[], Challenge),
    step(CHAT, Anonymous, &[JSON], Challenge),
    step(CHAT, UnknownKey, &[JSON], Challenge),
    step(CHAT, Anonymous, &[("Cookie", "vestibule=forged"), JSON], Challenge),
    step(("POST", "/v1/chat"), Anonymous, &[HTML, NAVIGATE, ("Content-Length", "0")], Challenge),
    step(("OPTIONS", "/v1/chat"), Anonymous, &[ORIGIN, PREFLIGHT, CORS], Challenge),
    step(PAGE, Anonymous, &[HTML, CORS], Challenge),
    step(PAGE, Anonymous, &[HTML, XHR], Challenge),
    step(PAGE, Anonymous, &[HTML, ("Sec-Fetch-Site", "same-origin")], Challenge),
    step(PAGE, Anonymous, &[EVENTS], Challenge),
    step(PAGE, Anonymous, &[EVENTS, CORS], Challenge),
    step(("POST", "/svc.Method"), Anonymous, &[GRPC, ("Content-Length", "0")], GrpcChallenge),
    // The check is not reachable from outside.
    step(("GET", "/auth/nginx"), Anonymous, &[JSON], Challenge),
    step(("GET", "/auth/traefik?host=localhost"), Anonymous, &[JSON], Challenge),
    step(("GET", "/auth/envoy/localhost/open/x"), Anonymous, &[JSON], Challenge),
    // Navigations.
    step(PAGE, Anonymous, &[HTML], SignIn),
    step(PAGE, Anonymous, &[HTML, NAVIGATE], SignIn),
    step(PAGE, Anonymous, &[HTML, NAVIGATE, ("Cookie", "vestibule=forged")], SignIn),
    step(("GET", "/ui/?host=evil.example&echo=true&rd=//evil.example"), Anonymous, &[HTML, NAVIGATE], SignIn),
    // Not authorized.
    step(ADMIN, Viewer, &[JSON], Denied),
    step(ADMIN, Key, &[JSON], Denied),
    step(("GET", "/admin/x?host=localhost&route=open&allow_roles=internal_user"), User, &[JSON], Denied),
    step(("GET", "/closed/x"), Admin, &[JSON], Denied),
    step(("GET", "/closed/x"), Anonymous, &[JSON], Denied),
    step(("POST", "/admin/x"), User, &[JSON, ("Content-Length", "0")], Denied),
    step(ADMIN, Viewer, &[HTML, NAVIGATE], DeniedPage),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_gateway_allows_challenges_redirects_and_denies_alike() {
    let shared = GatewayFleet::shared().await;
    shared
        .gateways
        .each(async |to| {
            for step in TABLE {
                let answer = shared.send(to, step.line, step.caller, step.headers).await;
                let context = format!("{:?}: {:?} {:?} {:?}", to.gateway, step.line, step.caller, step.headers);
                assert_outcome(shared, to, step, &answer, &context);
            }
            let label = format!("gateway=\"{}\"", format!("{:?}", to.gateway).to_lowercase());
            assert!(shared.fleet.metric("vestibule_checks_total", &[&label]).await >= TABLE.len() as f64, "{label}");
        })
        .await;
}

/// A service worker of the upstream would see every later response of the host.
#[tokio::test(flavor = "multi_thread")]
async fn no_gateway_forwards_the_script_of_a_service_worker() {
    let shared = GatewayFleet::shared().await;
    shared
        .gateways
        .each(async |to| {
            let answer = shared.send(to, ("GET", "/ui/sw.js"), User, &[JSON, ("Service-Worker", "script")]).await;
            assert!(answer.status == 403 && !is_from_upstream(&answer), "{:?}: {answer:?}", to.gateway);
        })
        .await;
}

fn assert_outcome(shared: &GatewayFleet, to: &RunningGateway, step: &Step, answer: &Answer, context: &str) {
    if let Upstream(role, user) = step.outcome {
        assert_received(shared, step, answer, (role, user), context);
        return;
    }
    assert!(!is_from_upstream(answer), "{context}: {answer:?}");
    assert_no_internal_headers(answer, context);
    match step.outcome {
        GrpcChallenge if to.gateway == Gateway::Envoy => {
            assert_eq!((answer.status, answer.one("grpc-status")), (200, "16"), "{context}: {answer:?}");
        }
        Challenge | GrpcChallenge => assert_challenge(answer, context),
        SignIn => assert_sign_in(shared, step.line.1, answer, context),
        _ => {
            assert_eq!(answer.status, 403, "{context}: {answer:?}");
            if to.gateway.relays_denials() {
                assert_relayed_denial(answer, matches!(step.outcome, DeniedPage), context);
            }
        }
    }
}

fn assert_received(shared: &GatewayFleet, step: &Step, answer: &Answer, (role, user): (&str, &str), context: &str) {
    assert!(answer.status == 200 && is_from_upstream(answer), "{context}: {answer:?}");
    let received = answer.json();
    let value = |name: &str| values_of(&received, &format!("x-auth-request-{name}"));
    let email = if user.is_empty() { String::new() } else { format!("{user}@example.com") };
    assert_eq!((value("role").concat(), value("email").concat()), (role.to_owned(), email), "{context}");
    let key = if step.caller == Key { &shared.key.id } else { "" };
    assert_eq!((value("key").concat().as_str(), value("user").concat().is_empty()), (key, role.is_empty()), "{context}");
    assert_eq!((&received["path"], &received["method"]), (&step.line.1.into(), &step.line.0.into()), "{context}");
    let text = received.to_string();
    let credentials = [&shared.admin, &shared.user, &shared.viewer, &shared.key.key, &shared.token];
    assert!(credentials.iter().all(|credential| !text.contains(credential.as_str())), "{context}: {text}");
    assert!(!text.contains("gateway-secret"), "{context}: {text}");
    assert_eq!(values_of(&received, "cookie").concat(), "", "{context}: {text}");
}

fn assert_challenge(answer: &Answer, context: &str) {
    assert_eq!(answer.status, 401, "{context}: {answer:?}");
    assert!(answer.one("www-authenticate").starts_with("Bearer"), "{context}: {answer:?}");
    assert_eq!(answer.one("content-type"), "application/json", "{context}: {answer:?}");
    assert!(answer.json()["error"].is_string() && answer.all("location").is_empty(), "{context}: {answer:?}");
}

fn assert_sign_in(shared: &GatewayFleet, target: &str, answer: &Answer, context: &str) {
    assert_eq!(answer.status, 302, "{context}: {answer:?}");
    let public_url = url::Url::parse(&shared.fleet.url("/")).expect("a URL");
    let location = public_url.join(answer.one("location")).expect("a URL");
    assert_eq!((location.origin(), location.path()), (public_url.origin(), "/sso/login"), "{context}");
    let query: Vec<(String, String)> = location.query_pairs().into_owned().collect();
    let target = public_url.join(target).expect("a path").to_string();
    let [(name, rd)] = &query[..] else { panic!("{context}: {location}") };
    assert_eq!((name.as_str(), public_url.join(rd).expect("a URL").to_string()), ("rd", target), "{context}");
}

fn assert_relayed_denial(answer: &Answer, page: bool, context: &str) {
    let expected = if page { "text/html" } else { "application/json" };
    assert!(answer.one("content-type").starts_with(expected), "{context}: {answer:?}");
    if page {
        assert!(answer.body.contains("<title>") && !answer.all("content-security-policy").is_empty(), "{context}: {answer:?}");
    } else {
        assert!(answer.json()["error"].is_string(), "{context}: {answer:?}");
    }
}
