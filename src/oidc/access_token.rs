//! Verifies the access token of a login, when it is a JWT, and reads its claims.

use jiff::Timestamp;

use super::{LEEWAY, claims::text};
use crate::{
    jwt::{self, Algorithm, Audience, Expectation, JwtError, KeySet, Verified},
    principal::Claims,
};

/// The requirements for the token.
pub(super) struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub algorithms: &'a [Algorithm],
    /// Of the id_token.
    pub subject: &'a str,
}

/// The reason why an access token's claims are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    #[error(transparent)]
    Jwt(#[from] JwtError),
    #[error("it was issued to another client")]
    OtherClient,
    #[error("it is of another subject than the id_token")]
    OtherSubject,
}

impl Unusable {
    /// The stable token for the `reason` field of log events.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Jwt(error) => error.reason(),
            Self::OtherClient => "authorized_party_mismatch",
            Self::OtherSubject => "subject_mismatch",
        }
    }
}

/// Returns the claims of a verified access token.
///
/// Its audience is an API and not this client, so `aud` is not judged; `azp` (or `client_id`, RFC 9068) must be ours
/// where present, since a token of another client says nothing about this login.
pub(super) fn verify(token: &str, expected: &Expected<'_>, keys: &KeySet, now: Timestamp) -> Result<Claims, Unusable> {
    let expectation = Expectation {
        issuer: expected.issuer,
        audience: Audience::Any,
        algorithms: expected.algorithms,
        types: &[],
        required_times: &["exp"],
        leeway: LEEWAY,
    };
    let Verified { claims, .. } = jwt::verify(token, &expectation, keys, now)?;
    let mut clients = ["azp", "client_id"].iter().filter_map(|name| text(&claims, name));
    if !clients.all(|client| client == expected.client_id) {
        return Err(Unusable::OtherClient);
    }
    match text(&claims, "sub") {
        Some(subject) if subject != expected.subject => Err(Unusable::OtherSubject),
        _ => Ok(claims),
    }
}
