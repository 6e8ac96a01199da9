//! Sends single auth requests to a pod's check listener, as nginx does, with any headers.

use super::pod::Pod;
use super::raw_http::{self, Answer};

/// The secret that nginx sends to the pods of a fleet.
pub const GATEWAY_SECRET: &str = "gateway-secret-of-the-tests-0123456789";

/// The header of the gateway secret. Pods without a configured secret ignore it.
pub const SECRET_HEADER: (&str, &str) = ("x-vestibule-gateway-secret", GATEWAY_SECRET);

/// The headers in which clients send a credential.
pub const CREDENTIAL_HEADERS: [&str; 6] =
    ["authorization", "x-api-key", "x-litellm-api-key", "api-key", "x-goog-api-key", "ocp-apim-subscription-key"];

/// Sends an auth request for `GET /ui/` with additional headers.
pub async fn auth_request(pod: &Pod, headers: &[(&str, &str)]) -> Answer {
    auth_request_at(pod, "GET", "/auth/nginx", headers).await
}

/// Sends an auth request with any method and target.
pub async fn auth_request_at(pod: &Pod, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    let mut all = vec![("x-original-url", "http://localhost/ui/"), ("x-original-method", "GET")];
    all.extend_from_slice(headers);
    send_to_check(pod, method, target, &all).await
}

/// Sends a request with the gateway secret and exactly these other headers to a pod's check listener.
pub async fn send_to_check(pod: &Pod, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    raw_http::send(pod.check_port(), method, target, &[&[SECRET_HEADER], headers].concat()).await
}
