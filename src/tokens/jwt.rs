//! One token against what is expected of its issuer's tokens. Plain functions, without clock or I/O.

use std::collections::HashSet;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::{
    Algorithm, DecodingKey, Header, Validation, decode, decode_header,
    errors::ErrorKind,
    jwk::{Jwk, JwkSet, KeyAlgorithm},
};
use serde::Deserialize;
use serde_json::Value;

use super::LEEWAY;
use crate::{config::RequiredClaim, principal::Claims};

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
    #[error("it is no JWT that can be read")]
    Malformed,
    #[error("it is of another type than access tokens are")]
    Type,
    #[error("it is an id_token, or a token for signing out or for more tokens")]
    NoAccessToken,
    #[error("it counts only together with a proof that nobody here asks for")]
    Bound,
    #[error("it is from an issuer that is not configured")]
    UnknownIssuer,
    #[error("its algorithm is not one that is accepted")]
    Algorithm,
    #[error("it relies on extensions that are not known")]
    Extensions,
    #[error("no key of its issuer matches it")]
    NoMatchingKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("it is for another audience")]
    Audience,
    #[error("it has expired, or never does")]
    Expired,
    #[error("it is not valid yet")]
    NotYet,
    #[error("it has no subject that a header can carry")]
    Subject,
    #[error("a claim that is required has not the required value")]
    RequiredClaim,
    #[error("the API server says that it does not count any more")]
    Reviewed,
    #[error("the person is disabled")]
    Disabled,
}

/// Whether a credential looks like a JWT: three parts of base64url, and not larger than any should be.
pub(super) fn is_jwt(credential: &str) -> bool {
    let of_base64url =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    credential.len() <= LONGEST && credential.split('.').count() == 3 && credential.split('.').all(of_base64url)
}

/// Who a token says that it is from; to find out whose keys might verify that.
pub(super) fn issuer_of(token: &str) -> Result<String, Refused> {
    #[derive(Deserialize)]
    struct Issued {
        iss: String,
    }
    let payload = token.split('.').nth(1).ok_or(Refused::Malformed)?;
    let json = URL_SAFE_NO_PAD.decode(payload).map_err(|_| Refused::Malformed)?;
    serde_json::from_slice(&json).map(|Issued { iss }| iss).map_err(|_| Refused::Malformed)
}

pub(super) fn verify(token: &str, expected: &Expected<'_>, keys: &JwkSet, now: Timestamp) -> Result<Said, Refused> {
    let header = decode_header(token).map_err(|_| Refused::Malformed)?;
    check_header(&header, expected.algorithms)?;
    let key = matching_key(keys, &header).ok_or(Refused::NoMatchingKey)?;
    let key = DecodingKey::from_jwk(key).map_err(|_| Refused::NoMatchingKey)?;
    let claims = decode::<Claims>(token, &key, &signature_alone(header.alg)).map_err(|error| refused(error.kind()))?.claims;
    let until = check_times(&claims, now)?;
    check_claims(&claims, expected)?;
    let subject = subject(&claims).ok_or(Refused::Subject)?.to_owned();
    Ok(Said { subject, claims, until })
}

/// Claims are judged here, each with a reason of its own.
fn signature_alone(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims = HashSet::new();
    validation.validate_aud = false;
    validation.validate_exp = false;
    validation
}

fn refused(error: &ErrorKind) -> Refused {
    match error {
        ErrorKind::InvalidSignature => Refused::Signature,
        // The key with the token's id is of another kind than its algorithm.
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidKeyFormat | ErrorKind::InvalidEcdsaKey => Refused::NoMatchingKey,
        _ => Refused::Malformed,
    }
}

fn check_header(header: &Header, algorithms: &[Algorithm]) -> Result<(), Refused> {
    if !header.typ.as_deref().is_none_or(is_access_token) {
        return Err(Refused::Type);
    }
    if !algorithms.contains(&header.alg) {
        return Err(Refused::Algorithm);
    }
    // RFC 7515, section 4.1.11: what must be understood, and isn't.
    if header.crit.is_some() || header.zip.is_some() || header.enc.is_some() {
        return Err(Refused::Extensions);
    }
    Ok(())
}

/// RFC 9068, section 4, and what is usual without it. Every other type says that it is something else.
fn is_access_token(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
}

/// The key with the token's id; without an id, the only key there is. Never one that is for another algorithm.
fn matching_key<'a>(keys: &'a JwkSet, header: &Header) -> Option<&'a Jwk> {
    let algorithm = KeyAlgorithm::from(header.alg);
    let mut fitting = keys.keys.iter().filter(|key| key.common.key_algorithm.is_none_or(|of_key| of_key == algorithm));
    match &header.kid {
        Some(kid) => fitting.find(|key| key.common.key_id.as_ref() == Some(kid)),
        None => match keys.keys.as_slice() {
            [_] => fitting.next(),
            _ => None,
        },
    }
}

/// Until when it is accepted.
fn check_times(claims: &Claims, now: Timestamp) -> Result<f64, Refused> {
    let (now, leeway) = (now.as_second() as f64, LEEWAY.as_secs_f64());
    let until = claims.get("exp").and_then(Value::as_f64).ok_or(Refused::Expired)? + leeway;
    if until <= now {
        return Err(Refused::Expired);
    }
    match claims.get("nbf").filter(|nbf| !nbf.is_null()) {
        None => Ok(until),
        Some(nbf) if nbf.as_f64().is_some_and(|from| from - leeway <= now) => Ok(until),
        Some(_) => Err(Refused::NotYet),
    }
}

fn check_claims(claims: &Claims, expected: &Expected<'_>) -> Result<(), Refused> {
    if claims.get("iss").and_then(Value::as_str) != Some(expected.issuer) {
        return Err(Refused::UnknownIssuer);
    }
    if !audiences(claims).any(|audience| expected.audiences.iter().any(|ours| ours == audience)) {
        return Err(Refused::Audience);
    }
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
