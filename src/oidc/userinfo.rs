//! Asks the userinfo endpoint and verifies its answer, which is JSON or a JWT (OpenID Connect Core, section 5.3).

use jiff::Timestamp;
use openidconnect::AccessToken;
use openidconnect::http::header::CONTENT_TYPE;
use url::Url;

use super::{
    LEEWAY,
    http::{HttpClient, HttpClientError},
};
use crate::{
    jwt::{self, Algorithm, Audience, Expectation, JwtError, KeySet},
    principal::Claims,
};

/// The requirements for the answer; issuer, client, algorithms and keys only for one that is signed.
pub(super) struct Expected<'a> {
    pub subject: &'a str,
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub algorithms: &'a [Algorithm],
    pub keys: &'a KeySet,
}

/// The reason for refusing an answer. It never holds the subject: some providers have addresses there.
#[derive(Debug, thiserror::Error)]
pub enum UserInfoError {
    #[error(transparent)]
    Http(#[from] HttpClientError),
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
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Http(_) => "userinfo_request_failed",
            Self::AccessToken => "access_token_not_usable",
            Self::ContentType(_) | Self::NoObject => "userinfo_malformed",
            Self::Jwt(error) => error.reason(),
            Self::OtherSubject => "subject_mismatch",
        }
    }
}

/// Fetches the claims of the access token's user.
pub(super) async fn fetch(http: &HttpClient, endpoint: &Url, token: &AccessToken) -> Result<Answer, UserInfoError> {
    if !token.secret().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(UserInfoError::AccessToken);
    }
    let answer = http.get_as_bearer(endpoint, token.secret()).await?;
    let content_type = answer.headers().get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    Ok(Answer { content_type, body: answer.into_body() })
}

pub(super) struct Answer {
    content_type: Option<String>,
    body: Vec<u8>,
}

impl Answer {
    /// Reads the answer as JSON, whatever its type.
    pub(super) fn json(&self) -> Result<Claims, UserInfoError> {
        serde_json::from_slice(&self.body).map_err(|_| UserInfoError::NoObject)
    }

    /// Returns the claims of an answer about the expected subject.
    pub(super) fn claims(&self, expected: &Expected<'_>, now: Timestamp) -> Result<Claims, UserInfoError> {
        let content_type = self.content_type.as_deref().unwrap_or("application/json");
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let claims = match essence.to_ascii_lowercase().as_str() {
            "application/json" => self.json()?,
            "application/jwt" => self.signed_claims(expected, now)?,
            _ => return Err(UserInfoError::ContentType(content_type.chars().take(64).collect())),
        };
        if jwt::text(&claims, "sub")? == expected.subject { Ok(claims) } else { Err(UserInfoError::OtherSubject) }
    }

    fn signed_claims(&self, expected: &Expected<'_>, now: Timestamp) -> Result<Claims, JwtError> {
        let expectation = Expectation {
            issuer: expected.issuer,
            audience: Audience::Only(expected.client_id),
            algorithms: expected.algorithms,
            types: &["jwt"],
            required_times: &[],
            leeway: LEEWAY,
        };
        let token = str::from_utf8(&self.body).map_err(|_| JwtError::Malformed)?;
        jwt::verify(token.trim(), &expectation, expected.keys, now).map(|verified| verified.claims)
    }
}
