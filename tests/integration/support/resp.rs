//! The parts of the Redis protocol that tests need: single commands, and the end of a reply in a stream of bytes.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DEADLINE: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Nil,
    Int(i64),
    Bytes(Vec<u8>),
    Error(String),
    Array(Vec<Reply>),
}

impl Reply {
    /// The reply as text; binary data is shown as debug output.
    pub fn text(&self) -> String {
        match self {
            Self::Nil => String::new(),
            Self::Int(number) => number.to_string(),
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Error(message) => message.clone(),
            Self::Array(_) => format!("{self:?}"),
        }
    }

    pub fn array(self) -> Vec<Reply> {
        match self {
            Self::Array(items) => items,
            other => panic!("not an array: {other:?}"),
        }
    }

    pub fn bytes(self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes,
            other => panic!("not a string: {other:?}"),
        }
    }
}

/// Sends one command over a new connection; fails if the server does not answer.
pub async fn call(port: u16, arguments: &[&[u8]]) -> std::io::Result<Reply> {
    tokio::time::timeout(DEADLINE, exchange(port, arguments)).await.unwrap_or_else(|late| Err(late.into()))
}

/// The first reply in the bytes and its length; `None` if it is incomplete.
pub fn parse(bytes: &[u8]) -> Option<(Reply, usize)> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let line = String::from_utf8_lossy(&bytes[1..end]).into_owned();
    let start = end + 2;
    match bytes[0] {
        b'+' | b',' | b'(' | b'#' => Some((Reply::Bytes(line.into_bytes()), start)),
        b'-' => Some((Reply::Error(line), start)),
        b':' => Some((Reply::Int(line.parse().ok()?), start)),
        b'_' => Some((Reply::Nil, start)),
        b'$' | b'=' | b'!' => bulk(bytes, start, line.parse().ok()?),
        b'*' | b'>' | b'~' => items(bytes, start, line.parse().ok()?),
        b'%' => items(bytes, start, line.parse::<i64>().ok()? * 2),
        other => panic!("not the Redis protocol: {:?}", char::from(other)),
    }
}

async fn exchange(port: u16, arguments: &[&[u8]]) -> std::io::Result<Reply> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(&encode(arguments)).await?;
    let mut received = Vec::new();
    loop {
        if let Some((reply, _)) = parse(&received) {
            return Ok(reply);
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn encode(arguments: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        bytes.extend(format!("${}\r\n", argument.len()).into_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend(b"\r\n");
    }
    bytes
}

fn bulk(bytes: &[u8], start: usize, length: i64) -> Option<(Reply, usize)> {
    let Ok(length) = usize::try_from(length) else {
        return Some((Reply::Nil, start));
    };
    let content = bytes.get(start..start + length)?;
    let end = start + length + 2;
    (bytes.len() >= end).then(|| (Reply::Bytes(content.to_vec()), end))
}

fn items(bytes: &[u8], start: usize, count: i64) -> Option<(Reply, usize)> {
    if count < 0 {
        return Some((Reply::Nil, start));
    }
    let mut at = start;
    let mut replies = Vec::new();
    for _ in 0..count {
        let (reply, length) = parse(bytes.get(at..).filter(|rest| !rest.is_empty())?)?;
        replies.push(reply);
        at += length;
    }
    Some((Reply::Array(replies), at))
}

/// The messages of a channel.
pub struct Subscription {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Subscription {
    pub async fn to(port: u16, channel: &str) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the server listens");
        stream.write_all(&encode(&[b"SUBSCRIBE", channel.as_bytes()])).await.expect("it is written");
        let mut subscription = Self { stream, received: Vec::new() };
        assert_eq!(subscription.next().await.expect("an answer")[0], Reply::Bytes(b"subscribe".to_vec()));
        subscription
    }

    /// All messages, until none arrives for a while.
    pub async fn messages_so_far(&mut self) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        while let Some(mut message) = self.next().await {
            messages.push(message.pop().expect("a message has a payload").bytes());
        }
        messages
    }

    async fn next(&mut self) -> Option<Vec<Reply>> {
        const QUIET: Duration = Duration::from_millis(500);
        loop {
            if let Some((reply, length)) = parse(&self.received) {
                self.received.drain(..length);
                return Some(reply.array());
            }
            let read = tokio::time::timeout(QUIET, self.stream.read_buf(&mut self.received)).await.ok()?;
            assert!(read.is_ok_and(|length| length > 0), "the subscription ended");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Reply, parse};

    #[test]
    fn an_incomplete_reply_is_none() {
        let whole = b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n:12\r\n+OK\r\n";
        let (reply, length) = parse(whole).unwrap();
        let expected = vec![Reply::Bytes(b"message".to_vec()), Reply::Bytes(b"c".to_vec()), Reply::Int(12)];
        assert_eq!(reply, Reply::Array(expected));
        assert_eq!(&whole[length..], b"+OK\r\n");
        for cut in 0..length {
            assert_eq!(parse(&whole[..cut]), None, "cut at {cut}");
        }
    }
}
