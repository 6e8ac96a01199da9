//! Request framing: several requests on a connection, and requests whose end two servers could parse differently.

use rstest::rstest;

use super::{Listener, assert_pod_works, pod, statuses};
use crate::support::raw_http;

/// The smuggled request, behind a head that may or may not end.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Head and body of requests that RFC 9112, sections 5 and 6, requires to refuse, without reading more of the connection.
const REFUSED: &[(&str, &str)] = &[
    ("Content-Length: 6\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    ("Transfer-Encoding: chunked\r\nContent-Length: 6", "0\r\n\r\n"),
    ("Content-Length: 0\r\nContent-Length: 44", ""),
    ("Content-Length: 44\r\nContent-Length: 0", ""),
    ("Content-Length: 0, 44", ""),
    ("Content-Length: +0", ""),
    ("Content-Length: -1", ""),
    ("Content-Length: 0x2c", ""),
    ("Content-Length: 0 44", ""),
    ("Content-Length: 18446744073709551616", ""),
    ("Content-Length:", ""),
    ("Content-Length : 44", ""),
    ("Transfer-Encoding : chunked", "0\r\n\r\n"),
    ("Transfer-Encoding: xchunked", "0\r\n\r\n"),
    ("Transfer-Encoding: chunked, identity", "0\r\n\r\n"),
    ("Transfer-Encoding: chunked, chunked", "0\r\n\r\n"),
    ("Transfer-Encoding: identity", ""),
    ("Transfer-Encoding: gzip", ""),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n"),
    ("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    ("Transfer-Encoding: \"chunked\"", "0\r\n\r\n"),
    ("Transfer-Encoding: chunked\u{b}", "0\r\n\r\n"),
    ("Transfer-Encoding:\r\n chunked", "0\r\n\r\n"),
    ("Transfer-Encoding: chun\0ked", "0\r\n\r\n"),
    ("X: y\r\n Content-Length: 44", ""),
    ("X: y\r\n\tContent-Length: 44", ""),
    ("X: a\0b", ""),
    ("X: a\rContent-Length: 44", ""),
    ("X y: z", ""),
    ("X", ""),
    (": x", ""),
    ("\u{e9}: x", ""),
];

/// The head is valid and the body is not: a handler that ignores the body may have answered, and then the connection is closed.
const BROKEN: &[(&str, &str)] = &[
    ("Transfer-Encoding: chunked", "z\r\n"),
    ("Transfer-Encoding: chunked", "-1\r\n"),
    ("Transfer-Encoding: chunked", "10000000000000000\r\n"),
    ("Transfer-Encoding: chunked", "3\r\nabcX\r\n0\r\n\r\n"),
    ("Transfer-Encoding: chunked", "0\n\n"),
];

/// There is only one interpretation: the request and the next one are answered.
const READ: &[(&str, &str)] = &[
    ("Content-Length: 43", SMUGGLED),
    ("Content-Length: 0", ""),
    ("Transfer-Encoding: chunked", "0\r\n\r\n"),
    ("Transfer-Encoding: CHUNKED", "2b\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n\r\n0\r\n\r\n"),
    ("Transfer-Encoding: chunked", "0;extension=\"x\"\r\n\r\n"),
    ("X-Content-Length: 44", ""),
];

fn posted(listener: Listener, head: &str) -> String {
    listener.request_text(&format!("{head}\r\n")).replacen("GET", "POST", 1)
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_smuggled_in_the_body_of_another(#[values(Listener::Public, Listener::Check)] listener: Listener) {
    let pod = pod().await;
    let last = listener.last_request_text();
    let mut wrong = Vec::new();
    let all = [(REFUSED, 1, 400..=400), (BROKEN, 1, 400..=499), (READ, 2, 401..=405)];
    for ((head, body), answers, first) in
        all.iter().flat_map(|(all, answers, first)| all.iter().map(move |one| (one, answers, first)))
    {
        let behind = if *answers == 1 { SMUGGLED } else { "" };
        let request = [posted(listener, head).as_str(), body, behind, &last].concat();
        let found = statuses(&raw_http::until_closed(listener.port(&pod), &[request.as_bytes()]).await);
        if found.len() != *answers || !first.contains(&found[0]) || found[1..].iter().any(|status| *status != 401) {
            wrong.push((*head, *body, found));
        }
    }
    assert!(wrong.is_empty(), "{listener:?}: {wrong:#?}");
    assert_pod_works(&pod).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_one_by_one_in_their_order(
    #[values(Listener::Public, Listener::Check)] listener: Listener,
) {
    let pod = pod().await;
    let nowhere = "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let (unknown, known) = match listener {
        Listener::Public => (404, 401),
        Listener::Check => (403, 401),
    };
    let mut requests = String::new();
    let mut expected = Vec::new();
    for number in 0..200 {
        let of_this_one = if number % 3 == 0 { (nowhere.to_owned(), unknown) } else { (listener.request_text(""), known) };
        requests.push_str(&of_this_one.0);
        expected.push(of_this_one.1);
    }
    requests.push_str(&listener.last_request_text());
    expected.push(known);
    let whole = raw_http::until_closed(listener.port(&pod), &[requests.as_bytes()]).await;
    assert_eq!(statuses(&whole), expected);
    let parts: Vec<&[u8]> = requests.as_bytes().chunks(7).collect();
    assert_eq!(statuses(&raw_http::until_closed(listener.port(&pod), &parts).await), expected, "a few bytes at a time");
    assert_pod_works(&pod).await;
}
