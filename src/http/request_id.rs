//! The id of a request in the log, on its page and in its response.

use std::fmt;

use actix_web::{
    HttpMessage, HttpRequest,
    http::header::{HeaderMap, HeaderName},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::secret::random_bytes;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST: usize = 64;

#[derive(Clone)]
pub(super) struct RequestId(String);

impl RequestId {
    pub(super) fn of(request: &HttpRequest) -> Self {
        request.extensions().get::<Self>().cloned().expect("the middleware around all routes gives each request an id")
    }

    /// Returns the gateway's id if it is valid, else a new one. Equal ids connect the gateway's log with ours.
    pub(super) fn from_headers_or_new(headers: &HeaderMap) -> Self {
        Self(Self::find(headers).map_or_else(|| URL_SAFE_NO_PAD.encode(random_bytes::<12>()), str::to_owned))
    }

    /// Returns the gateway's id if it is valid.
    pub(super) fn find(headers: &HeaderMap) -> Option<&str> {
        let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let is_valid = |id: &&str| {
            (8..=LONGEST).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        given.filter(is_valid)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::valid("0a1b2c3d-4e5f", true)]
    #[case::short("abc", false)]
    #[case::long(&"a".repeat(65), false)]
    #[case::wrong_characters("abc\"def<script>", false)]
    fn only_a_valid_request_id_is_kept(#[case] given: &str, #[case] kept: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_str(given).unwrap());
        assert_eq!(RequestId::from_headers_or_new(&headers).as_str() == given, kept);
    }
}
