//! Sends single auth requests to a pod's check listener, as nginx does, with any headers.

use super::pod::Pod;
use super::raw_http::{self, Answer};

/// The headers in which programs send a credential.
pub const CREDENTIAL_HEADERS: [&str; 5] = ["authorization", "x-api-key", "x-litellm-api-key", "api-key", "x-goog-api-key"];

/// An auth request about `GET /ui/`, with further headers.
pub async fn auth_request(pod: &Pod, headers: &[(&str, &str)]) -> Answer {
    auth_request_at(pod, "GET", "/auth/nginx", headers).await
}

/// The same, with a method and target of its own.
pub async fn auth_request_at(pod: &Pod, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    let mut all = vec![("x-original-url", "http://localhost/ui/"), ("x-original-method", "GET")];
    all.extend_from_slice(headers);
    raw_http::send(pod.check_port(), method, target, &all).await
}
