//! The check listener: accepted auth requests, and the format of answers.

use std::collections::HashMap;

use url::Url;

use super::{assert_allowed, assert_denied};
use crate::support::auth_request::{CREDENTIAL_HEADERS, GATEWAY_SECRET, auth_request, auth_request_at, send_to_check};
use crate::support::fleet::Fleet;
use crate::support::raw_http;
use crate::support::steps::{ALICE, CAROL, IDENTITY_HEADERS};

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_credential_in_a_header_is_refused_and_the_cookie_is_not_tried() {
    let fleet = Fleet::shared().await;
    let (pod, cookie) = (&fleet.pods[0], fleet.session_header(ALICE).await);
    for name in CREDENTIAL_HEADERS {
        for value in ["sk-wrong", "Bearer sk-wrong", "a.b.c"] {
            let answer = auth_request(pod, &[(name, value), ("cookie", &cookie)]).await;
            assert_denied(&answer, 401, "invalid_token");
        }
    }
    assert_allowed(&auth_request(pod, &[("cookie", &cookie)]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_header_and_another_scheme_count_as_no_credential() {
    let fleet = Fleet::shared().await;
    let (pod, cookie) = (&fleet.pods[0], fleet.session_header(ALICE).await);
    let empty = CREDENTIAL_HEADERS.map(|name| (name, ""));
    let schemes =
        ["Basic YTpi", "Digest username=\"a\"", "Negotiate", "Bearer", "Bearer  "].map(|value| ("authorization", value));
    for absent in empty.into_iter().chain(schemes) {
        assert_allowed(&auth_request(pod, &[absent, ("cookie", &cookie)]).await);
        assert_denied(&auth_request(pod, &[absent]).await, 401, "login_required");
        assert_denied(&auth_request(pod, &[absent, ("x-api-key", "sk-wrong"), ("cookie", &cookie)]).await, 401, "invalid_token");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_different_credentials_are_refused() {
    let fleet = Fleet::shared().await;
    let (pod, cookie) = (&fleet.pods[0], fleet.session_header(ALICE).await);
    for first in CREDENTIAL_HEADERS {
        for second in CREDENTIAL_HEADERS {
            let answer = auth_request(pod, &[(first, "sk-one"), (second, "sk-two"), ("cookie", &cookie)]).await;
            assert_denied(&answer, 401, "invalid_token");
        }
    }
    let two = format!("{cookie}; vestibule=another");
    assert_denied(&auth_request(pod, &[("cookie", &two)]).await, 401, "invalid_token");
    assert_denied(&auth_request(pod, &[("cookie", &cookie), ("cookie", "vestibule=another")]).await, 401, "invalid_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_method_and_any_suffix_of_the_path_is_a_check() {
    let fleet = Fleet::shared().await;
    let (pod, cookie) = (&fleet.pods[0], fleet.session_header(ALICE).await);
    let suffixes = ["", "/", "//a/../b/%2e%2e/c%2Fd", "/v1/chat", "/%00", "/%ff", "/a;b=c", "/../../metrics", "/..", "/*"];
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "TRACE", "BREW"] {
        for suffix in suffixes {
            let target = format!("/auth/nginx{suffix}");
            let answer = auth_request_at(pod, method, &target, &[("cookie", &cookie)]).await;
            assert_allowed(&answer);
            let denied = auth_request_at(pod, method, &target, &[]).await;
            assert_eq!(denied.status, 401, "{method} {target}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_path_is_no_check() {
    let fleet = Fleet::shared().await;
    let (pod, cookie) = (&fleet.pods[0], fleet.session_header(ALICE).await);
    for target in
        ["/", "/auth", "/auth/", "/auth/nginxx", "/auth/%6eginx", "/AUTH/NGINX", "/metrics", "/sso/login", "//auth/nginx"]
    {
        assert_denied(&auth_request_at(pod, "GET", target, &[("cookie", &cookie)]).await, 403, "invalid_request");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_is_answered_in_plain_http() {
    let fleet = Fleet::shared().await;
    let (pod, cookie) = (&fleet.pods[0], fleet.session_header(ALICE).await);
    let upgrade = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    for connection in ["Upgrade", "upgrade", "keep-alive, Upgrade"] {
        let headers = [&[("connection", connection)], &upgrade[1..], &[("cookie", cookie.as_str())]].concat();
        assert_allowed(&auth_request(pod, &headers).await);
        assert_denied(&auth_request(pod, &headers[..4]).await, 401, "login_required");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_request_has_every_identity_header_even_if_empty() {
    let fleet = Fleet::shared().await;
    let cookie = fleet.session_header(CAROL).await;
    for pod in &fleet.pods {
        let answer = auth_request(pod, &[("cookie", &cookie)]).await;
        assert_allowed(&answer);
        let found = IDENTITY_HEADERS.map(|name| answer.one(name));
        assert_eq!(found[1..], ["", "carol", "", "internal_user_viewer", ""]);
        assert_eq!(answer.all("set-cookie"), Vec::<&str>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_has_a_challenge_and_no_identity() {
    let fleet = Fleet::shared().await;
    let pod = &fleet.pods[0];
    let nobody = auth_request(pod, &[]).await;
    assert_denied(&nobody, 401, "login_required");
    assert_eq!(nobody.one("www-authenticate"), r#"Bearer realm="vestibule""#);
    assert_eq!(nobody.one("content-type"), "application/json");
    let unknown = auth_request(pod, &[("cookie", "vestibule=nobody")]).await;
    assert_denied(&unknown, 401, "invalid_token");
    assert_eq!(unknown.one("www-authenticate"), r#"Bearer realm="vestibule", error="invalid_token""#);
    let size: usize = unknown.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    assert!(size < 4096, "nginx reads 4 KiB: {size}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_has_the_sign_in_url_with_the_exact_target() {
    let pod = &Fleet::shared().await.pods[0];
    let targets =
        ["/", "/ui/?a=1&b=2", "/a%2Fb?c=%26&d=%2f", "/x?rd=/y&provider=z", "/a+b?c=d+e", "/?", "/a?b?c", "//x", "/;a=b&c", "/%"];
    for target in targets {
        let headers = [("x-original-url", format!("http://localhost{target}")), ("x-original-method", "GET".to_owned())];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = send_to_check(pod, "GET", "/auth/nginx", &headers).await;
        assert_denied(&answer, 401, "login_required");
        let sign_in = Url::parse("http://localhost").unwrap().join(answer.one("x-vestibule-sign-in")).unwrap();
        assert_eq!((sign_in.host_str(), sign_in.path()), (Some("localhost"), "/sso/login"));
        let query: HashMap<String, String> = sign_in.query_pairs().into_owned().collect();
        assert_eq!(query, HashMap::from([("rd".to_owned(), target.to_owned())]), "{sign_in}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_cookies_are_ignored() {
    let fleet = Fleet::shared().await;
    let (port, cookie) = (fleet.pods[0].check_port(), fleet.session_header(ALICE).await);
    let beside: [&[u8]; 8] = [
        b"theme=dark",
        b"caf\xe9=\xff\xfe",
        "größe=ü".as_bytes(),
        b"broken",
        b"=nameless",
        b"a=\"quoted; b=1\"",
        b"a={\"json\":[1,2]}, b",
        b";;; ;",
    ];
    for other in beside {
        for line in [[other, b"; ", cookie.as_bytes()].concat(), [cookie.as_bytes(), b"; ", other].concat()] {
            let head = format!(
                "GET /auth/nginx HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Vestibule-Gateway-Secret: {GATEWAY_SECRET}\r\n\
                 X-Original-URL: http://localhost/\r\nX-Original-Method: GET\r\nCookie: "
            );
            let answer = raw_http::send_bytes(port, &[head.as_bytes(), line.as_slice(), b"\r\n\r\n"].concat()).await;
            assert_allowed(&answer.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&line))));
        }
    }
}
