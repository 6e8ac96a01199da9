//! The X-Original headers must occur once and be well-formed, or the check is refused.

use super::{assert_allowed, assert_denied};
use crate::support::auth_request::send_to_check;
use crate::support::fleet::Fleet;
use crate::support::raw_http::Answer;
use crate::support::steps::ALICE;

const URL: (&str, &str) = ("x-original-url", "http://localhost/ui/");
const METHOD: (&str, &str) = ("x-original-method", "GET");

const MALFORMED_URLS: [&str; 18] = [
    "",
    "/",
    "/ui/",
    "//localhost/ui/",
    "localhost/ui/",
    "ftp://localhost/",
    "HTTP://localhost/",
    "http:/localhost/",
    "http:///ui/",
    "http://localhost",
    "http://localhost?/ui/",
    "http://localhost:80?/ui/",
    "http://localhost:/ui/",
    "http://localhost:99999/ui/",
    "http://user@localhost/ui/",
    "http://localhost, evil.example/ui/",
    "http://localhost/ui/ x",
    "http://localhost/ui/#top",
];

const MALFORMED_METHODS: [&str; 4] = ["", "GET POST", "GE(T", "GET,POST"];

async fn ask(headers: &[(&str, &str)]) -> Answer {
    let fleet = Fleet::shared().await;
    send_to_check(&fleet.pods[0], "GET", "/auth/nginx", headers).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_original_is_refused_even_with_a_session() {
    let cookie = Fleet::shared().await.session_header(ALICE).await;
    assert_allowed(&ask(&[URL, METHOD, ("cookie", &cookie)]).await);
    for url in MALFORMED_URLS {
        assert_denied(&ask(&[("x-original-url", url), METHOD, ("cookie", &cookie)]).await, 403, "invalid_request");
    }
    for method in MALFORMED_METHODS {
        assert_denied(&ask(&[URL, ("x-original-method", method), ("cookie", &cookie)]).await, 403, "invalid_request");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_repeated_original_is_refused_even_with_a_session() {
    let cookie = Fleet::shared().await.session_header(ALICE).await;
    let other_url = ("X-Original-Url", "http://localhost/health");
    let other_method = ("X-Original-METHOD", "OPTIONS");
    let cases: [&[(&str, &str)]; 8] = [
        &[],
        &[URL],
        &[METHOD],
        &[URL, URL, METHOD],
        &[URL, other_url, METHOD],
        &[other_url, URL, METHOD],
        &[URL, METHOD, METHOD],
        &[URL, METHOD, other_method],
    ];
    for headers in cases {
        let answer = ask(&[headers, &[("cookie", &cookie)]].concat()).await;
        assert_denied(&answer, 403, "invalid_request");
        assert_denied(&ask(headers).await, 403, "invalid_request");
    }
}

/// nginx passes these headers of the client unchanged.
#[tokio::test(flavor = "multi_thread")]
async fn headers_of_other_gateways_are_ignored() {
    let cookie = Fleet::shared().await.session_header(ALICE).await;
    let others = [
        ("x-forwarded-uri", "/ui/"),
        ("x-forwarded-host", "localhost"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-method", "GET"),
        ("x-auth-request-redirect", "/ui/"),
        ("x-original-uri", "/ui/"),
        ("path", "/ui/"),
        ("method", "GET"),
        ("cookie", cookie.as_str()),
    ];
    assert_denied(&ask(&others).await, 403, "invalid_request");
}
