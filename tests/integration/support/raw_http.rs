//! Writes HTTP/1.1 requests byte by byte, including those that client libraries reject.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DEADLINE: Duration = Duration::from_secs(30);
/// The read timeout of a body is 30 s.
const CLOSED: Duration = Duration::from_secs(60);

/// A parsed answer; header names are in lower case.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The value of a header that must occur exactly once.
    #[track_caller]
    pub fn one(&self, name: &str) -> &str {
        match self.all(name)[..] {
            [value] => value,
            _ => panic!("not one {name}: {self:?}"),
        }
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Sends a request with exactly these headers. `Host` is `localhost`, and the connection is closed after the answer unless the
/// headers say otherwise.
pub async fn send(port: u16, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    send_to(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), method, target, headers).await
}

/// Like [`send`], to any address.
pub async fn send_to(address: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = format!("{method} {target} HTTP/1.1\r\n");
    for (name, value) in [("Host", "localhost"), ("Connection", "close")] {
        if !headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name)) {
            write!(request, "{name}: {value}\r\n").expect("writing to a String can't fail");
        }
    }
    for (name, value) in headers {
        write!(request, "{name}: {value}\r\n").expect("writing to a String can't fail");
    }
    request.push_str("\r\n");
    send_bytes_to(address, request.as_bytes()).await.unwrap_or_else(|| panic!("no answer to {request:?}"))
}

/// Sends any bytes; `None` if the connection is closed without an answer.
pub async fn send_bytes(port: u16, request: &[u8]) -> Option<Answer> {
    send_bytes_to(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), request).await
}

/// Like [`send_bytes`], to any address.
pub async fn send_bytes_to(address: SocketAddr, request: &[u8]) -> Option<Answer> {
    parse(&receive(address, request, |received| is_whole(request.starts_with(b"HEAD "), received)).await)
}

/// Sends any bytes and returns what is received until `is_enough` holds or the connection is closed.
pub async fn receive(address: SocketAddr, request: &[u8], is_enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.expect("the port is listened on");
        stream.write_all(request).await.expect("a small request fits the socket's buffer");
        let mut received = Vec::new();
        while !is_enough(&received) {
            // A refusal may be followed by a reset.
            if !matches!(stream.read_buf(&mut received).await, Ok(1..)) {
                break;
            }
        }
        received
    };
    let result = tokio::time::timeout(DEADLINE, exchange).await;
    result.unwrap_or_else(|_| panic!("not answered in {DEADLINE:?}: {:?}", String::from_utf8_lossy(request)))
}

/// Sends the parts one after another and returns all answers until the connection is closed. The last part must request that,
/// unless an earlier one causes it.
pub async fn until_closed(port: u16, parts: &[&[u8]]) -> Vec<Answer> {
    let exchange = async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the port is listened on");
        let (mut from, mut to) = stream.into_split();
        let sending = async {
            for part in parts {
                // A refusal may close the connection before all parts are sent.
                if to.write_all(part).await.is_err() {
                    break;
                }
            }
            to
        };
        let receiving = async {
            let mut received = Vec::new();
            while matches!(from.read_buf(&mut received).await, Ok(1..)) {}
            received
        };
        answers(&tokio::join!(sending, receiving).1)
    };
    let result = tokio::time::timeout(CLOSED, exchange).await;
    result.unwrap_or_else(|_| panic!("not closed in {CLOSED:?}: {}", parts.concat().escape_ascii()))
}

/// Parses answers with a content length or without a body. An answer to HEAD cannot be distinguished from the next answer.
fn answers(mut received: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while let Some(head) = received.windows(4).position(|window| window == b"\r\n\r\n") {
        let mut answer = parse(&received[..head + 4]).unwrap_or_else(|| panic!("no answer: {}", received.escape_ascii()));
        let length = answer.all("content-length").first().map_or(0, |length| length.parse().expect("a length"));
        let end = received.len().min(head + 4 + length);
        answer.body = String::from_utf8_lossy(&received[head + 4..end]).into_owned();
        answers.push(answer);
        received = &received[end..];
    }
    assert!(received.is_empty(), "unexpected bytes after the answers: {}", received.escape_ascii());
    answers
}

/// An answer with neither a length nor chunks ends with its connection.
pub fn is_whole(head_only: bool, received: &[u8]) -> bool {
    let text = String::from_utf8_lossy(received);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let chunked = head.contains("transfer-encoding: chunked") && body.ends_with("0\r\n\r\n");
    head_only || chunked || length.is_some_and(|length: usize| body.len() >= length)
}

fn parse(received: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(received);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers: Vec<_> = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if chunked { unchunked(body) } else { body.to_owned() };
    Some(Answer { status, headers, body })
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a chunk begins with its size");
        let (chunk, end) = after.split_at(size);
        body.push_str(chunk);
        rest = end.strip_prefix("\r\n").unwrap_or_default();
    }
    body
}
