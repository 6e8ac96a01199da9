//! The access token that came with our own code, when it is a JWT: whose it is, and what it claims.

use std::collections::HashSet;

use jiff::Timestamp;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{Jwk, JwkSet},
};

use super::{
    LEEWAY,
    claims::{NotATime, text, time},
};
use crate::principal::Claims;

/// What is known of the issuer that the token must come from.
pub(super) struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub algorithms: &'a [Algorithm],
    pub keys: &'a JwkSet,
}

/// Why an access token says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    /// Not a JWT: its claims are simply absent.
    #[error("it is opaque")]
    Opaque,
    #[error("it is signed with an algorithm that is not allowed")]
    Algorithm,
    #[error("no key of the issuer matches it")]
    NoMatchingKey,
    #[error("it does not verify: {0}")]
    Invalid(String),
    #[error("it has expired")]
    Expired,
    #[error("it was issued to another client")]
    OtherClient,
}

impl From<NotATime> for Unusable {
    fn from(error: NotATime) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// The claims of a verified access token.
///
/// Its audience is the API's and not ours, so `aud` is not judged; `azp` (or `client_id`, RFC 9068)
/// must be ours where present, since a token of another client says nothing about our login.
pub(super) fn verify(token: &str, expected: &Expected<'_>, now: Timestamp) -> Result<Claims, Unusable> {
    let header = decode_header(token).map_err(|_| Unusable::Opaque)?;
    if !expected.algorithms.contains(&header.alg) {
        return Err(Unusable::Algorithm);
    }
    let key = matching_key(expected.keys, header.kid.as_deref()).ok_or(Unusable::NoMatchingKey)?;
    let key = DecodingKey::from_jwk(key).map_err(|error| Unusable::Invalid(error.to_string()))?;
    let claims = decode::<Claims>(token, &key, &validation(header.alg, expected.issuer))
        .map_err(|error| Unusable::Invalid(error.to_string()))?
        .claims;
    check_time(&claims, now)?;
    check_client(&claims, expected.client_id)?;
    Ok(claims)
}

/// Signature and issuer. Times are compared with the clock that is passed in.
fn validation(algorithm: Algorithm, issuer: &str) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[issuer]);
    validation.required_spec_claims = HashSet::from(["iss".to_owned(), "exp".to_owned()]);
    validation.validate_aud = false;
    validation.validate_exp = false;
    validation
}

/// The key with the token's id; without an id, the only key there is.
fn matching_key<'a>(keys: &'a JwkSet, kid: Option<&str>) -> Option<&'a Jwk> {
    match (kid, keys.keys.as_slice()) {
        (Some(kid), _) => keys.find(kid),
        (None, [only]) => Some(only),
        (None, _) => None,
    }
}

fn check_time(claims: &Claims, now: Timestamp) -> Result<(), Unusable> {
    let (now, leeway) = (now.as_second() as f64, LEEWAY.as_secs_f64());
    if time(claims, "exp")?.is_none_or(|expires| expires + leeway <= now) {
        return Err(Unusable::Expired);
    }
    match time(claims, "nbf")? {
        Some(from) if from - leeway > now => Err(Unusable::Invalid("it is not valid yet".into())),
        _ => Ok(()),
    }
}

fn check_client(claims: &Claims, client_id: &str) -> Result<(), Unusable> {
    let named = ["azp", "client_id"].iter().filter_map(|name| text(claims, name));
    if named.into_iter().all(|client| client == client_id) { Ok(()) } else { Err(Unusable::OtherClient) }
}
