//! Incomplete requests: their connections are closed, and other clients do not wait for them.

use std::time::Duration;

use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Listener, assert_pod_works, pod};
use crate::support::pod::Pod;
use crate::support::raw_http;
use crate::support::wait::{pass, timed};

const CONNECTIONS: usize = 100;
const BETWEEN_BYTES: Duration = Duration::from_millis(100);
/// A margin for a busy machine, after the 5 s for a head or the 30 s for a body.
const PATIENCE: Duration = Duration::from_secs(60);

/// The keep-alive time of a connection after an answer.
const KEPT: Duration = Duration::from_secs(75);
const BETWEEN_REQUESTS: Duration = Duration::from_secs(25);
/// A margin for inexact timers.
const LEEWAY: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn slow_and_idle_connections_are_closed_and_delay_no_other_client() {
    let pod = pod().await;
    let form = "Host: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9999\r\n\r\n";
    let mut trickles = Vec::new();
    for listener in [Listener::Public, Listener::Check] {
        for number in 0..CONNECTIONS {
            trickles.push((listener, format!("GET /{number} HTTP/1.1\r\nHost: localhost\r\nX: ")));
        }
    }
    trickles.extend((0..10).map(|_| (Listener::Public, format!("POST /sso/logout HTTP/1.1\r\n{form}a="))));
    let ended = join_all(trickles.iter().map(|(listener, start)| trickle(&pod, *listener, start)));
    let others = async {
        for _ in 0..20 {
            for listener in [Listener::Public, Listener::Check] {
                let question = listener.last_request_text();
                let answers = raw_http::until_closed(listener.port(&pod), &[question.as_bytes()]).await;
                assert_eq!(answers.len(), 1, "{listener:?}: {answers:?}");
            }
        }
    };
    let others = timed(others);
    let stuck = join_all(stuck_requests(&pod).map(|(port, start)| stuck(port, start)));
    let all = [Listener::Public, Listener::Check];
    let asked_once = join_all(all.map(|listener| idle(&pod, listener, &[Duration::ZERO])));
    // Each request renews the keep-alive time.
    let asked_twice = join_all(all.map(|listener| idle(&pod, listener, &[Duration::ZERO, BETWEEN_REQUESTS])));
    let silent = join_all(all.map(|listener| silent(&pod, listener)));
    let (ended, ((), others_took), once, twice, silent, stuck) =
        tokio::join!(ended, others, asked_once, asked_twice, silent, stuck);
    println!("connections that go on by a byte now and then were closed after {stuck:.0?}");
    println!("connections without a word were closed after {silent:.1?}");
    println!("idle connections were closed after {once:.1?}, and {twice:.1?} after the last of two requests");
    for kept in once.iter().chain(&twice) {
        assert!(*kept > KEPT - LEEWAY, "closed after {kept:?}");
    }
    let longest = ended.iter().map(|(took, _)| *took).max().expect("there are some");
    println!("{} connections trickled, the last was closed after {longest:.1?}; others took {others_took:.1?}", ended.len());
    assert!(others_took < longest, "other clients waited for slow connections");
    for ((_, received), (listener, start)) in ended.iter().zip(&trickles) {
        let received = String::from_utf8_lossy(received);
        assert!(
            received.starts_with("HTTP/1.1 408 ") && received.matches("HTTP/1.1").count() == 1,
            "{listener:?} {start:?}: {received}"
        );
    }
    assert_pod_works(&pod).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_request_is_not_handled() {
    let pod = pod().await;
    for listener in [Listener::Public, Listener::Check] {
        let question = listener.last_request_text();
        for length in 0..question.len() {
            let mut stream = TcpStream::connect(("127.0.0.1", listener.port(&pod))).await.expect("it listens");
            stream.write_all(&question.as_bytes()[..length]).await.expect("it is taken");
            stream.shutdown().await.expect("it can be half closed");
            let mut received = Vec::new();
            // A reset also ends the connection.
            let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut received)).await.expect("the connection ends");
            assert!(!received.starts_with(b"HTTP/1.1 5") && !received.starts_with(b"HTTP/1.1 2"), "{listener:?} {length}");
        }
    }
    assert_pod_works(&pod).await;
}

/// For each listener, requests that are answered and then continue without end: the head of a second request, and a body that
/// is not read.
fn stuck_requests(pod: &Pod) -> impl Iterator<Item = (u16, String)> {
    let ports = [(pod.public_port(), "/sso/session"), (pod.check_port(), "/auth/nginx"), (pod.admin_port(), "/livez")];
    ports.into_iter().flat_map(|(port, path)| {
        let second = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\nGET {path} HTTP/1.1\r\nHost: localhost\r\nX: ");
        let unread = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n");
        [(port, second), (port, unread)]
    })
}

/// The time until such a connection is closed; asserts one answer.
async fn stuck(port: u16, start: String) -> Duration {
    let (ended, took) = timed(tokio::time::timeout(KEPT + PATIENCE, trickle_at(port, &start))).await;
    let received = ended.unwrap_or_else(|_| panic!("{start:?} is still open after {took:?}"));
    let received = String::from_utf8_lossy(&received);
    assert_eq!(received.matches("HTTP/1.1 ").count(), 1, "{start:?}: {received}");
    took
}

/// The time until a connection without a request gets 408 and is closed.
async fn silent(pod: &Pod, listener: Listener) -> Duration {
    let mut stream = TcpStream::connect(("127.0.0.1", listener.port(pod))).await.expect("it listens");
    let mut received = Vec::new();
    let (end, took) = timed(tokio::time::timeout(PATIENCE, stream.read_to_end(&mut received))).await;
    end.unwrap_or_else(|_| panic!("{listener:?} is still open after {took:?}")).expect("the connection ends");
    assert!(received.starts_with(b"HTTP/1.1 408 "), "{listener:?}: {}", received.escape_ascii());
    took
}

/// Sends a request after each of these waits and then none. The time until the connection is closed without another answer.
async fn idle(pod: &Pod, listener: Listener, waits: &[Duration]) -> Duration {
    let mut stream = TcpStream::connect(("127.0.0.1", listener.port(pod))).await.expect("it listens");
    for wait in waits {
        pass(*wait).await;
        stream.write_all(listener.request_text("").as_bytes()).await.expect("it is open");
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            assert!(matches!(stream.read_buf(&mut answer).await, Ok(1..)), "{listener:?}: no answer: {answer:?}");
        }
        assert!(answer.starts_with(b"HTTP/1.1 401 "), "{listener:?}: {}", answer.escape_ascii());
    }
    let mut received = Vec::new();
    let (end, took) = timed(tokio::time::timeout(KEPT + PATIENCE, stream.read_to_end(&mut received))).await;
    let end = end.unwrap_or_else(|_| panic!("{listener:?} is still open after {took:?}"));
    assert!(end.is_ok() && received.is_empty(), "{listener:?}: {end:?}, {}", received.escape_ascii());
    took
}

/// Sends single bytes until the connection is closed; returns the time and the received bytes.
async fn trickle(pod: &Pod, listener: Listener, start: &str) -> (Duration, Vec<u8>) {
    let (ended, took) = timed(tokio::time::timeout(PATIENCE, trickle_at(listener.port(pod), start))).await;
    (took, ended.unwrap_or_else(|_| panic!("{listener:?} is still open after {PATIENCE:?}: {start:?}")))
}

async fn trickle_at(port: u16, start: &str) -> Vec<u8> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    let (mut from, mut to) = stream.into_split();
    let mut received = Vec::new();
    let reading = async { while matches!(from.read_buf(&mut received).await, Ok(1..)) {} };
    let writing = async {
        let mut ok = to.write_all(start.as_bytes()).await.is_ok();
        while ok {
            pass(BETWEEN_BYTES).await;
            ok = to.write_all(b"a").await.is_ok();
        }
        // The answer may not have arrived yet.
        std::future::pending::<()>().await;
    };
    tokio::select! { () = reading => {}, () = writing => {} }
    received
}
