//! Every kind of response of the public listener has its security headers.

use super::pod;
use crate::support::agent::{Agent, Page};

const PRIVATE: &str = "no-store";
const NO_CONTENT: &str = "default-src 'none'; frame-ancestors 'none'";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Page,
    /// JSON, a redirect, or an empty answer.
    Data,
    /// Data that caches may store.
    Cacheable,
}

fn assert_headers(kind: Kind, page: &Page) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-embedder-policy", "require-corp"),
    ] {
        assert_eq!(page.header(name), Some(value), "{name} of {}", page.url);
    }
    assert!(page.header("x-request-id").is_some(), "{}", page.url);
    let (policy, cache) = (page.header("content-security-policy").unwrap(), page.header("cache-control").unwrap());
    assert_eq!(cache == PRIVATE, kind != Kind::Cacheable, "{cache} of {}", page.url);
    if kind == Kind::Page {
        assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{}", page.url);
        for directive in ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(directive), "{policy} of {}", page.url);
        }
        assert!(!policy.contains("unsafe"), "{policy} of {}", page.url);
    } else {
        assert_eq!(policy, NO_CONTENT, "{}", page.url);
    }
}

#[tokio::test]
async fn every_kind_of_response_has_its_security_headers() {
    let (pod, agent) = (pod().await, Agent::new());
    let stylesheet = agent.get(&pod.public("/sso/logout")).await.body;
    let stylesheet = stylesheet.split('"').find(|text| text.contains("/assets/style.")).expect("a page has a style").to_owned();
    for (kind, status, path) in [
        (Kind::Page, 200, "/sso/logout"),
        (Kind::Page, 404, "/nowhere"),
        (Kind::Page, 404, "/sso/login?provider=unknown"),
        (Kind::Page, 400, "/sso/login?rd=/a&rd=/b"),
        (Kind::Data, 302, "/vestibule/"),
        (Kind::Data, 302, "/vestibule/keys"),
        (Kind::Data, 302, "/vestibule/people"),
        (Kind::Data, 302, "/sso/key/generate?response_type=oauth_token"),
        (Kind::Data, 400, "/sso/key/generate?response_type=unknown"),
        (Kind::Data, 401, "/sso/session"),
        (Kind::Data, 401, "/vestibule/api/keys"),
        (Kind::Data, 404, "/vestibule/api/nowhere"),
        (Kind::Data, 404, "/onboarding/get_token"),
        (Kind::Data, 405, "/vestibule/api/sign-in"),
        (Kind::Data, 404, "/vestibule/assets/nothing.0.css"),
        (Kind::Cacheable, 200, "/vestibule/api/openapi.json"),
        (Kind::Cacheable, 200, "/vestibule/jwks.json"),
        (Kind::Cacheable, 200, &stylesheet),
    ] {
        let page = agent.get(&pod.public(path)).await;
        assert_eq!(page.status, status, "{path}: {}", page.body);
        assert_headers(kind, &page);
    }
    for (kind, status, path) in [(Kind::Page, 400, "/sso/logout"), (Kind::Data, 302, "/vestibule/keys")] {
        let field = "x".repeat(if status == 400 { 20 << 10 } else { 1 });
        let page = agent.post(&pod.public(path), &[("csrf", &field)]).await;
        assert_eq!(page.status, status, "{path}: {}", page.body);
        assert_headers(kind, &page);
    }
}
