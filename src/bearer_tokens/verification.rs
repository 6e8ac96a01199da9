//! Verifies a bearer token against its issuer's settings, without clock or I/O.

use jiff::Timestamp;

use super::{
    LEEWAY,
    settings::{AudienceClaim, IssuerKind, IssuerSettings, RequiredClaim},
};
use crate::{
    json::Value,
    jwt::{self, Algorithm, Audience, Expectation, JwtError, KeySet, VerifiedToken},
    principal::{ClaimPath, Claims},
};

/// The maximum length of a token in bytes.
pub(super) const MAX_TOKEN_LENGTH: usize = 16 * 1024;

/// The maximum length of a subject in bytes, since it is sent in a header.
const MAX_SUBJECT_LENGTH: usize = 254;

/// The requirements on an issuer's tokens.
pub(super) struct IssuerExpectation<'a> {
    pub issuer: &'a str,
    pub additional_issuers: &'a [String],
    pub audiences: &'a [String],
    pub audience_claim: Option<AudienceClaim>,
    pub access_token_claim: Option<&'a ClaimPath>,
    pub algorithms: &'a [Algorithm],
    pub required: &'a [RequiredClaim],
    /// The `client_id`s of all providers. A token with one of them as audience is an id_token, unless it has the
    /// `access_token_claim`.
    pub login_clients: &'a [String],
}

impl<'a> IssuerExpectation<'a> {
    /// Returns the requirements of these settings. `issuer` is the issuer's own name, which an API server announces itself.
    pub fn new(settings: &'a IssuerSettings, issuer: &'a str) -> Self {
        let additional_issuers = match &settings.kind {
            IssuerKind::OpenIdConnect(_) => &[],
            IssuerKind::Kubernetes(settings) => &*settings.additional_issuers,
        };
        Self {
            issuer,
            additional_issuers,
            audiences: &settings.audiences,
            audience_claim: settings.audience_claim,
            access_token_claim: settings.access_token_claim.as_ref(),
            algorithms: &settings.algorithms,
            required: &settings.required_claims,
            login_clients: &settings.login_clients,
        }
    }
}

/// The claims of a verified token.
pub(super) struct TokenClaims {
    pub subject: String,
    pub claims: Claims,
    /// `iat`; `None` if it is absent or not a time.
    pub issued: Option<Timestamp>,
    /// The first second in which it is no longer accepted.
    pub until: f64,
}

/// The reason why a token is refused. It is only logged. The client gets a fixed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    #[error(transparent)]
    Jwt(#[from] JwtError),
    #[error("token has no audience")]
    NoAudience,
    #[error("{0} is another audience")]
    AudienceClaim(&'static str),
    #[error("it is an id_token, a logout token or a refresh token")]
    NoAccessToken,
    #[error("it requires proof of possession (cnf), which is not supported")]
    Bound,
    #[error("it is from an issuer that is not configured")]
    UnknownIssuer,
    #[error("it has no subject that is valid in a header")]
    Subject,
    #[error("a required claim does not have the required value")]
    RequiredClaim,
    #[error("the API server rejected it in a review")]
    Reviewed,
    #[error("the user is disabled")]
    Disabled,
}

impl TokenRefusal {
    /// The stable token for the `reason` field of log events.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Jwt(error) => error.reason(),
            Self::NoAudience => "audience_missing",
            Self::AudienceClaim(_) => "audience_mismatch",
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

/// True if a credential has the form of a JWT: three parts of base64url, not longer than the maximum.
pub(super) fn is_jwt(credential: &str) -> bool {
    let of_base64url =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    credential.len() <= MAX_TOKEN_LENGTH && credential.split('.').count() == 3 && credential.split('.').all(of_base64url)
}

pub(super) fn verify(
    token: &str,
    expected: &IssuerExpectation<'_>,
    keys: &KeySet,
    now: Timestamp,
) -> Result<TokenClaims, TokenRefusal> {
    let expectation = Expectation {
        issuer: named_issuer(token, expected)?,
        audience: Audience::Any,
        algorithms: expected.algorithms,
        // RFC 9068, section 4, and the usual type of others.
        types: &["jwt", "at+jwt"],
        required_times: &["exp"],
        leeway: LEEWAY,
    };
    let VerifiedToken { claims, expires, .. } = jwt::verify(token, &expectation, keys, now)?;
    // Unlike the id_token of a login, which is used at once, a token can be held back until it is valid.
    jwt::time(&claims, "nbf")?;
    check_audience(&claims, expected)?;
    check_claims(&claims, expected)?;
    let subject = subject(&claims).ok_or(TokenRefusal::Subject)?.to_owned();
    let until = expires.ok_or(JwtError::Missing("exp"))? + LEEWAY.as_secs_f64();
    let issued = issued(&claims, now);
    Ok(TokenClaims { subject, claims, issued, until })
}

/// A time in the future counts as now: the issuer's clock is ahead, or its `iat` means something else.
fn issued(claims: &Claims, now: Timestamp) -> Option<Timestamp> {
    let issued = jwt::time(claims, "iat").ok()??;
    Timestamp::from_second(issued as i64).ok().map(|issued| issued.min(now))
}

/// Returns the issuer's name that the token claims to be from, or its first name, which verification then compares.
fn named_issuer<'a>(token: &str, expected: &IssuerExpectation<'a>) -> Result<&'a str, JwtError> {
    if expected.additional_issuers.is_empty() {
        return Ok(expected.issuer);
    }
    let named = jwt::unverified_issuer(token)?;
    Ok(expected.additional_issuers.iter().find(|additional| **additional == named).map_or(expected.issuer, String::as_str))
}

/// Requires one of our audiences in `aud`, if it is present, and in the issuer's `audience_claim`, if it has one.
fn check_audience(claims: &Claims, expected: &IssuerExpectation<'_>) -> Result<(), TokenRefusal> {
    let is_ours =
        |audience: &Value| audience.as_str().is_some_and(|audience| expected.audiences.iter().any(|ours| audience == ours));
    let listed = match jwt::audiences(claims) {
        Ok([]) | Err(JwtError::Missing(_)) => None,
        listed => Some(listed?),
    };
    if listed.is_some_and(|listed| !listed.iter().any(is_ours)) {
        return Err(JwtError::Audience.into());
    }
    let Some(claim) = expected.audience_claim.map(AudienceClaim::name) else {
        return listed.map(drop).ok_or(TokenRefusal::NoAudience);
    };
    match jwt::text(claims, claim) {
        Ok(named) if expected.audiences.iter().any(|ours| named == ours) => Ok(()),
        Ok(_) => Err(TokenRefusal::AudienceClaim(claim)),
        Err(JwtError::Missing(_)) => Err(TokenRefusal::NoAudience),
        Err(wrong) => Err(wrong.into()),
    }
}

fn check_claims(claims: &Claims, expected: &IssuerExpectation<'_>) -> Result<(), TokenRefusal> {
    if is_for_something_else(claims) || !is_access_token(claims, expected) {
        return Err(TokenRefusal::NoAccessToken);
    }
    // A token with a confirmation claim (RFC 7800) must not be accepted as a bearer token. DPoP (RFC 9449) and mutual TLS
    // (RFC 8705) use it.
    if claims.contains_key("cnf") {
        return Err(TokenRefusal::Bound);
    }
    if expected.required.iter().all(|required| required.is_met_by(claims)) { Ok(()) } else { Err(TokenRefusal::RequiredClaim) }
}

/// True if the token has the claim that only access tokens have. Without such a claim, an audience that signs users in shows an
/// id_token.
fn is_access_token(claims: &Claims, expected: &IssuerExpectation<'_>) -> bool {
    let is_login_client =
        |audience: &Value| audience.as_str().is_some_and(|audience| expected.login_clients.iter().any(|id| audience == id));
    match expected.access_token_claim {
        Some(claim) => claim.find(claims).is_some_and(|value| !value.is_null()),
        None => !jwt::audiences(claims).unwrap_or_default().iter().any(is_login_client),
    }
}

/// True if the token is not an access token, although its audience is accepted: it has the nonce or the hashes of an id_token,
/// the event of a logout token (OpenID Connect Back-Channel Logout, section 2.4), or such a value in Keycloak's claim `typ`.
fn is_for_something_else(claims: &Claims) -> bool {
    let kind = claims.get("typ").and_then(Value::as_str);
    let by_kind = kind.is_some_and(|kind| ["ID", "Logout", "Refresh", "Offline"].contains(&kind));
    by_kind || ["nonce", "at_hash", "c_hash", "events"].iter().any(|name| claims.contains_key(*name))
}

/// Refuses blanks at the ends, since trimming them in a header would change the subject into another one.
fn subject(claims: &Claims) -> Option<&str> {
    let subject = claims.get("sub")?.as_str()?;
    let fits =
        (1..=MAX_SUBJECT_LENGTH).contains(&subject.len()) && subject.trim() == subject && !subject.chars().any(char::is_control);
    fits.then_some(subject)
}

#[cfg(test)]
mod tests;
