//! Requests that nginx may parse unexpectedly: none of them bypasses the check.

use crate::support::fleet::Fleet;
use crate::support::raw_http::{self, Answer};
use crate::support::steps::ALICE;

/// Request line and headers; `{}` is replaced by nginx's port.
pub const ODD: &[(&str, &[&str])] = &[
    ("GET / HTTP/1.1", &["Host: evil.example"]),
    ("GET / HTTP/1.1", &["Host: LOCALHOST"]),
    ("GET / HTTP/1.1", &["Host: localhost."]),
    ("GET / HTTP/1.1", &["Host: localhost:{}"]),
    ("GET / HTTP/1.1", &["Host: localhost:99999"]),
    ("GET / HTTP/1.1", &["Host: localhost:80?"]),
    ("GET / HTTP/1.1", &["Host: a:80?/sso/"]),
    ("GET / HTTP/1.1", &["Host: localhost/sso/"]),
    ("GET / HTTP/1.1", &["Host: localhost?"]),
    ("GET / HTTP/1.1", &["Host: localhost#"]),
    ("GET / HTTP/1.1", &["Host: localhost\\x"]),
    ("GET / HTTP/1.1", &["Host: user@localhost"]),
    ("GET / HTTP/1.1", &["Host: localhost, evil.example"]),
    ("GET / HTTP/1.1", &["Host: [::1]"]),
    ("GET / HTTP/1.1", &["Host: [::1"]),
    ("GET / HTTP/1.1", &["Host: 127.0.0.1"]),
    ("GET / HTTP/1.1", &["Host: $host"]),
    ("GET / HTTP/1.1", &["Host: .."]),
    ("GET / HTTP/1.1", &["Host:"]),
    ("GET / HTTP/1.1", &[]),
    ("GET / HTTP/1.0", &[]),
    ("GET / HTTP/1.1", &["Host: localhost", "Host: evil.example"]),
    ("GET http://localhost/ HTTP/1.1", &["Host: evil.example"]),
    ("GET http://evil.example/ HTTP/1.1", &["Host: localhost"]),
    ("GET HTTP://EVIL.EXAMPLE/ HTTP/1.1", &["Host: localhost"]),
    ("GET http://evil.example HTTP/1.1", &["Host: localhost"]),
    ("GET http://localhost:80?/sso/ HTTP/1.1", &["Host: localhost"]),
    ("GET http://user@localhost/ HTTP/1.1", &["Host: localhost"]),
    ("GET https://localhost/ HTTP/1.1", &["Host: localhost"]),
    ("GET ftp://localhost/ HTTP/1.1", &["Host: localhost"]),
    ("GET http:///sso/login HTTP/1.1", &["Host: localhost"]),
    ("GET //evil.example/ HTTP/1.1", &["Host: localhost"]),
    ("GET localhost/ HTTP/1.1", &["Host: localhost"]),
    ("GET * HTTP/1.1", &["Host: localhost"]),
    ("OPTIONS * HTTP/1.1", &["Host: localhost"]),
    ("CONNECT localhost:80 HTTP/1.1", &["Host: localhost"]),
    ("GET /sso/../ui/ HTTP/1.1", &["Host: localhost"]),
    ("GET /sso/%2e%2e/ui/ HTTP/1.1", &["Host: localhost"]),
    ("GET /sso/..%2fui/ HTTP/1.1", &["Host: localhost"]),
    ("GET /sso/..;/ui/ HTTP/1.1", &["Host: localhost"]),
    ("GET /sso\\..\\ui HTTP/1.1", &["Host: localhost"]),
    ("GET //sso//../ui/ HTTP/1.1", &["Host: localhost"]),
    ("GET /_vestibule_check HTTP/1.1", &["Host: localhost"]),
    ("GET /_vestibule_check/ HTTP/1.1", &["Host: localhost"]),
    ("GET /ui/#/sso/login HTTP/1.1", &["Host: localhost"]),
    ("GET /ui/ HTTP/1.1", &["Host: localhost", "X-Original-URL: http://localhost/sso/login"]),
    ("GET /ui/ HTTP/1.1", &["Host: localhost", "X-Original-Method: OPTIONS"]),
    ("GET /ui/ HTTP/1.1", &["Host: localhost", "X-Forwarded-Host: evil.example", "X-Forwarded-Uri: /sso/login"]),
    ("POST /ui/ HTTP/1.1", &["Host: localhost", "Content-Length: 0"]),
    ("OPTIONS /ui/ HTTP/1.1", &["Host: localhost"]),
    ("HEAD /ui/ HTTP/1.1", &["Host: localhost"]),
    ("BREW /ui/ HTTP/1.1", &["Host: localhost"]),
    ("GET /ui/ HTTP/1.1", &["Host: localhost", "Connection: Upgrade", "Upgrade: websocket"]),
];

/// The bytes of a request of the table, with additional headers.
pub fn request(port: u16, (line, headers): &(&str, &[&str]), further: &[String]) -> Vec<u8> {
    let mut request = format!("{line}\r\n");
    let all_headers = headers.iter().map(|header| (*header).to_owned()).chain(further.iter().cloned());
    all_headers.for_each(|header| request.push_str(&format!("{header}\r\n")));
    if !request.contains("Connection:") {
        request.push_str("Connection: close\r\n");
    }
    request.push_str("\r\n");
    request.replace("{}", &port.to_string()).into_bytes()
}

async fn send(port: u16, odd: &(&str, &[&str]), further: &[String]) -> Option<Answer> {
    raw_http::send_bytes(port, &request(port, odd, further)).await
}

/// Only the upstream echoes the request.
fn from_the_upstream(answer: &Answer) -> bool {
    answer.body.contains("rawHeaders") || answer.body.contains("You reached the upstream")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_session_no_unusual_request_reaches_the_upstream() {
    let port = Fleet::shared().await.nginx().port();
    for accept in ["Accept: application/json", "Accept: text/html"] {
        for odd in ODD {
            let Some(answer) = send(port, odd, &[accept.to_owned()]).await else { continue };
            assert!(!from_the_upstream(&answer), "{odd:?}: {answer:?}");
            assert_ne!(answer.status, 200, "{odd:?}: {answer:?}");
            assert!(answer.status < 500 || odd.0.starts_with("CONNECT"), "{odd:?}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_the_sign_in_never_returns_to_another_host() {
    let port = Fleet::shared().await.nginx().port();
    for odd in ODD {
        let Some(answer) = send(port, odd, &["Accept: text/html".to_owned()]).await else { continue };
        if answer.status != 302 {
            continue;
        }
        let target = answer.one("location").strip_prefix("/sso/login?rd=");
        let target = target.unwrap_or_else(|| panic!("{odd:?}: {answer:?}"));
        assert!(target.starts_with("%2F") && !target.contains("http"), "{odd:?}: {answer:?}");
    }
}

/// The host of the check is the host that the upstream receives, wherever the client wrote it.
#[tokio::test(flavor = "multi_thread")]
async fn check_and_upstream_receive_the_same_host_from_the_request_line() {
    let fleet = Fleet::shared().await;
    let further = [format!("Cookie: {}", fleet.session_header(ALICE).await), "Accept: application/json".to_owned()];
    let mut reached = 0;
    for odd in ODD {
        let Some(answer) = send(fleet.nginx().port(), odd, &further).await else { continue };
        if answer.status != 200 || !answer.body.contains("rawHeaders") {
            assert!(!from_the_upstream(&answer), "{odd:?}: {answer:?}");
            continue;
        }
        reached += 1;
        let headers = &answer.json()["headers"];
        assert_eq!(headers["host"], headers["x-forwarded-host"], "{odd:?}");
        let host = headers["host"].as_str().unwrap();
        assert!(host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.[]:".contains(&byte)), "{odd:?}: {host}");
        if let Some(line_host) = host_of_line(odd.0) {
            assert_eq!(host, line_host, "{odd:?}");
        }
        for name in ["x-original-url", "x-original-method", "x-forwarded-uri"] {
            assert!(odd.1.concat().to_ascii_lowercase().contains(name) || headers[name].is_null(), "{odd:?}: {headers}");
        }
    }
    assert!(reached > 10, "most of them are harmless with a session: {reached}");
}

fn host_of_line(line: &str) -> Option<String> {
    let lower = line.to_ascii_lowercase();
    let (_, rest) = lower.split_once("://")?;
    let end = rest.find(['/', '?', ':', ' '])?;
    Some(rest[..end].to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_session_a_malformed_host_is_refused() {
    let fleet = Fleet::shared().await;
    let further = [format!("Cookie: {}", fleet.session_header(ALICE).await), "Accept: application/json".to_owned()];
    let refused =
        ["localhost/sso/", "localhost?", "localhost\\x", "user@localhost", "localhost, evil.example", "[::1", "$host", ".."];
    for host in refused {
        let host = format!("Host: {host}");
        let answer = send(fleet.nginx().port(), &("GET /ui/ HTTP/1.1", &[&host]), &further).await;
        assert!(answer.is_none_or(|answer| [400, 403, 421].contains(&answer.status)), "{host}");
    }
}
