//! Reads the response of a token endpoint (RFC 6749, section 5) by the fields that are needed.

use std::fmt;

use oauth2::basic::BasicTokenType;
use openidconnect::{
    AccessToken, ExtraTokenFields, HttpResponse, OAuth2TokenResponse, StandardTokenResponse,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::form_urlencoded;

use super::http::HttpClientError;
use crate::json::JsonObject;

/// The tokens of a response.
pub(super) struct Tokens {
    pub id_token: Option<String>,
    pub access_token: Option<AccessToken>,
    pub refresh_token: Option<String>,
    is_bearer: bool,
}

/// The reason why a token endpoint's response has no usable tokens. It contains no text that may name the user.
#[derive(Debug, thiserror::Error)]
pub enum TokenResponseError {
    #[error(transparent)]
    Http(#[from] HttpClientError),
    #[error("it refused with status {status}: {code:?}")]
    Refused { status: u16, code: String },
    #[error("it answered with status {0}")]
    Status(u16),
    #[error("its answer with status {0} is not a JSON object")]
    NoObject(u16),
    #[error("access_token is missing")]
    NoAccessToken,
    #[error("token_type is another type than Bearer")]
    NotBearer,
    #[error("{0}")]
    Request(String),
}

/// The meaning of a refusal for the refresh token that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefreshRefusal {
    /// The token is no longer valid.
    Ended,
    /// The provider first has to ask the user.
    InteractionNeeded,
}

impl TokenResponseError {
    /// `None` if the answer says nothing about the refresh token: the provider may be overloaded, or the client misconfigured.
    pub(super) fn refresh_refusal(&self) -> Option<RefreshRefusal> {
        let Self::Refused { status: 200..=299 | 400 | 401 | 403, code } = self else { return None };
        match code.as_str() {
            // The second is GitHub's.
            "invalid_grant" | "bad_refresh_token" => Some(RefreshRefusal::Ended),
            "interaction_required" | "login_required" | "consent_required" => Some(RefreshRefusal::InteractionNeeded),
            _ => None,
        }
    }

    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoAccessToken => "access_token_missing",
            _ => "token_request_failed",
        }
    }
}

/// The response in the library's type. [`normalize`] builds the document that it is parsed from.
pub(super) type StandardTokens = StandardTokenResponse<IdTokenField, BasicTokenType>;

/// The field that OpenID Connect adds to the response.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct IdTokenField {
    id_token: Option<String>,
}

impl ExtraTokenFields for IdTokenField {}

impl fmt::Debug for IdTokenField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdTokenField([redacted])")
    }
}

impl Tokens {
    /// Returns the access token for a request with `Authorization: Bearer`.
    pub(super) fn bearer_token(&self) -> Result<&AccessToken, TokenResponseError> {
        match &self.access_token {
            None => Err(TokenResponseError::NoAccessToken),
            Some(_) if !self.is_bearer => Err(TokenResponseError::NotBearer),
            Some(token) => Ok(token),
        }
    }
}

impl From<StandardTokens> for Tokens {
    fn from(tokens: StandardTokens) -> Self {
        let access_token = tokens.access_token().clone();
        Self {
            access_token: (!access_token.secret().is_empty()).then_some(access_token),
            is_bearer: *tokens.token_type() == BasicTokenType::Bearer,
            id_token: tokens.extra_fields().id_token.clone(),
            refresh_token: tokens.refresh_token().map(|token| token.secret().clone()),
        }
    }
}

/// Reduces a response to the fields that are needed. The library refuses a response with another field of an unexpected type,
/// with another successful status than 200, or with another content type.
pub(super) fn normalize(response: &HttpResponse) -> Result<HttpResponse, TokenResponseError> {
    let status = response.status().as_u16();
    let Ok(answer) = JsonObject::parse(response.body()) else { return Err(describe_other_answer(response)) };
    let [id_token, access_token, refresh_token, token_type] = ["id_token", "access_token", "refresh_token", "token_type"]
        .map(|field| answer.text(field).filter(|text| !text.is_empty()));
    let has_tokens = id_token.is_some() || access_token.is_some();
    match error_code(&answer) {
        Some(code) if !response.status().is_success() || !has_tokens => Err(TokenResponseError::Refused { status, code }),
        _ if !response.status().is_success() => Err(TokenResponseError::Status(status)),
        _ => {
            let access_token = access_token.unwrap_or_default();
            let token_type = token_type.unwrap_or_else(|| "bearer".to_owned());
            let mut body = json!({"id_token": id_token, "access_token": access_token, "token_type": token_type});
            if let Some(token) = refresh_token {
                body["refresh_token"] = token.into();
            }
            Ok(json_response(&body))
        }
    }
}

fn json_response(body: &serde_json::Value) -> HttpResponse {
    let mut response = HttpResponse::new(body.to_string().into_bytes());
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A response without JSON may be an error in a form (GitHub), or the page of a proxy, which may contain any text.
fn describe_other_answer(response: &HttpResponse) -> TokenResponseError {
    let status = response.status().as_u16();
    let form = if is_form(response) { response.body().as_slice() } else { &[] };
    let code = form_urlencoded::parse(form).find(|(name, _)| name == "error").map(|(_, code)| code.into_owned());
    match code.and_then(readable_code) {
        Some(code) => TokenResponseError::Refused { status, code },
        None if response.status().is_success() => TokenResponseError::NoObject(status),
        None => TokenResponseError::Status(status),
    }
}

fn is_form(response: &HttpResponse) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    ["application/x-www-form-urlencoded", "text/plain"].iter().any(|form| media_type.eq_ignore_ascii_case(form))
}

/// Returns the provider's own error code, which is `error` by RFC 6749. Other providers send an object with a code, a list of
/// such objects, or the code under another name.
fn error_code(answer: &JsonObject) -> Option<String> {
    let code = |object: &JsonObject, name: &str| object.text(name).or_else(|| object.number(name).map(str::to_owned));
    let readable = |object: &JsonObject, names: &[&str]| names.iter().find_map(|name| readable_code(code(object, name)?));
    let nested = || {
        let listed = ["error", "errors"].into_iter().flat_map(|name| answer.required_objects(name).unwrap_or_default());
        let objects = answer.object("error").into_iter().chain(listed);
        objects.into_iter().find_map(|object| readable(&object, &["code", "errorCode", "type", "status", "error"]))
    };
    readable(answer, &["error"]).or_else(nested).or_else(|| readable(answer, &["errorCode", "error_code", "errcode", "code"]))
}

/// Returns the beginning of a code. A text that may be an email address is none.
fn readable_code(text: String) -> Option<String> {
    const MAX_LENGTH: usize = 64;
    let text = text.trim();
    let is_code = !text.is_empty() && text.chars().all(|character| matches!(character, ' '..='~') && character != '@');
    is_code.then(|| text.chars().take(MAX_LENGTH).collect())
}

#[cfg(test)]
mod tests;
