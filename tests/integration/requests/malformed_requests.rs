//! Large, malformed and repeated heads, cookies and parameters.

use rstest::rstest;

use super::{Listener, SECRET_MARKER, assert_pod_works, pod, statuses};
use crate::support::raw_http;

/// Data that is not HTTP/1.1, and malformed heads.
fn malformed_requests() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"GET /sso/session\r\n\r\n",
        b"GET /sso/session HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /sso/session HTTP/1.1 HTTP/1.1\r\n\r\n",
        b"GET  /sso/session HTTP/1.1\r\n\r\n",
        b"GET /sso /session HTTP/1.1\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\n\r\n",
        b"G\0T / HTTP/1.1\r\n\r\n",
        b"GET\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"GET / HTTP/1.1\r\n: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\x00: x\r\n\r\n",
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    let many: String = (0..200).map(|number| format!("X-{number}: y\r\n")).collect();
    for large in [
        format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(200 << 10)),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\n\r\n", "a".repeat(200 << 10)),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}: a\r\n\r\n", "a".repeat(200 << 10)),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"),
        format!("{} / HTTP/1.1\r\nHost: localhost\r\n\r\n", "G".repeat(200 << 10)),
    ] {
        all.push(large.into_bytes());
    }
    all
}

/// Additional headers of a request.
fn headers() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        &b"Cookie: vestibule=\xff\xfe; a=\xc0\xaf"[..],
        b"Cookie: \xe9=\xe9; vestibule-login=\xff",
        b"Cookie: ;;;==;= ;vestibule",
        b"Cookie: vestibule=\"hush-hush-hush; a=b",
        b"Cookie: vestibule=hush-hush-hush; vestibule=hush-hush-hush2",
        b"Cookie: vestibule=hush-hush-hush\r\nCookie: vestibule=another",
        b"Cookie:",
        b"Authorization: Bearer hush-hush-hush\r\nAuthorization: Bearer other",
        b"Authorization: Bearer \xff\xfe",
        b"Authorization: hush-hush-hush",
        b"Authorization:",
        b"X-Api-Key: sk-hush-hush-hush",
        b"Referer: http://[::1",
        b"Origin: null\r\nOrigin: \xff",
        b"Accept: \xff, */*;q=nan",
        b"Accept-Language: \xff;q=9e999, x-hush-hush-hush",
        b"User-Agent: \x7f-\xff",
        b"X-Forwarded-For: hush-hush-hush, 1.2.3.4, \xff",
        b"X-Request-Id: hush-hush-hush\"}\xff",
        b"Forwarded: for=\"[::1",
        b"Content-Type: text/\xff; charset=\xff",
        b"Content-Type: application/x-www-form-urlencoded; charset=utf-7",
        b"Range: bytes=0-,-1,9999999999999999999-",
        b"If-Modified-Since: yesterday",
        b"Expect: 200-maybe",
        b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
        b"TE: trailers, hush",
        b"Host: evil.example.com",
        b"Host:",
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    all.push(format!("Cookie: {}vestibule={SECRET_MARKER}", "a=b; ".repeat(4000)).into_bytes());
    all.push(format!("Accept-Language: {}", "en-x;q=0.1,".repeat(4000)).into_bytes());
    all
}

/// Public paths that read a query.
const ADDRESSES: [&str; 9] = [
    "/sso/login",
    "/sso/callback",
    "/sso/logout",
    "/sso/session",
    "/sso/key/generate",
    "/onboarding",
    "/onboarding/get_token",
    "/vestibule/",
    "/vestibule/api/keys",
];

const QUERIES: [&str; 16] = [
    "rd=/a&rd=/b",
    "state=hush-hush-hush&state=other&code=x",
    "code=hush-hush-hush&code=hush-hush-hush",
    "code=&state=",
    "code=%00&state=%00",
    "code=%ff&state=%c0%af",
    "code=%&state=%zz",
    "error=%0aforged&error_description=%0aforged&state=x",
    "rd=%0d%0aSet-Cookie:a=b",
    "rd=%2f%2fevil.example.com",
    "invite_link=hush-hush-hush&id=other",
    "invite_link=%00.%ff",
    "redirect_uri=%ff&response_type=oauth_token&state=%00",
    "response_type=oauth_token&redirect_uri=http%3a%2f%2f%5b%3a%3a1",
    "&&&=&=&%3d=%26",
    "%F0%9F%98%80=%ED%A0%80",
];

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_request_is_refused_and_its_connection_closed(
    #[values(Listener::Public, Listener::Check)] listener: Listener,
) {
    let pod = pod().await;
    let mut wrong = Vec::new();
    for request in malformed_requests() {
        let found = statuses(&raw_http::until_closed(listener.port(&pod), &[&request]).await);
        if !found.iter().all(|status| [400, 404, 431, 505].contains(status)) || found.len() > 1 {
            wrong.push((request[..request.len().min(40)].escape_ascii().to_string(), found));
        }
    }
    assert!(wrong.is_empty(), "{listener:?}: {wrong:#?}");
    assert_pod_works(&pod).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn no_header_cookie_or_query_causes_a_server_error(#[values(Listener::Public, Listener::Check)] listener: Listener) {
    let pod = pod().await;
    let mut requests: Vec<Vec<u8>> = Vec::new();
    for header in headers() {
        for method in ["GET", "POST", "OPTIONS"] {
            let question = listener.request_text("").replacen("GET", method, 1);
            let (head, _) = question.split_once("\r\n\r\n").expect("a head ends so");
            requests.push([head.as_bytes(), b"\r\nConnection: close\r\n", &header, b"\r\n\r\n"].concat());
        }
    }
    for (address, query) in ADDRESSES.iter().flat_map(|address| QUERIES.map(|query| (address, query))) {
        for method in ["GET", "POST"] {
            let request = format!("{method} {address}?{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            requests.push(request.into_bytes());
        }
    }
    for request in requests {
        let answers = raw_http::until_closed(listener.port(&pod), &[&request]).await;
        let shown = request[..request.len().min(300)].escape_ascii().to_string();
        let away = shown.contains("/sso/login") && statuses(&answers) == [503];
        assert!(away || answers.len() == 1 && answers[0].status < 500, "{listener:?}: {shown}: {answers:?}");
        assert!(answers[0].all("set-cookie").iter().all(|cookie| !cookie.starts_with("a=b")), "{shown}: {answers:?}");
        assert!(!answers[0].body.contains(SECRET_MARKER), "{shown}: {}", answers[0].body);
    }
    assert_pod_works(&pod).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_of_any_length_within_the_head_limit_is_refused_with_a_page() {
    let pod = pod().await;
    let callback = |state: &str, further: &str| {
        format!("GET /sso/callback?code={SECRET_MARKER}&state={state} HTTP/1.1\r\nHost: localhost\r\n{further}\r\n")
    };
    let lengths: Vec<usize> = (0..=700).chain([1 << 10, 4095, 4096, 4097, 1 << 14, 65_400]).collect();
    let requests: String = lengths.iter().map(|length| callback(&"A".repeat(*length), "")).collect();
    let with_hint: String =
        lengths.iter().map(|length| callback(&format!("{}.{SECRET_MARKER}", "A".repeat(*length)), "")).collect();
    let all = [requests, with_hint, Listener::Public.last_request_text()].concat();
    let answers = raw_http::until_closed(pod.public_port(), &[all.as_bytes()]).await;
    assert_eq!(answers.len(), 2 * lengths.len() + 1);
    for answer in &answers[..2 * lengths.len()] {
        assert!(answer.status == 400 && answer.body.contains("<title>") && !answer.body.contains(SECRET_MARKER), "{answer:?}");
    }
    for length in [1 << 16, 1 << 17, 1 << 18, 1 << 20] {
        let answers = raw_http::until_closed(pod.public_port(), &[callback(&"A".repeat(length), "").as_bytes()]).await;
        assert!(statuses(&answers).iter().all(|status| [400, 431].contains(status)), "{length}: {answers:?}");
    }
    assert_pod_works(&pod).await;
}
