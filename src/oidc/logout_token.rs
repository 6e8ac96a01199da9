//! Verifies a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.6).

use std::time::Duration;

use jiff::Timestamp;

use super::{ProviderNotReadyError, openid_connect::OpenIdConnectProvider, token_expectation::TokenExpectation};
use crate::{
    clock::Clock,
    json::Value,
    jwt::{self, Expectation, JwtError, VerifiedToken},
    principal::Claims,
    users::LogoutTarget,
};

/// The member of `events` that makes a token a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// The maximum age of a logout token.
const MAX_AGE: Duration = Duration::from_secs(300);

/// A logout token that was verified.
#[derive(Debug, PartialEq, Eq)]
pub struct LogoutToken {
    pub id: String,
    pub target: LogoutTarget,
}

/// The reason for refusing a logout token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogoutTokenError {
    #[error(transparent)]
    NotReady(#[from] ProviderNotReadyError),
    #[error(transparent)]
    Jwt(#[from] JwtError),
    #[error("events has no back-channel logout event, or its value is not an object")]
    Event,
    #[error("nonce is present")]
    Nonce,
    #[error("iat is more than {} s ago", MAX_AGE.as_secs())]
    TooOld,
    #[error("it has neither sid nor sub")]
    NoTarget,
    #[error("{0} is empty")]
    Empty(&'static str),
}

impl LogoutToken {
    /// A token is refused for its age or as a replay after this time on every pod, even if its clock differs.
    pub const LIFETIME: Duration = Duration::from_secs(MAX_AGE.as_secs() + 2 * super::LEEWAY.as_secs());
}

impl LogoutTokenError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotReady(_) => "provider_not_ready",
            Self::Jwt(error) => error.reason(),
            Self::Event => "logout_event_missing",
            Self::Nonce => "nonce_present",
            Self::TooOld => "token_too_old",
            Self::NoTarget => "session_and_subject_missing",
            Self::Empty(_) => "claim_empty",
        }
    }
}

impl OpenIdConnectProvider {
    /// Verifies a logout token with the keys of the provider's id_tokens. An unknown key leads to one fetch of the keys.
    pub(super) async fn verify_logout_token(&self, token: &str, clock: &dyn Clock) -> Result<LogoutToken, LogoutTokenError> {
        self.ensure_ready().await?;
        let metadata = self.metadata()?;
        match verify(token, &self.token_expectation(&metadata), clock.now()) {
            Err(LogoutTokenError::Jwt(error)) if error.can_be_fixed_by_newer_keys() => {
                let newer = self.fetch_newer_than(&metadata).await.ok_or(error)?;
                verify(token, &self.token_expectation(&newer), clock.now())
            }
            verified => verified,
        }
    }
}

fn verify(token: &str, expected: &TokenExpectation<'_>, now: Timestamp) -> Result<LogoutToken, LogoutTokenError> {
    // Providers that do not know the type of logout tokens send the type of all JWTs.
    let expectation = Expectation { types: &["logout+jwt", "jwt"], required_times: &["iat"], ..expected.for_id_token() };
    let VerifiedToken { claims, .. } = jwt::verify(token, &expectation, expected.keys, now)?;
    if !has_logout_event(&claims) {
        return Err(LogoutTokenError::Event);
    }
    // An id_token with the event is not a logout token.
    if claims.contains_key("nonce") {
        return Err(LogoutTokenError::Nonce);
    }
    let issued = jwt::time(&claims, "iat")?.ok_or(JwtError::Missing("iat"))?;
    if issued + MAX_AGE.as_secs_f64() < now.as_second() as f64 {
        return Err(LogoutTokenError::TooOld);
    }
    let id = text(&claims, "jti")?.ok_or(JwtError::Missing("jti"))?;
    Ok(LogoutToken { id, target: target(&claims)? })
}

fn has_logout_event(claims: &Claims) -> bool {
    claims.get("events").and_then(|events| events.get(EVENT)).is_some_and(Value::is_object)
}

fn target(claims: &Claims) -> Result<LogoutTarget, LogoutTokenError> {
    match (text(claims, "sid")?, text(claims, "sub")?) {
        (Some(sid), subject) => Ok(LogoutTarget::Session { sid, subject }),
        (None, Some(subject)) => Ok(LogoutTarget::Subject(subject)),
        (None, None) => Err(LogoutTokenError::NoTarget),
    }
}

/// Returns a claim that is absent, or a text that is not empty.
fn text(claims: &Claims, claim: &'static str) -> Result<Option<String>, LogoutTokenError> {
    match jwt::text(claims, claim) {
        Err(JwtError::Missing(_)) => Ok(None),
        Ok("") => Err(LogoutTokenError::Empty(claim)),
        text => Ok(Some(text?.to_owned())),
    }
}

#[cfg(test)]
mod tests;
