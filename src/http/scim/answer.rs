//! Responses and errors of SCIM (RFC 7644, sections 3.4.2 and 3.12).

use std::{borrow::Cow, time::Duration};

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};
use serde_json::{Map, Value, json};

use crate::{
    client_address::rate_limits::RateLimitError,
    http::error::{CHALLENGE, CHALLENGE_INVALID, set_retry_after},
    scim::ScimError,
    store,
};

const CONTENT_TYPE: &str = "application/scim+json";
const ERROR_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
const LIST_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

/// The time after which a directory may repeat a request that the store could not answer.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The reason why a request gets no resource.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScimRefusal {
    #[error("A token is required.")]
    NoToken,
    #[error("The token is wrong.")]
    WrongToken,
    #[error("There is no such endpoint.")]
    NoEndpoint,
    #[error("The endpoint does not support the method.")]
    Method,
    #[error("The content type must be application/scim+json or application/json.")]
    MediaType,
    #[error("The body is too large.")]
    TooLarge,
    #[error("The body did not arrive in time.")]
    Slow,
    #[error("Too many requests.")]
    TooMany(Duration),
    #[error(transparent)]
    Scim(#[from] ScimError),
}

impl From<RateLimitError> for ScimRefusal {
    fn from(error: RateLimitError) -> Self {
        Self::TooMany(error.retry_after)
    }
}

impl ScimRefusal {
    pub fn respond(&self) -> HttpResponse {
        let (status, scim_type) = (self.status(), self.scim_type());
        self.log(status);
        let mut body = json!({"schemas": [ERROR_SCHEMA], "status": status.as_str(), "detail": self.detail()});
        if let (Some(body), Some(scim_type)) = (body.as_object_mut(), scim_type) {
            body.insert("scimType".to_owned(), scim_type.into());
        }
        let mut response = respond_json(status, &body);
        let challenge = match self {
            Self::NoToken => Some(CHALLENGE),
            Self::WrongToken => Some(CHALLENGE_INVALID),
            _ => None,
        };
        if let Some(challenge) = challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        set_retry_after(&mut response, self.retry_after());
        response
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NoToken | Self::WrongToken => StatusCode::UNAUTHORIZED,
            Self::NoEndpoint | Self::Scim(ScimError::NotFound) => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Scim(ScimError::Uniqueness(_)) => StatusCode::CONFLICT,
            Self::Scim(ScimError::Store(store::Error::Unreadable { .. })) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Scim(ScimError::Store(_)) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Scim(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// The keyword of RFC 7644, table 9.
    fn scim_type(&self) -> Option<&'static str> {
        let Self::Scim(error) = self else { return None };
        match error {
            ScimError::InvalidFilter(_) => Some("invalidFilter"),
            ScimError::InvalidSyntax(_) => Some("invalidSyntax"),
            ScimError::InvalidPath(_) => Some("invalidPath"),
            ScimError::InvalidValue(_) => Some("invalidValue"),
            ScimError::NoTarget => Some("noTarget"),
            ScimError::Mutability => Some("mutability"),
            ScimError::Uniqueness(_) => Some("uniqueness"),
            ScimError::NotFound | ScimError::Store(_) => None,
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        match self {
            // The cause is for the log.
            Self::Scim(ScimError::Store(store::Error::Unreadable { .. })) => "A record cannot be read.".into(),
            Self::Scim(ScimError::Store(_)) => "The store is unavailable. Try again later.".into(),
            other => other.to_string().into(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooMany(time) => Some(*time),
            Self::Scim(ScimError::Store(_)) => (self.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER),
            _ => None,
        }
    }

    fn log(&self, status: StatusCode) {
        let (reason, suppressed) = (self.reason(), tracing::field::Empty);
        match self {
            Self::TooMany(_) => {}
            Self::Scim(ScimError::Store(error)) => tracing::error!(%error, reason, suppressed, "scim request failed"),
            // The answer to a look-up before a user is created.
            Self::Scim(ScimError::NotFound) => tracing::debug!(reason, "scim request refused"),
            _ => tracing::warn!(status = status.as_u16(), reason, suppressed, "scim request refused"),
        }
    }

    /// The stable token for the `reason` field of log events.
    fn reason(&self) -> &'static str {
        match self {
            Self::NoToken => "token_missing",
            Self::WrongToken => "token_wrong",
            Self::NoEndpoint => "not_found",
            Self::Method => "method_not_allowed",
            Self::MediaType => "body_not_json",
            Self::TooLarge => "body_too_large",
            Self::Slow => "body_timeout",
            Self::TooMany(_) => "rate_limit_exceeded",
            Self::Scim(error) => error.reason(),
        }
    }
}

pub(super) fn answer(outcome: Result<HttpResponse, ScimRefusal>) -> HttpResponse {
    outcome.unwrap_or_else(|refusal| refusal.respond())
}

pub(super) fn resource(status: StatusCode, resource: Map<String, Value>) -> HttpResponse {
    respond_json(status, &Value::Object(resource))
}

/// The answer to the creation of a resource, with its URL.
pub(super) fn created(created: Map<String, Value>) -> HttpResponse {
    let location = created.get("meta").and_then(|meta| meta.get("location")).and_then(Value::as_str).map(str::to_owned);
    let mut response = resource(StatusCode::CREATED, created);
    if let Some(location) = location.and_then(|location| HeaderValue::try_from(location).ok()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// A page of a list with `total` resources; the first one of the page has the number `start`.
pub(super) fn list(total: usize, start: usize, resources: Vec<Value>) -> HttpResponse {
    let body = json!({
        "schemas": [LIST_SCHEMA],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": resources.len(),
        "Resources": resources,
    });
    respond_json(StatusCode::OK, &body)
}

pub(super) fn respond_json(status: StatusCode, body: &Value) -> HttpResponse {
    HttpResponse::build(status).content_type(CONTENT_TYPE).body(body.to_string())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::no_token(ScimRefusal::NoToken, 401, None)]
    #[case::filter(ScimError::InvalidFilter("x".into()).into(), 400, Some("invalidFilter"))]
    #[case::uniqueness(ScimError::Uniqueness("userName").into(), 409, Some("uniqueness"))]
    #[case::mutability(ScimError::Mutability.into(), 400, Some("mutability"))]
    #[case::target(ScimError::NoTarget.into(), 400, Some("noTarget"))]
    #[case::absent(ScimError::NotFound.into(), 404, None)]
    #[case::store(ScimError::Store(store::Error::Unavailable("secret".into())).into(), 503, None)]
    #[case::unknown(ScimError::Store(store::Error::Unknown("secret".into())).into(), 503, None)]
    #[case::contended(ScimError::Store(store::Error::Contended).into(), 503, None)]
    #[case::too_many(ScimRefusal::TooMany(Duration::from_millis(10)), 429, None)]
    fn every_error_is_in_the_form_of_scim(#[case] refusal: ScimRefusal, #[case] status: u16, #[case] scim_type: Option<&str>) {
        let response = refusal.respond();
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.headers().get(header::CONTENT_TYPE).unwrap(), CONTENT_TYPE);
        assert_eq!(response.headers().contains_key(header::RETRY_AFTER), [429, 503].contains(&status));
        assert_eq!(response.headers().contains_key(header::WWW_AUTHENTICATE), status == 401);
        let body = actix_web::body::MessageBody::try_into_bytes(response.into_body()).ok().unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&body["schemas"], &body["status"]), (&json!([ERROR_SCHEMA]), &json!(status.to_string())));
        assert_eq!(body["scimType"].as_str(), scim_type);
        assert!(!body.to_string().contains("secret"), "{body}");
    }
}
