//! The limits of requests: a request at the limit is answered, and one beyond it as docs/reliability.md says.

use rstest::rstest;

use super::{Listener, assert_pod_works, pod_with, statuses};
use crate::support::local_accounts::LOCAL_ACCOUNTS;
use crate::support::pod::Pod;
use crate::support::raw_http::{self, Answer};

/// The maximum length of a form or JSON body in bytes.
const LARGEST_BODY: usize = 16 << 10;
const MOST_HEADERS: usize = 96;
/// The maximum length of the request line and headers in bytes.
const LARGEST_HEAD: usize = 128 << 10;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

#[derive(Debug, Clone, Copy)]
enum BodyFraming {
    Length,
    Chunks,
}

/// Fills the body up to `length` between `begins` and `ends`.
async fn send(pod: &Pod, framing: BodyFraming, path: &str, kind: &str, (begins, ends): (&str, &str), length: usize) -> Answer {
    let filling = "a".repeat(length - begins.len() - ends.len());
    let body = [begins, &filling, ends].concat();
    let (header, body) = match framing {
        BodyFraming::Length => (format!("Content-Length: {length}"), body),
        BodyFraming::Chunks => {
            let chunks = body.as_bytes().chunks(1000).map(|chunk| String::from_utf8_lossy(chunk));
            let chunks: String = chunks.map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len())).collect();
            ("Transfer-Encoding: chunked".to_owned(), format!("{chunks}0\r\n\r\n"))
        }
    };
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n{header}\r\nConnection: close\r\n\r\n");
    let mut answers = raw_http::until_closed(pod.public_port(), &[head.as_bytes(), body.as_bytes()]).await;
    assert_eq!(answers.len(), 1, "{framing:?} {path} {length}: {answers:?}");
    answers.remove(0)
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_form_and_a_json_body_of_16_kib_are_read_and_larger_ones_refused(
    #[values(BodyFraming::Length, BodyFraming::Chunks)] framing: BodyFraming,
) {
    let pod = pod_with(LOCAL_ACCOUNTS).await;
    let form =
        async |length| send(&pod, framing, "/sso/login", FORM, ("user_email=ada%40example.com&password=", ""), length).await;
    // The body is read, and refused because it lacks the form's token.
    let read = form(LARGEST_BODY).await;
    assert!(read.status == 403 && read.body.contains("name=\"password\""), "{read:?}");
    for length in [LARGEST_BODY + 1, 4 * LARGEST_BODY] {
        let refused = form(length).await;
        assert!(refused.status == 400 && refused.body.contains("<title>This address is malformed"), "{length}: {refused:?}");
    }
    let whole = (r#"{"user_email": "ada@example.com", "password": ""#, r#""}"#);
    let json = async |length| send(&pod, framing, "/vestibule/api/sign-in", JSON, whole, length).await;
    let read = json(LARGEST_BODY).await;
    assert_eq!((read.status, &read.json()["error"]), (401, &"invalid_grant".into()), "{read:?}");
    for length in [LARGEST_BODY + 1, 4 * LARGEST_BODY] {
        let refused = json(length).await;
        let body = refused.json();
        assert_eq!((refused.status, &body["error"]), (413, &"invalid_request".into()), "{length}: {refused:?}");
        assert_eq!(body["error_description"], "The body is too large.");
    }
    assert_pod_works(&pod).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_head_of_96_headers_and_128_kib_is_answered_and_a_larger_one_ends_its_connection(
    #[values(Listener::Public, Listener::Check)] listener: Listener,
) {
    let pod = pod_with("").await;
    let with = async |number: usize, last: &str| {
        let own = listener.request_text("").matches("\r\n").count() - 2 + last.lines().count();
        let further: String = (own..number).map(|header| format!("X-{header}: y\r\n")).collect();
        let question = listener.request_text(&format!("{further}{last}"));
        assert_eq!(question.matches(": ").count(), number);
        question
    };
    let close = "Connection: close\r\n";
    for number in [MOST_HEADERS - 1, MOST_HEADERS] {
        let question = with(number, close).await;
        let answers = raw_http::until_closed(listener.port(&pod), &[question.as_bytes()]).await;
        assert_eq!(statuses(&answers), [401], "{number}: {answers:?}");
    }
    for number in [MOST_HEADERS + 1, 2 * MOST_HEADERS] {
        // The connection is closed: the request behind the head is not read.
        let both = with(number, "").await + &listener.last_request_text();
        let answers = raw_http::until_closed(listener.port(&pod), &[both.as_bytes()]).await;
        assert_eq!(statuses(&answers), [431], "{number}: {answers:?}");
    }
    let as_large_as = |length: usize| {
        let rest = listener.request_text(&format!("X: \r\n{close}")).len();
        listener.request_text(&format!("X: {}\r\n{close}", "y".repeat(length - rest)))
    };
    for (length, status) in [(LARGEST_HEAD - 1, 401), (2 * LARGEST_HEAD, 431)] {
        let answers = raw_http::until_closed(listener.port(&pod), &[as_large_as(length).as_bytes()]).await;
        assert_eq!(statuses(&answers), [status], "{length}: {answers:?}");
    }
    assert_pod_works(&pod).await;
}
