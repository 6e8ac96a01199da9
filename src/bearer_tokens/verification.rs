//! Verifies one bearer token against its issuer's settings. Plain functions, without clock or I/O.

use jiff::Timestamp;
use serde_json::Value;

use super::{LEEWAY, settings::RequiredClaim};
use crate::{
    jwt::{self, Algorithm, Audience, Expectation, JwtError, KeySet, Verified},
    principal::Claims,
};

/// Longer ones are not looked at.
pub(super) const LONGEST: usize = 16 * 1024;

/// A subject goes into a header.
const LONGEST_SUBJECT: usize = 254;

/// What is expected of an issuer's tokens.
pub(super) struct Expected<'a> {
    pub issuer: &'a str,
    pub audiences: &'a [String],
    pub algorithms: &'a [Algorithm],
    pub required: &'a [RequiredClaim],
    /// The clients as which people sign in here: what is for one of them is an id_token.
    pub login_clients: &'a [String],
}

/// What a token says that was verified.
pub(super) struct Said {
    pub subject: String,
    pub claims: Claims,
    /// The first second in which it is no longer accepted.
    pub until: f64,
}

/// Why a token is refused. For the log alone: whoever sent it is told nothing but that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error(transparent)]
    Jwt(#[from] JwtError),
    #[error("it is an id_token, or a token for signing out or for more tokens")]
    NoAccessToken,
    #[error("it counts only together with a proof of possession (cnf), which is not supported")]
    Bound,
    #[error("it is from an issuer that is not configured")]
    UnknownIssuer,
    #[error("it has no subject that a header can carry")]
    Subject,
    #[error("a required claim does not have the required value")]
    RequiredClaim,
    #[error("the API server says that it does not count any more")]
    Reviewed,
    #[error("the person is disabled")]
    Disabled,
}

impl Refused {
    /// The stable token for the `reason` field of log events.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Jwt(error) => error.reason(),
            Self::NoAccessToken => "not_an_access_token",
            Self::Bound => "proof_of_possession_not_supported",
            Self::UnknownIssuer => "unknown_issuer",
            Self::Subject => "subject_invalid",
            Self::RequiredClaim => "required_claim_mismatch",
            Self::Reviewed => "rejected_by_token_review",
            Self::Disabled => "user_disabled",
        }
    }
}

/// Whether a credential looks like a JWT: three parts of base64url, and not larger than any should be.
pub(super) fn is_jwt(credential: &str) -> bool {
    let of_base64url =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    credential.len() <= LONGEST && credential.split('.').count() == 3 && credential.split('.').all(of_base64url)
}

pub(super) fn verify(token: &str, expected: &Expected<'_>, keys: &KeySet, now: Timestamp) -> Result<Said, Refused> {
    let expectation = Expectation {
        issuer: expected.issuer,
        audience: Audience::OneOf(expected.audiences),
        algorithms: expected.algorithms,
        // RFC 9068, section 4, and the usual type of others.
        types: &["jwt", "at+jwt"],
        required_times: &["exp"],
        leeway: LEEWAY,
    };
    let Verified { claims, expires, .. } = jwt::verify(token, &expectation, keys, now)?;
    check_claims(&claims, expected)?;
    let subject = subject(&claims).ok_or(Refused::Subject)?.to_owned();
    let until = expires.ok_or(JwtError::Missing("exp"))? + LEEWAY.as_secs_f64();
    Ok(Said { subject, claims, until })
}

fn check_claims(claims: &Claims, expected: &Expected<'_>) -> Result<(), Refused> {
    if is_for_something_else(claims) || audiences(claims).any(|audience| expected.login_clients.iter().any(|id| id == audience)) {
        return Err(Refused::NoAccessToken);
    }
    // RFC 7800: whoever merely has it is not its owner. Of DPoP (RFC 9449) or mutual TLS (RFC 8705).
    if claims.contains_key("cnf") {
        return Err(Refused::Bound);
    }
    if expected.required.iter().all(|required| required.holds(claims)) { Ok(()) } else { Err(Refused::RequiredClaim) }
}

fn audiences(claims: &Claims) -> impl Iterator<Item = &str> {
    let (one, many) = match claims.get("aud") {
        Some(Value::Array(many)) => (None, many.as_slice()),
        one => (one, [].as_slice()),
    };
    one.into_iter().chain(many).filter_map(Value::as_str)
}

/// What shows that a token is no access token although its audience is ours: the hashes of an id_token, the
/// event of a logout token (OpenID Connect Back-Channel Logout, section 2.4), and what Keycloak calls `typ`.
fn is_for_something_else(claims: &Claims) -> bool {
    let kind = claims.get("typ").and_then(Value::as_str);
    let by_kind = kind.is_some_and(|kind| ["ID", "Logout", "Refresh", "Offline"].contains(&kind));
    by_kind || ["at_hash", "c_hash", "events"].iter().any(|name| claims.contains_key(*name))
}

/// A header would trim blanks at the ends and so turn one subject into another.
fn subject(claims: &Claims) -> Option<&str> {
    let subject = claims.get("sub")?.as_str()?;
    let fits =
        (1..=LONGEST_SUBJECT).contains(&subject.len()) && subject.trim() == subject && !subject.chars().any(char::is_control);
    fits.then_some(subject)
}

#[cfg(test)]
mod tests;
