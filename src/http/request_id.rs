//! The id that names a request in the log, on its page and in its answer.

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

    /// The gateway's own id where it is sane, so that its log and ours can be read together.
    pub(super) fn take_or_make(headers: &HeaderMap) -> Self {
        Self(Self::given(headers).map_or_else(|| URL_SAFE_NO_PAD.encode(random_bytes::<12>()), str::to_owned))
    }

    /// The gateway's own id, where there is one and it is sane.
    pub(super) fn given(headers: &HeaderMap) -> Option<&str> {
        let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let sane = |id: &&str| {
            (8..=LONGEST).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        given.filter(sane)
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
    #[case::sane("0a1b2c3d-4e5f", true)]
    #[case::short("abc", false)]
    #[case::long(&"a".repeat(65), false)]
    #[case::odd("abc\"def<script>", false)]
    fn a_sane_request_id_is_taken(#[case] given: &str, #[case] taken: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_str(given).unwrap());
        assert_eq!(RequestId::take_or_make(&headers).as_str() == given, taken);
    }
}
