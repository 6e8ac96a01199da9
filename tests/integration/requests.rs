//! Requests that client libraries do not send, at the listeners of one pod: each is answered or its connection closed, none
//! causes an error or a log entry, and the pod continues to serve.

mod bounds;
mod framing;
mod incomplete_requests;
mod malformed_requests;
mod security_headers;

use crate::support::pod::{Pod, PodOptions, ProviderSection};
use crate::support::raw_http::{self, Answer};

/// The secret in the requests.
const SECRET_MARKER: &str = "hush-hush-hush";

#[derive(Debug, Clone, Copy)]
enum Listener {
    Public,
    Check,
}

impl Listener {
    fn port(self, pod: &Pod) -> u16 {
        match self {
            Self::Public => pod.public_port(),
            Self::Check => pod.check_port(),
        }
    }

    /// A request that anybody may send and that is answered with 401.
    fn request_text(self, further: &str) -> String {
        match self {
            Self::Public => format!("GET /sso/session HTTP/1.1\r\nHost: localhost\r\n{further}\r\n"),
            Self::Check => format!(
                "GET /auth/nginx HTTP/1.1\r\nHost: check\r\nX-Original-URL: http://localhost/ui/\r\nX-Original-Method: GET\r\n\
                 {further}\r\n"
            ),
        }
    }

    fn last_request_text(self) -> String {
        self.request_text("Connection: close\r\n")
    }
}

/// A pod with the most verbose log. Its provider is unavailable and not needed.
async fn pod() -> Pod {
    pod_with("").await
}

/// `further` is top-level YAML.
async fn pod_with(further: &str) -> Pod {
    let provider = ProviderSection::corp("http://127.0.0.1:1", SECRET_MARKER);
    let further = format!("log: {{level: \"trace,notify=warn,inotify=warn,mio=warn\"}}\n{further}");
    Pod::start(PodOptions { providers: vec![provider], further, ..PodOptions::new() }).await
}

async fn assert_pod_works(pod: &Pod) {
    for listener in [Listener::Public, Listener::Check] {
        let answers = raw_http::until_closed(listener.port(pod), &[listener.last_request_text().as_bytes()]).await;
        assert_eq!(statuses(&answers), [401], "{listener:?}: {answers:?}");
    }
    assert_eq!(pod.metric("vestibule_panics_total", &[]).await, 0.0);
    let log = pod.log();
    assert!(log.contains("TRACE"));
    for unwanted in [SECRET_MARKER, "panicked", "ERROR", "\nforged"] {
        let line = log.lines().find(|line| line.contains(unwanted.trim_start()));
        assert!(!log.contains(unwanted), "{unwanted:?} in the log: {line:?}");
    }
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}
