//! Verifies an id_token (OpenID Connect Core, section 3.1.3.7).

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;

use super::token_expectation::TokenExpectation;
use crate::{
    json::Value,
    jwt::{self, Algorithm, JwtError, VerifiedToken},
    principal::Claims,
};

/// The content of a verified id_token.
pub(super) struct IdToken {
    pub subject: String,
    pub claims: Claims,
}

/// The reason for refusing an id_token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    #[error(transparent)]
    Jwt(#[from] JwtError),
    #[error("exp is out of range")]
    ExpiryOutOfRange,
    #[error("azp names another client")]
    OtherClient,
    #[error("nonce is not that of this login")]
    Nonce,
    #[error("at_hash is not that of the access token")]
    AccessTokenHash,
    #[error("sub is empty")]
    EmptySubject,
}

impl IdTokenError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Jwt(error) => error.reason(),
            Self::ExpiryOutOfRange => "expiry_out_of_range",
            Self::OtherClient => "authorized_party_mismatch",
            Self::Nonce => "nonce_mismatch",
            Self::AccessTokenHash => "access_token_hash_mismatch",
            Self::EmptySubject => "subject_empty",
        }
    }
}

/// The `nonce` that an id_token must have.
#[derive(Clone, Copy)]
pub(super) enum ExpectedNonce<'a> {
    Required(&'a str),
    /// As after a refresh. With `None` no `nonce` is known that it could be compared with.
    IfPresent(Option<&'a str>),
}

/// Verifies an id_token with this nonce and access token.
pub(super) fn verify(
    token: &str,
    expected: &TokenExpectation<'_>,
    nonce: ExpectedNonce<'_>,
    access_token: &str,
    now: Timestamp,
) -> Result<IdToken, IdTokenError> {
    let VerifiedToken { claims, algorithm, expires } = jwt::verify(token, &expected.for_id_token(), expected.keys, now)?;
    let expires = expires.ok_or(JwtError::Missing("exp"))?;
    Timestamp::from_second(expires as i64).map_err(|_| IdTokenError::ExpiryOutOfRange)?;
    if has_other_audience(&claims, expected.client_id) {
        jwt::text(&claims, "azp")?;
    }
    check_if_present(&claims, "azp", expected.client_id, IdTokenError::OtherClient)?;
    match nonce {
        ExpectedNonce::Required(nonce) if jwt::text(&claims, "nonce")? != nonce => return Err(IdTokenError::Nonce),
        ExpectedNonce::IfPresent(Some(nonce)) => check_if_present(&claims, "nonce", nonce, IdTokenError::Nonce)?,
        ExpectedNonce::Required(_) | ExpectedNonce::IfPresent(None) => {}
    }
    check_if_present(&claims, "at_hash", &left_half_hash(algorithm, access_token), IdTokenError::AccessTokenHash)?;
    let subject = jwt::text(&claims, "sub")?.to_owned();
    if subject.is_empty() { Err(IdTokenError::EmptySubject) } else { Ok(IdToken { subject, claims }) }
}

/// True if the token is also for another party. Its `azp` then says to which of them it was issued.
fn has_other_audience(claims: &Claims, client_id: &str) -> bool {
    let audiences = claims.get("aud").and_then(Value::as_array).unwrap_or_default();
    audiences.iter().any(|audience| audience.as_str() != Some(client_id))
}

/// Checks that the claim is absent or has this text.
fn check_if_present(claims: &Claims, claim: &'static str, expected: &str, other: IdTokenError) -> Result<(), IdTokenError> {
    match jwt::text(claims, claim) {
        Err(JwtError::Missing(_)) => Ok(()),
        Ok(text) if text == expected => Ok(()),
        Ok(_) => Err(other),
        Err(wrong_type) => Err(wrong_type.into()),
    }
}

/// Returns the first half of the hash that belongs to the id_token's algorithm. It is SHA-512 for Ed25519.
fn left_half_hash(algorithm: Algorithm, text: &str) -> String {
    let hash = match algorithm {
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => &digest::SHA384,
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::EdDSA => &digest::SHA512,
        _ => &digest::SHA256,
    };
    let hash = digest::digest(hash, text.as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..hash.as_ref().len() / 2])
}

#[cfg(test)]
mod tests;
