//! WebSocket, server-sent events, bodies and large headers through every gateway.

use vestibule::secret::Digest;

use super::{Caller, GatewayFleet, JSON, is_from_upstream};
use crate::support::forged_headers::values_of;
use crate::support::gateway::RunningGateway;
use crate::support::raw_http::{self, Answer};

const HANDSHAKE: &str = "GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nAccept: text/html\r\n";
const BODY_LENGTH: usize = 200_000;
/// nginx refuses a header of more than 8 KiB by default.
const LARGE_HEADER: usize = 8_000;

/// A request with the caller's credential.
fn with_credential(shared: &GatewayFleet, head: &str, caller: Caller) -> Vec<u8> {
    let credential = shared.credential(caller).map(|(name, value)| format!("{name}: {value}\r\n")).unwrap_or_default();
    format!("{head}{credential}\r\n").into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn websockets_pass_with_the_callers_identity_and_need_a_credential() {
    let shared = GatewayFleet::shared().await;
    shared
        .gateways
        .each(async |to| {
            for caller in [Caller::User, Caller::Key] {
                let request = with_credential(shared, HANDSHAKE, caller);
                let ends = |received: &[u8]| received.ends_with(b"}");
                let received = String::from_utf8_lossy(&raw_http::receive(to.address, &request, ends).await).into_owned();
                assert!(received.starts_with("HTTP/1.1 101 "), "{:?}: {received}", to.gateway);
                assert!(received.contains(r#""x-auth-request-role":"internal_user""#), "{:?}: {received}", to.gateway);
                assert!(!received.contains(&shared.user) && !received.contains(&shared.key.key), "{:?}", to.gateway);
            }
            let anonymous = with_credential(shared, HANDSHAKE, Caller::Anonymous);
            let answer = raw_http::send_bytes_to(to.address, &anonymous).await.expect("an answer");
            assert_eq!(answer.status, 401, "{:?}: {answer:?}", to.gateway);
        })
        .await;
}

/// The `Connection` header of a handshake reaches the upstream, where a further proxy removes the headers that it lists.
#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_handshake_lists_no_identity_header_in_connection() {
    let shared = GatewayFleet::shared().await;
    let listed = ["X-Auth-Request-User", "x-auth-request-role", "X-Vestibule-Assertion", "Authorization"];
    shared
        .gateways
        .each(async |to| {
            for name in listed {
                let list = format!("Connection: Upgrade, {name}");
                let head = HANDSHAKE.replace("Connection: Upgrade", &list).replace("text/html", "application/json");
                let request = with_credential(shared, &head, Caller::User);
                let ends = |received: &[u8]| match received.starts_with(b"HTTP/1.1 101 ") {
                    true => received.ends_with(b"}"),
                    false => raw_http::is_whole(false, received),
                };
                let received = String::from_utf8_lossy(&raw_http::receive(to.address, &request, ends).await).to_lowercase();
                let context = format!("{:?}: {name}: {received}", to.gateway);
                if received.starts_with("http/1.1 101 ") {
                    assert!(received.contains(r#""x-auth-request-role":"internal_user""#), "{context}");
                    assert!(!received.contains(&format!("upgrade, {}", name.to_lowercase())), "{context}");
                } else {
                    assert!(received.starts_with("http/1.1 400 ") || received.starts_with("http/1.1 403 "), "{context}");
                }
            }
        })
        .await;
}

/// On a connection with another protocol, clients could send requests without checks.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_can_only_upgrade_to_websocket_behind_every_gateway() {
    let shared = GatewayFleet::shared().await;
    let upgrades = ["h2c", "H2C", "h2c, websocket", "websocket, h2c", "HTTP/2.0", "TLS/1.0", "h2c\r\nUpgrade: websocket"];
    shared
        .gateways
        .each(async |to| {
            for upgrade in upgrades {
                let head = format!(
                    "GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: {upgrade}\r\n\
                     HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nAccept: application/json\r\n"
                );
                let request = with_credential(shared, &head, Caller::User);
                let Some(answer) = raw_http::send_bytes_to(to.address, &request).await else { continue };
                let context = format!("{:?}: {upgrade}: {answer:?}", to.gateway);
                assert_ne!(answer.status, 101, "{context}");
                if is_from_upstream(&answer) {
                    let passed = values_of(&answer.json(), "upgrade").concat();
                    assert!(["", "websocket"].contains(&passed.as_str()), "{context}");
                }
            }
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_reaches_the_client_while_the_stream_stays_open() {
    let shared = GatewayFleet::shared().await;
    shared
        .gateways
        .each(async |to| {
            let head = "GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n";
            let request = with_credential(shared, head, Caller::Key);
            let has_event = |received: &[u8]| received.windows(11).any(|window| window == b"data: first");
            let received = raw_http::receive(to.address, &request, has_event).await;
            let received = String::from_utf8_lossy(&received);
            assert!(received.starts_with("HTTP/1.1 200 ") && received.contains("data: first"), "{:?}: {received}", to.gateway);
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_and_large_headers_reach_the_upstream_whole() {
    let shared = GatewayFleet::shared().await;
    shared
        .gateways
        .each(async |to| {
            let body = vec![b'x'; BODY_LENGTH];
            let whole = post(shared, to, &format!("Content-Length: {BODY_LENGTH}"), &body, Caller::Key).await;
            assert_digest(to, &whole, &body);
            let chunked = post(shared, to, "Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n", Caller::User).await;
            assert_digest(to, &chunked, b"hello");
            let anonymous = post(shared, to, "Content-Length: 5", b"hello", Caller::Anonymous).await;
            assert_eq!(anonymous.status, 401, "{:?}: {anonymous:?}", to.gateway);

            let large = "l".repeat(LARGE_HEADER);
            let received = shared.received(to, "/v1/x", Caller::Key, &[("X-Large", &large)]).await;
            assert_eq!(received["headers"]["x-large"], large, "{:?}", to.gateway);
            let cookie = format!("a={large}");
            let received = shared.received(to, "/v1/x", Caller::Key, &[("Cookie", &cookie)]).await;
            assert_eq!(received["headers"]["cookie"], cookie, "{:?}", to.gateway);
        })
        .await;
}

async fn post(shared: &GatewayFleet, to: &RunningGateway, framing: &str, body: &[u8], caller: Caller) -> Answer {
    let head =
        format!("POST /digest HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}: {}\r\n{framing}\r\n", JSON.0, JSON.1);
    let request = [with_credential(shared, &head, caller), body.to_vec()].concat();
    raw_http::send_bytes_to(to.address, &request).await.unwrap_or_else(|| panic!("{:?}: no answer", to.gateway))
}

#[track_caller]
fn assert_digest(to: &RunningGateway, answer: &Answer, body: &[u8]) {
    assert_eq!(answer.status, 200, "{:?}: {answer:?}", to.gateway);
    let digest: String = Digest::of(body).as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let received = answer.json();
    assert_eq!((&received["length"], &received["sha256"]), (&body.len().into(), &digest.into()), "{:?}", to.gateway);
}
