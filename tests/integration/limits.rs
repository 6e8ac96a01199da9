//! Limits on requests per client address and on connections.

mod dual_stack;

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::api::{Auth, create_key};
use crate::support::fleet::Fleet;
use crate::support::http_client;
use crate::support::local_accounts::{PASSWORD, accept_invitation, link_in};
use crate::support::pod::{Pod, PodOptions};

const BEHIND_A_PROXY: &str = "trusted_proxies: [127.0.0.0/8]\n";
/// So low that no token of a bucket is refilled while a busy machine sends requests: that takes 30 to 60 s.
const LIMITS: &str = "rate_limits: {login_starts: 1, callbacks: 2, claims: 1, unknown_credentials: 2}\n";

async fn pod(further: &str) -> Pod {
    Pod::start(PodOptions { further: further.to_owned(), ..PodOptions::new() }).await
}

/// The parts of an answer that the tests compare.
struct Answer {
    status: u16,
    retry_after: Option<u64>,
    text: String,
}

async fn ask(pod: &Pod, from: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = http_client().get(pod.public(path)).header("x-forwarded-for", from);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = request.send().await.unwrap_or_else(|error| panic!("{path}: {error:?}"));
    let retry_after = answer.headers().get("retry-after").map(|value| value.to_str().expect("text").parse().expect("seconds"));
    Answer { status: answer.status().as_u16(), retry_after, text: answer.text().await.expect("it comes whole") }
}

/// The number of consecutive requests before the first 429, and the text of that answer.
async fn let_through(pod: &Pod, from: &str, path: &str, headers: &[(&str, &str)]) -> (usize, String) {
    for count in 0..12 {
        let answer = ask(pod, from, path, headers).await;
        if answer.status == 429 {
            let wait = answer.retry_after.expect("when to come back");
            assert!((1..=60).contains(&wait), "{path}: {wait} s");
            return (count, answer.text);
        }
    }
    (12, String::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_address_over_the_limit_gets_429_with_retry_after_and_other_addresses_do_not() {
    let pod = pod(&format!("{BEHIND_A_PROXY}{LIMITS}")).await;
    let pages = [("/sso/login", 1), ("/sso/callback?state=x&code=y", 2), ("/onboarding?invite_link=x", 1)];
    for (path, allowed) in pages {
        let (through, text) = let_through(&pod, "203.0.113.1", path, &[]).await;
        assert_eq!(through, allowed, "{path}");
        assert!(text.contains("Too many requests"), "{path}: {text}");
        assert_ne!(ask(&pod, "203.0.113.2", path, &[]).await.status, 429, "{path}");
    }
    let (through, text) = let_through(&pod, "203.0.113.1", "/onboarding/get_token?invite_link=x", &[]).await;
    assert!(through == 0 && text.contains("slow_down"), "both endpoints to accept invitations share one limit: {text}");
    for activity in ["login_start", "callback", "claim"] {
        let counted = pod.metric("vestibule_rate_limited_total", &[&format!("activity=\"{activity}\"")]).await;
        assert!(counted >= 1.0, "{activity}: {counted}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_credentials_are_limited_and_valid_ones_are_not() {
    let pod = pod(&format!("{BEHIND_A_PROXY}{LIMITS}")).await;
    let accepted = accept_invitation(&pod, &link_in(&pod.log()), PASSWORD).await;
    let key =
        create_key(&pod, Auth::Session(&accepted.cookie("vestibule").expect("a session")), json!({"manage_keys": true})).await;
    let (valid, keys) = (format!("Bearer {}", key.key), "/vestibule/api/keys");
    for wrong in ["Bearer sk-unknown", "Bearer a.b.c"] {
        let (_, text) = let_through(&pod, "203.0.113.1", keys, &[("authorization", wrong)]).await;
        assert!(text.contains("slow_down"), "{wrong}: {text}");
    }
    let app = "/sso/key/generate?response_type=oauth_token";
    assert_eq!(ask(&pod, "203.0.113.1", app, &[("x-litellm-api-key", "sk-unknown")]).await.status, 429);
    for path in [keys, app] {
        assert_eq!(ask(&pod, "203.0.113.1", path, &[("authorization", &valid)]).await.status, 200, "{path}");
    }
    let (through, _) = let_through(&pod, "203.0.113.2", keys, &[("authorization", "Bearer sk-unknown")]).await;
    assert_eq!(through, 2);
    assert_eq!(let_through(&pod, "203.0.113.1", keys, &[]).await.0, 12, "without a credential nothing is looked up");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_unknown_address_are_not_limited() {
    let unknown = pod(LIMITS).await;
    assert_eq!(let_through(&unknown, "203.0.113.1", "/sso/login", &[]).await.0, 12, "the header is not trusted");
    let proxied = pod(&format!("{BEHIND_A_PROXY}{LIMITS}")).await;
    assert_eq!(let_through(&proxied, "unknown", "/sso/login", &[]).await.0, 12, "all clients would share the proxy's limit");
    assert_eq!(let_through(&proxied, "127.0.0.9", "/sso/login", &[]).await.0, 1, "a client within the trusted networks");
    let unlimited = pod(&format!("{BEHIND_A_PROXY}rate_limits: {{login_starts: 0}}\n")).await;
    assert_eq!(let_through(&unlimited, "203.0.113.1", "/sso/login", &[]).await.0, 12);
}

/// nginx sends the client address that it sees, and ignores the client's headers.
#[tokio::test(flavor = "multi_thread")]
async fn behind_nginx_the_client_address_is_the_one_that_nginx_sees() {
    let limited = |pod: &mut PodOptions| {
        pod.further += "trusted_proxies: [127.0.0.1/32]\nrate_limits: {login_starts: 3}\n";
    };
    let fleet = Fleet::builder().idp().nginx().config(limited).start().await;
    let from = |address: [u8; 4]| reqwest::Client::builder().no_proxy().tls_certs_only([]).local_address(Some(address.into()));
    let _ = http_client();
    let (one, other) = (from([127, 0, 0, 2]).build().expect("a client"), from([127, 0, 0, 3]).build().expect("a client"));
    let url = format!("{}/sso/login?rd=https://elsewhere.example", fleet.url("").replace("localhost", "127.0.0.1"));
    let status = async |client: &reqwest::Client, number: usize| {
        let request = client.get(&url).header("host", "localhost").header("x-forwarded-for", format!("203.0.113.{number}"));
        request.send().await.expect("nginx answers").status()
    };
    for number in 0..3 {
        assert_eq!(status(&one, number).await, StatusCode::BAD_REQUEST);
    }
    assert_eq!(status(&one, 9).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(status(&other, 0).await, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_wait_until_one_closes() {
    let pod = pod("workers: 1\nmax_connections: 2\n").await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&pod).await;
        assert!(answers(&mut stream, Duration::from_secs(5)).await);
        open.push(stream);
    }
    let mut third = connect(&pod).await;
    assert!(!answers(&mut third, Duration::from_millis(500)).await, "the limit is two connections");
    drop(open.pop());
    assert!(read_some(&mut third, Duration::from_secs(5)).await, "a connection has closed");
}

async fn connect(pod: &Pod) -> TcpStream {
    TcpStream::connect(("127.0.0.1", pod.public_port())).await.expect("the kernel takes it")
}

async fn answers(stream: &mut TcpStream, patience: Duration) -> bool {
    stream.write_all(b"GET /sso/session HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("it is written");
    read_some(stream, patience).await
}

async fn read_some(stream: &mut TcpStream, patience: Duration) -> bool {
    let read = tokio::time::timeout(patience, stream.read(&mut [0; 1024])).await;
    read.is_ok_and(|read| read.is_ok_and(|length| length > 0))
}
