//! The check, behind a real nginx that spreads over three pods, and asked by itself.

mod access;
mod identity;
mod listener;
mod narrowing;
mod odd_requests;
mod original;
mod role_map;
mod sign_in;
mod spellings;

use crate::support::raw_http::Answer;
use crate::support::steps::IDENTITY_HEADERS;

/// No identity goes out with a denial: other gateways would hand it to the client.
#[track_caller]
fn assert_denied(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    for name in IDENTITY_HEADERS {
        assert_eq!(answer.all(name), Vec::<&str>::new(), "{answer:?}");
    }
    assert_eq!(answer.json()["error"], code, "{answer:?}");
    assert!(answer.json()["error_description"].as_str().is_some_and(|text| text.ends_with('.')), "{answer:?}");
}

#[track_caller]
fn assert_allowed(answer: &Answer) {
    assert_eq!(answer.status, 200, "{answer:?}");
    for name in IDENTITY_HEADERS {
        assert_eq!(answer.all(name).len(), 1, "{name}: {answer:?}");
    }
    assert!(!answer.one("x-auth-request-user").is_empty(), "{answer:?}");
}
