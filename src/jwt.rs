//! Verifies JWTs (RFC 7519) against an explicit expectation: header, signature, issuer, audience and times.

mod jwk;
mod key_set;
#[cfg(test)]
pub mod test_signer;
mod verifier;

pub use jsonwebtoken::Algorithm;
pub use key_set::{KeySet, KeySetError};

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    json::{self, JsonObject, Value},
    principal::Claims,
};

/// The requirements for one kind of token of one issuer.
#[derive(Clone, Copy, Debug)]
pub struct Expectation<'a> {
    pub issuer: &'a str,
    pub audience: Audience<'a>,
    pub algorithms: &'a [Algorithm],
    /// Accepted values of the header's `typ`, in lower case and without `application/`. A token without `typ`
    /// is accepted. An empty list accepts every type.
    pub types: &'a [&'a str],
    /// The times that must be present, of `exp` and `iat`. `exp` is also checked if it is present, and `nbf` if it is a
    /// number.
    pub required_times: &'a [&'static str],
    /// The allowed difference between the issuer's clock and ours.
    pub leeway: Duration,
}

/// The requirement for `aud`.
#[derive(Clone, Copy, Debug)]
pub enum Audience<'a> {
    Any,
    /// The token must have this audience and no other.
    Only(&'a str),
    /// The token must have this audience, and all others must be trusted.
    With {
        ours: &'a str,
        trusted: &'a [String],
    },
}

/// A token's content after verification.
pub struct VerifiedToken {
    pub claims: Claims,
    pub algorithm: Algorithm,
    /// `exp`, in seconds since 1970.
    pub expires: Option<f64>,
}

/// The reason for refusing a token. It is for the log only and contains no values of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    #[error("it is not a JWT")]
    Malformed,
    #[error("its header has another type (typ)")]
    Type,
    #[error("its header has an algorithm (alg) that is not allowed")]
    Algorithm,
    #[error("its header has extensions (crit, zip, enc) that are not supported")]
    Extensions,
    #[error("no key of the issuer matches it")]
    NoMatchingKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{claim} is {found}")]
    WrongType { claim: &'static str, found: &'static str },
    #[error("iss is another issuer")]
    Issuer,
    #[error("aud is another audience")]
    Audience,
    #[error("exp: it has expired")]
    Expired,
    #[error("nbf: it is not valid yet")]
    NotYetValid,
    #[error("iat lies in the future")]
    IssuedInFuture,
}

impl JwtError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "token_malformed",
            Self::Type => "type_not_allowed",
            Self::Algorithm => "algorithm_not_allowed",
            Self::Extensions => "header_extension_not_supported",
            Self::NoMatchingKey => "no_matching_key",
            Self::Signature => "signature_invalid",
            Self::Missing(_) => "claim_missing",
            Self::WrongType { .. } => "claim_type_invalid",
            Self::Issuer => "issuer_mismatch",
            Self::Audience => "audience_mismatch",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::IssuedInFuture => "token_issued_in_future",
        }
    }

    /// True if the issuer may have rotated its keys since the last fetch, with a new key id, the same key id or none.
    pub fn can_be_fixed_by_newer_keys(self) -> bool {
        matches!(self, Self::NoMatchingKey | Self::Signature)
    }
}

/// Verifies a token and returns its claims.
pub fn verify(token: &str, expectation: &Expectation<'_>, keys: &KeySet, now: Timestamp) -> Result<VerifiedToken, JwtError> {
    let (message, signature) = token.rsplit_once('.').ok_or(JwtError::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(JwtError::Malformed)?;
    let header = JsonObject::parse_scalars(&decode_base64(header)?).map_err(|_| JwtError::Malformed)?;
    let algorithm = expectation.check_header(&header)?;
    let kid = header.text("kid").filter(|kid| !kid.is_empty());
    verify_signature(message, signature, keys, kid.as_deref(), algorithm)?;
    let claims = json::parse_object(&decode_base64(payload)?).map_err(|_| JwtError::Malformed)?;
    expectation.check_audience(&claims)?;
    let expires = expectation.check_times(&claims, now)?;
    Ok(VerifiedToken { claims, algorithm, expires })
}

/// Reads the issuer of a token that is not verified yet, to find the keys that can verify it.
pub fn unverified_issuer(token: &str) -> Result<String, JwtError> {
    #[derive(Deserialize)]
    struct IssuerClaim {
        iss: String,
    }
    let payload = token.split('.').nth(1).ok_or(JwtError::Malformed)?;
    decode(payload).map(|IssuerClaim { iss }| iss)
}

/// Returns a claim that must be a string.
pub fn text<'c>(claims: &'c Claims, claim: &'static str) -> Result<&'c str, JwtError> {
    match claims.get(claim) {
        None | Some(Value::Null) => Err(JwtError::Missing(claim)),
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(wrong_type(claim, other)),
    }
}

/// Returns a time in seconds, possibly with a fraction (NumericDate, RFC 7519, section 2). Null counts as absent.
pub fn time(claims: &Claims, claim: &'static str) -> Result<Option<f64>, JwtError> {
    match claims.get(claim) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => Ok(Some(number.as_f64())),
        Some(other) => Err(wrong_type(claim, other)),
    }
}

fn decode<T: for<'d> Deserialize<'d>>(part: &str) -> Result<T, JwtError> {
    serde_json::from_slice(&decode_base64(part)?).map_err(|_| JwtError::Malformed)
}

fn decode_base64(part: &str) -> Result<Vec<u8>, JwtError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Malformed)
}

fn verify_signature(
    message: &str,
    signature: &str,
    keys: &KeySet,
    kid: Option<&str>,
    algorithm: Algorithm,
) -> Result<(), JwtError> {
    decode_base64(signature)?;
    let mut failure = JwtError::NoMatchingKey;
    for key in keys.candidates(kid, algorithm) {
        if key.is_valid_signature(message, signature, algorithm) {
            return Ok(());
        }
        failure = JwtError::Signature;
    }
    Err(failure)
}

impl Expectation<'_> {
    fn check_header(&self, header: &JsonObject) -> Result<Algorithm, JwtError> {
        if header.has("typ") && !header.text("typ").is_some_and(|typ| self.accepts_type(&typ)) {
            return Err(JwtError::Type);
        }
        let name = header.text("alg").ok_or(JwtError::Malformed)?;
        let algorithm = jwk::parse_algorithm(&name).ok_or(JwtError::Algorithm)?;
        if !self.algorithms.contains(&algorithm) {
            return Err(JwtError::Algorithm);
        }
        // RFC 7515, section 4.1.11: a token with an unknown extension must be refused.
        if ["crit", "zip", "enc"].iter().any(|extension| header.has(extension)) {
            return Err(JwtError::Extensions);
        }
        Ok(algorithm)
    }

    fn accepts_type(&self, typ: &str) -> bool {
        let typ = typ.to_ascii_lowercase();
        self.types.is_empty() || self.types.contains(&typ.strip_prefix("application/").unwrap_or(&typ))
    }

    fn check_audience(&self, claims: &Claims) -> Result<(), JwtError> {
        if text(claims, "iss")? != self.issuer {
            return Err(JwtError::Issuer);
        }
        let fits = match self.audience {
            Audience::Any => true,
            Audience::Only(ours) => {
                let audiences = audiences(claims)?;
                !audiences.is_empty() && audiences.iter().all(|audience| audience.as_str() == Some(ours))
            }
            Audience::With { ours, trusted } => {
                let audiences = audiences(claims)?;
                let is_ours = |audience: &Value| audience.as_str() == Some(ours);
                let is_trusted = |audience: &Value| trusted.iter().any(|one| audience.as_str() == Some(one));
                audiences.iter().any(is_ours) && audiences.iter().all(|audience| is_ours(audience) || is_trusted(audience))
            }
        };
        if fits { Ok(()) } else { Err(JwtError::Audience) }
    }

    fn check_times(&self, claims: &Claims, now: Timestamp) -> Result<Option<f64>, JwtError> {
        let (now, leeway) = (now.as_second() as f64, self.leeway.as_secs_f64());
        let expires = self.time(claims, "exp")?;
        if expires.is_some_and(|expires| expires + leeway <= now) {
            return Err(JwtError::Expired);
        }
        // A value that is not a number says nothing about the time.
        if time(claims, "nbf").is_ok_and(|not_before| not_before.is_some_and(|not_before| not_before - leeway > now)) {
            return Err(JwtError::NotYetValid);
        }
        if self.required_times.contains(&"iat") && self.time(claims, "iat")?.is_some_and(|issued| issued - leeway > now) {
            return Err(JwtError::IssuedInFuture);
        }
        Ok(expires)
    }

    fn time(&self, claims: &Claims, claim: &'static str) -> Result<Option<f64>, JwtError> {
        match time(claims, claim)? {
            None if self.required_times.contains(&claim) => Err(JwtError::Missing(claim)),
            time => Ok(time),
        }
    }
}

/// Returns the members of `aud`, which is a string or a list of strings.
pub fn audiences(claims: &Claims) -> Result<&[Value], JwtError> {
    match claims.get("aud") {
        None | Some(Value::Null) => Err(JwtError::Missing("aud")),
        Some(Value::Array(many)) => Ok(many),
        Some(one @ Value::String(_)) => Ok(std::slice::from_ref(one)),
        Some(other) => Err(wrong_type("aud", other)),
    }
}

fn wrong_type(claim: &'static str, value: &Value) -> JwtError {
    JwtError::WrongType { claim, found: value.type_name() }
}
