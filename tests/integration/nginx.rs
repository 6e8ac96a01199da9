//! The check, behind a real nginx that spreads over three pods, and asked by itself.

mod access;
mod identity;
mod listener;
mod narrowing;
mod odd_requests;
mod original;
pub mod raw;
mod role_map;
mod sign_in;
mod spellings;

use crate::shared::{ALICE, BOB, CAROL, deployment, session_line, signed_in};
use crate::support::deployment::Deployment;
use crate::support::pod::Pod;
/// What the gateway lets through carries all of them, always.
use crate::support::steps::IDENTITY_HEADERS as IDENTITY;
use raw::Answer;

const CREDENTIALS: [&str; 5] = ["authorization", "x-api-key", "x-litellm-api-key", "api-key", "x-goog-api-key"];

/// The session cookie of a browser in which this person has just signed in.
async fn cookie_of(deployment: &Deployment, person: (&str, &str)) -> String {
    session_line(&signed_in(deployment, person).await)
}

/// A check as nginx makes it, of an ordinary request, with further headers.
pub async fn check(pod: &Pod, headers: &[(&str, &str)]) -> Answer {
    check_at(pod, "GET", "/auth/nginx", headers).await
}

async fn check_at(pod: &Pod, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    let mut all = vec![("x-original-url", "http://localhost/ui/"), ("x-original-method", "GET")];
    all.extend_from_slice(headers);
    raw::send(pod.check_port(), method, target, &all).await
}

/// No identity goes out with a denial: other gateways would hand it to the client.
#[track_caller]
fn assert_denied(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    for name in IDENTITY {
        assert_eq!(answer.all(name), Vec::<&str>::new(), "{answer:?}");
    }
    assert_eq!(answer.json()["error"], code, "{answer:?}");
    assert!(answer.json()["error_description"].as_str().is_some_and(|text| text.ends_with('.')), "{answer:?}");
}

#[track_caller]
fn assert_allowed(answer: &Answer) {
    assert_eq!(answer.status, 200, "{answer:?}");
    for name in IDENTITY {
        assert_eq!(answer.all(name).len(), 1, "{name}: {answer:?}");
    }
    assert!(!answer.one("x-auth-request-user").is_empty(), "{answer:?}");
}
