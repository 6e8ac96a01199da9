//! Verifies the access token of a login, when it is a JWT, and reads its claims.

use jiff::Timestamp;

use super::{claims::text, token_expectation::TokenExpectation};
use crate::{
    jwt::{self, Audience, Expectation, JwtError, VerifiedToken},
    principal::Claims,
};

/// The reason why an access token's claims are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum AccessTokenError {
    #[error(transparent)]
    Jwt(#[from] JwtError),
    #[error("it was issued to another client")]
    OtherClient,
    #[error("it is of another subject than the id_token")]
    OtherSubject,
}

impl AccessTokenError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Jwt(error) => error.reason(),
            Self::OtherClient => "authorized_party_mismatch",
            Self::OtherSubject => "subject_mismatch",
        }
    }
}

/// Returns the claims of a verified access token. `subject` is that of the id_token.
///
/// The audience is an API and not this client, so `aud` is not checked. `azp` (or `client_id`, RFC 9068) must be this
/// client if it is present, since a token of another client says nothing about this login.
pub(super) fn verify(
    token: &str,
    expected: &TokenExpectation<'_>,
    subject: &str,
    now: Timestamp,
) -> Result<Claims, AccessTokenError> {
    let expectation = Expectation { audience: Audience::Any, types: &[], ..expected.for_client(&["exp"]) };
    let VerifiedToken { claims, .. } = jwt::verify(token, &expectation, expected.keys, now)?;
    let mut clients = ["azp", "client_id"].iter().filter_map(|name| text(&claims, name));
    if !clients.all(|client| client == expected.client_id) {
        return Err(AccessTokenError::OtherClient);
    }
    match text(&claims, "sub") {
        Some(other) if other != subject => Err(AccessTokenError::OtherSubject),
        _ => Ok(claims),
    }
}
