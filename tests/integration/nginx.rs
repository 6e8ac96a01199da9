//! Auth requests through a real nginx in front of three pods, and directly to a pod.

mod access;
mod dialects;
mod gateway_secret;
mod hosts;
mod identity;
mod listener;
mod malformed_requests;
mod original_headers;
pub mod path_spellings;
mod restrictions;
mod role_map;
mod routes;
mod service_workers;
mod sign_in;
pub mod unusual_requests;

use crate::support::raw_http::Answer;
use crate::support::steps::IDENTITY_HEADERS;

/// Asserts a denial without identity headers: other gateways would pass them to the client.
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
