//! The dialects of the gateways that relay answers, sent directly to a pod's check listener.

use url::Url;

use super::assert_allowed;
use crate::support::auth_request::{CREDENTIAL_HEADERS, GATEWAY_SECRET, send_to_check};
use crate::support::fleet::Fleet;
use crate::support::pod::Pod;
use crate::support::raw_http::{self, Answer};
use crate::support::steps::{ALICE, IDENTITY_HEADERS};

type Headers = &'static [(&'static str, &'static str)];

/// A gateway's auth request for `GET /ui/?a=1`.
struct Gateway {
    name: &'static str,
    target: &'static str,
    headers: Headers,
}

const ORIGINAL: Headers = &[("x-original-url", "http://localhost/ui/?a=1"), ("x-original-method", "GET")];
const FORWARDED: Headers = &[
    ("x-forwarded-method", "GET"),
    ("x-forwarded-proto", "http"),
    ("x-forwarded-host", "localhost"),
    ("x-forwarded-uri", "/ui/?a=1"),
];
const PROTO: Headers = &[("x-forwarded-proto", "http")];

const GATEWAYS: [Gateway; 5] = [
    Gateway { name: "traefik", target: "/auth/traefik?host=localhost", headers: FORWARDED },
    Gateway { name: "caddy", target: "/auth/caddy?host=localhost", headers: FORWARDED },
    Gateway { name: "envoy", target: "/auth/envoy/localhost/ui/?a=1", headers: PROTO },
    Gateway { name: "haproxy", target: "/auth/haproxy?host=localhost", headers: FORWARDED },
    Gateway { name: "apisix", target: "/auth/apisix?host=localhost", headers: FORWARDED },
];

const NAVIGATION: (&str, &str) = ("sec-fetch-mode", "navigate");
const HTML: (&str, &str) = ("accept", "text/html,*/*;q=0.8");

/// The headers that a client may see.
const RELAYED: [&str; 14] = [
    "cache-control",
    "connection",
    "content-length",
    "content-security-policy",
    "content-type",
    "cross-origin-embedder-policy",
    "cross-origin-opener-policy",
    "date",
    "location",
    "referrer-policy",
    "www-authenticate",
    "x-content-type-options",
    "x-frame-options",
    "x-request-id",
];

impl Gateway {
    async fn ask(&self, pod: &Pod, headers: &[(&str, &str)]) -> Answer {
        send_to_check(pod, "GET", self.target, &[self.headers, headers].concat()).await
    }
}

#[track_caller]
fn assert_for_client(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    for (name, _) in &answer.headers {
        assert!(RELAYED.contains(&name.as_str()), "{name}: {answer:?}");
    }
    assert_eq!(answer.one("cache-control"), "no-store", "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_dialect_allows_a_session_with_all_identity_headers() {
    let fleet = Fleet::shared().await;
    let cookie = fleet.session_header(ALICE).await;
    for gateway in GATEWAYS {
        let count = async || {
            let words = [format!("gateway=\"{}\"", gateway.name), "outcome=\"allowed\"".to_owned()];
            fleet.pods[0].metric("vestibule_checks_total", &[&words[0], &words[1]]).await
        };
        let before = count().await;
        let answer = gateway.ask(&fleet.pods[0], &[("cookie", &cookie)]).await;
        assert_allowed(&answer);
        assert_eq!(answer.one("x-auth-request-preferred-username"), "alice", "{}", gateway.name);
        assert_eq!(answer.all("set-cookie"), Vec::<&str>::new());
        assert!(count().await > before, "{}", gateway.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_other_families_are_ignored() {
    let fleet = Fleet::shared().await;
    let cookie = fleet.session_header(ALICE).await;
    for gateway in GATEWAYS {
        let foreign = if gateway.name == "envoy" { &FORWARDED[2..] } else { &[] };
        let foreign = [ORIGINAL, foreign, &[("cookie", cookie.as_str())]].concat();
        let target = gateway.target.replace("localhost", "-");
        let target = if gateway.name == "envoy" { &target } else { gateway.target };
        let answer = send_to_check(&fleet.pods[0], "GET", target, &foreign).await;
        assert_for_client(&answer, 403);
        assert_eq!(answer.json()["error"], "invalid_request", "{}", gateway.name);
        let evil = [("x-original-url", "http://evil.example/admin"), ("x-original-method", "DELETE"), ("cookie", &cookie)];
        assert_allowed(&gateway.ask(&fleet.pods[0], &evil).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_opens_a_page_is_redirected_and_a_program_is_not() {
    let fleet = Fleet::shared().await;
    for gateway in GATEWAYS {
        for navigation in [&[NAVIGATION][..], &[HTML]] {
            let answer = gateway.ask(&fleet.pods[1], navigation).await;
            assert_for_client(&answer, 302);
            assert_eq!(answer.one("location"), fleet.url("/sso/login?rd=%2Fui%2F%3Fa%3D1"), "{}", gateway.name);
        }
        let program: [&[(&str, &str)]; 5] = [
            &[],
            &[("sec-fetch-mode", "cors"), HTML],
            &[HTML, ("x-requested-with", "XMLHttpRequest")],
            &[HTML, ("connection", "close, upgrade"), ("upgrade", "websocket")],
            &[("accept", "text/event-stream")],
        ];
        for headers in program {
            let answer = gateway.ask(&fleet.pods[1], headers).await;
            assert_for_client(&answer, 401);
            assert!(answer.one("www-authenticate").starts_with("Bearer "), "{}: {answer:?}", gateway.name);
            assert_eq!(answer.json()["error"], "login_required", "{}: {headers:?}", gateway.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_a_page_or_json_without_internal_headers() {
    let fleet = Fleet::shared().await;
    let cookie = fleet.session_header(ALICE).await;
    for gateway in GATEWAYS {
        let repeated = [("x-forwarded-proto", "http"), ("cookie", &cookie)];
        let json = gateway.ask(&fleet.pods[2], &repeated).await;
        assert_for_client(&json, 403);
        assert_eq!(json.json()["error"], "invalid_request", "{}", gateway.name);
        let page = gateway.ask(&fleet.pods[2], &[&repeated[..], &[HTML]].concat()).await;
        assert_for_client(&page, 403);
        assert_eq!(page.one("content-type"), "text/html; charset=utf-8");
        assert!(page.body.contains("Request refused") && page.body.contains(page.one("x-request-id")), "{}", page.body);
        if gateway.name != "envoy" {
            let target = format!("{}&allow_roles=none", gateway.target);
            let headers = [gateway.headers, &[("cookie", &cookie), HTML]].concat();
            let page = send_to_check(&fleet.pods[2], "GET", &target, &headers).await;
            assert_for_client(&page, 403);
            assert!(page.body.contains("Access denied"), "{}", page.body);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_header_cannot_name_headers_of_the_gateway() {
    let fleet = Fleet::shared().await;
    let cookie = fleet.session_header(ALICE).await;
    let nginx = Gateway { name: "nginx", target: "/auth/nginx?host=localhost", headers: ORIGINAL };
    for gateway in GATEWAYS.into_iter().chain([nginx]) {
        for named in IDENTITY_HEADERS.into_iter().chain(CREDENTIAL_HEADERS).chain(["cookie", "x-vestibule-assertion"]) {
            let connection = format!("close, {}", named.to_uppercase());
            let answer = gateway.ask(&fleet.pods[0], &[("connection", &connection), ("cookie", &cookie)]).await;
            assert_eq!(answer.status, 403, "{}: {named}", gateway.name);
        }
        assert_allowed(&gateway.ask(&fleet.pods[0], &[("connection", "close, te"), ("cookie", &cookie)]).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_credentials_end_at_the_gateway() {
    let fleet = Fleet::shared().await;
    let own = fleet.session_header(ALICE).await;
    let cookies = format!("a=1; {own}; vestibule-login=x; b=2");
    for gateway in GATEWAYS {
        let target = if gateway.name == "envoy" { gateway.target.to_owned() } else { format!("{}&echo=true", gateway.target) };
        for (sent, kept) in [(cookies.as_str(), Some("a=1; b=2")), (own.as_str(), None)] {
            let headers = [gateway.headers, &[("cookie", sent), ("authorization", "Basic YTpi")]].concat();
            let answer = send_to_check(&fleet.pods[0], "GET", &target, &headers).await;
            assert_allowed(&answer);
            assert_eq!(answer.all("cookie"), kept.into_iter().collect::<Vec<_>>(), "{}: {answer:?}", gateway.name);
            for name in CREDENTIAL_HEADERS {
                assert_eq!(answer.all(name), Vec::<&str>::new(), "{}: {answer:?}", gateway.name);
            }
            if gateway.name == "envoy" {
                let removed: Vec<&str> = answer.one("x-envoy-auth-headers-to-remove").split(", ").collect();
                assert!(CREDENTIAL_HEADERS.iter().all(|name| removed.contains(name)), "{removed:?}");
                assert_eq!(removed.contains(&"cookie"), kept.is_none(), "{removed:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn envoys_target_is_the_clients_and_is_not_changed() {
    let fleet = Fleet::shared().await;
    let (pod, cookie) = (&fleet.pods[0], fleet.session_header(ALICE).await);
    let targets = [
        "/",
        "//",
        "//evil.example/x",
        "/../../auth/nginx",
        "/a/./b//../%2e%2e/c%2Fd;x=1",
        "/%0a%00%zz",
        "/?host=evil.example&host=x",
        "/a?echo=true&route=none&allow_roles=&x=%26",
        "/a?",
        "/a??/../b",
    ];
    for target in targets {
        for prefix in ["/auth/envoy/localhost", "/auth/envoy/-"] {
            let check = format!("{prefix}{target}");
            for method in ["GET", "HEAD", "POST", "OPTIONS", "DELETE", "BREW"] {
                assert_allowed(&send_to_check(pod, method, &check, &[PROTO, &[("cookie", &cookie)]].concat()).await);
            }
            let answer = send_to_check(pod, "GET", &check, &[PROTO, &[NAVIGATION]].concat()).await;
            assert_for_client(&answer, 302);
            let location = Url::parse(answer.one("location")).expect("an absolute URL");
            let query: Vec<(String, String)> = location.query_pairs().into_owned().collect();
            assert_eq!(query, [("rd".to_owned(), target.to_owned())], "{location}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn envoys_host_and_target_must_be_for_the_named_host() {
    let pod = &Fleet::shared().await.pods[0];
    for (target, host) in [
        ("/auth/envoy/localhost/x", "evil.example"),
        ("/auth/envoy/evil.example/x", "localhost"),
        ("/auth/envoy/-/x", "evil.example"),
        ("/auth/envoy//x", "localhost"),
        ("/auth/envoy/localhost", "localhost"),
        ("/auth/envoy/localhost?x", "localhost"),
        ("/auth/envoy/%6cocalhost/x", "localhost"),
        ("/auth/envoy/-/x", "user@localhost"),
        ("http://localhost/auth/envoy/-/x", "localhost"),
    ] {
        let answer = send_to_check(pod, "GET", target, &[PROTO, &[("host", host)]].concat()).await;
        assert_for_client(&answer, 403);
        assert_eq!(answer.json()["error"], "invalid_request", "{target}");
    }
    assert_for_client(
        &send_to_check(pod, "GET", "/auth/envoy/LocalHost.:80/x", &[PROTO, &[("host", "LOCALHOST:1")]].concat()).await,
        401,
    );
    let head = format!(
        "GET /auth/envoy/-/caf\u{e9} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Forwarded-Proto: http\r\n\
         X-Vestibule-Gateway-Secret: {GATEWAY_SECRET}\r\n\r\n"
    );
    let answer = raw_http::send_bytes(pod.check_port(), head.as_bytes()).await.expect("an answer");
    assert!(matches!(answer.status, 400 | 403), "{answer:?}");
}
