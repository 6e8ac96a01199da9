//! One HTTP/1.1 request written byte by byte, for what no client library would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DEADLINE: Duration = Duration::from_secs(15);

/// An answer as it came: header names in lower case, values and repetitions as they were.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// Sends the request line and the headers, each as it stands. A connection that is closed without an
/// answer is `None`.
pub async fn request(port: u16, line: &str, headers: &[&str]) -> Option<Answer> {
    let mut request = format!("{line}\r\n");
    headers.iter().for_each(|header| request.push_str(&format!("{header}\r\n")));
    request.push_str("\r\n");
    let exchanged = tokio::time::timeout(DEADLINE, exchange(port, request.as_bytes())).await;
    exchanged.unwrap_or_else(|_| panic!("{line:?} {headers:?}: not answered within {DEADLINE:?}"))
}

impl Answer {
    /// Every value of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The value of a header that stands there once at most.
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() <= 1, "{name} came more than once: {values:?}");
        values.first().copied()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn parse(received: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(received);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        Some(Self { status, headers: headers.collect(), body: body.to_owned() }.unchunked())
    }

    fn unchunked(mut self) -> Self {
        if self.header("transfer-encoding") == Some("chunked") {
            self.body = unchunk(&self.body).unwrap_or_else(|| panic!("not chunked: {:?}", self.body));
        }
        self
    }
}

async fn exchange(port: u16, request: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the server listens");
    stream.write_all(request).await.expect("the server reads");
    let mut received = Vec::new();
    while !is_complete(&String::from_utf8_lossy(&received)) {
        // A server that refuses a request may reset the connection after its answer.
        if !matches!(stream.read_buf(&mut received).await, Ok(1..)) {
            break;
        }
    }
    Answer::parse(&received)
}

/// An answer without a length ends with its connection.
fn is_complete(received: &str) -> bool {
    let Some((head, body)) = received.split_once("\r\n\r\n") else { return false };
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    match length {
        Some(length) => body.len() >= length,
        None => head.contains("transfer-encoding: chunked") && body.ends_with("0\r\n\r\n"),
    }
}

fn unchunk(mut rest: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.push_str(after.get(..size)?);
        rest = after.get(size..)?.strip_prefix("\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_to_its_end() {
        let plain = "HTTP/1.1 401 X\r\nContent-Length: 2\r\nA: b\r\na: c\r\n\r\nok";
        let chunked = "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
        for (text, status) in [(plain, 401), (chunked, 200)] {
            assert!(is_complete(text) && !is_complete(&text[..text.len() - 1]));
            let answer = Answer::parse(text.as_bytes()).unwrap();
            assert_eq!((answer.status, answer.body.as_str()), (status, "ok"));
        }
        assert_eq!(Answer::parse(plain.as_bytes()).unwrap().all("a"), ["b", "c"]);
    }
}
