//! Fetches and verifies the response of the userinfo endpoint, which is JSON or a JWT (OpenID Connect Core, section 5.3).

use jiff::Timestamp;
use openidconnect::AccessToken;
use openidconnect::http::header::CONTENT_TYPE;
use url::Url;

use super::{
    http::{HttpClient, HttpClientError},
    token_expectation::TokenExpectation,
};
use crate::{
    json,
    jwt::{self, JwtError},
    principal::Claims,
};

/// The reason for refusing a response. It never contains the subject, which is an email address at some providers.
#[derive(Debug, thiserror::Error)]
pub enum UserInfoError {
    #[error(transparent)]
    Http(#[from] HttpClientError),
    #[error("the provider has none, but userinfo is required")]
    NoEndpoint,
    #[error("the token response has no access_token")]
    NoAccessToken,
    #[error("the access token has bytes that no header can carry")]
    AccessToken,
    #[error("its answer is {0:?}, neither JSON nor a JWT")]
    ContentType(String),
    #[error("its answer is not a JSON object")]
    NoObject,
    #[error("its answer does not verify: {0}")]
    Jwt(#[from] JwtError),
    #[error("its answer is of another subject than the id_token")]
    OtherSubject,
}

impl UserInfoError {
    /// True if the provider has no claims for this login at the endpoint: it sent no access token that can be used, or the
    /// endpoint refuses it. Other failures may pass.
    pub(super) fn is_absence(&self) -> bool {
        let is_refusal = matches!(self, Self::Http(HttpClientError::Status { status: 401 | 403 | 404, .. }));
        is_refusal || matches!(self, Self::NoAccessToken | Self::AccessToken)
    }

    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Http(_) => "userinfo_request_failed",
            Self::NoEndpoint => "userinfo_endpoint_missing",
            Self::NoAccessToken => "access_token_missing",
            Self::AccessToken => "access_token_not_usable",
            Self::ContentType(_) | Self::NoObject => "userinfo_malformed",
            Self::Jwt(error) => error.reason(),
            Self::OtherSubject => "subject_mismatch",
        }
    }
}

/// Fetches the claims of the access token's user.
pub(super) async fn fetch(
    http: &HttpClient,
    endpoint: &Url,
    token: Option<&AccessToken>,
) -> Result<UserInfoResponse, UserInfoError> {
    let token = token.ok_or(UserInfoError::NoAccessToken)?;
    if !token.secret().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(UserInfoError::AccessToken);
    }
    let response = http.get_with_token(endpoint, token.secret()).await?;
    let content_type = response.headers().get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    Ok(UserInfoResponse { content_type, body: response.into_body() })
}

pub(super) struct UserInfoResponse {
    content_type: Option<String>,
    body: Vec<u8>,
}

impl UserInfoResponse {
    /// Parses the response as JSON, with any content type.
    pub(super) fn json(&self) -> Result<Claims, UserInfoError> {
        json::parse_object(&self.body).map_err(|_| UserInfoError::NoObject)
    }

    /// Returns the claims of a response about this subject. `expected` applies to a signed response.
    pub(super) fn claims(&self, subject: &str, expected: &TokenExpectation<'_>, now: Timestamp) -> Result<Claims, UserInfoError> {
        let content_type = self.content_type.as_deref().unwrap_or("application/json");
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let claims = match (self.json(), essence.as_str()) {
            // A signed response is never a JSON object.
            (Ok(claims), _) => claims,
            (Err(_), "application/jwt") => self.signed_claims(expected, now)?,
            (Err(_), _) if self.has_form_of_jwt() => self.signed_claims(expected, now)?,
            (Err(no_object), "application/json") => return Err(no_object),
            (Err(_), _) => return Err(UserInfoError::ContentType(content_type.chars().take(64).collect())),
        };
        if jwt::text(&claims, "sub")? == subject { Ok(claims) } else { Err(UserInfoError::OtherSubject) }
    }

    /// True if the response is three parts of base64url. Some providers label signed claims as another type.
    fn has_form_of_jwt(&self) -> bool {
        let is_base64url = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let mut parts = self.body.trim_ascii().split(|byte| *byte == b'.');
        parts.clone().count() == 3 && parts.all(|part| !part.is_empty() && part.iter().all(is_base64url))
    }

    fn signed_claims(&self, expected: &TokenExpectation<'_>, now: Timestamp) -> Result<Claims, JwtError> {
        let token = str::from_utf8(&self.body).map_err(|_| JwtError::Malformed)?;
        jwt::verify(token.trim(), &expected.for_client(&[]), expected.keys, now).map(|verified| verified.claims)
    }
}
