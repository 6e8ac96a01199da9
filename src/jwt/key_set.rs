//! Reads JWK Sets (RFC 7517) and finds the keys that may have signed a token.

use jsonwebtoken::Algorithm;

use super::{jwk::VerificationKey, verifier::Verifier};
use crate::json::{JsonObject, MemberError, NotAnObjectError};

/// The maximum number of keys that are tried for one token, since each one costs a verification.
const MAX_CANDIDATES: usize = 8;

/// The maximum number of keys in a document. Reading more would take too long.
const MAX_KEYS: usize = 1000;

/// An issuer's public keys for signatures. It contains at least one key.
#[derive(Debug, PartialEq)]
pub struct KeySet(Vec<VerificationKey>);

/// The reason why a document contains no usable keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    #[error("the key set can't be read: {0}")]
    NotAnObject(#[from] NotAnObjectError),
    #[error("the key set can't be read: {0}")]
    Keys(#[from] MemberError),
    #[error("the key set has {0} keys, more than {MAX_KEYS}")]
    TooMany(usize),
    #[error("the key set has no usable signing key; assign a signing key at the provider")]
    NoKey,
}

impl KeySet {
    /// Parses a document. Keys that verify no signature are skipped.
    pub fn parse(document: &[u8]) -> Result<Self, KeySetError> {
        let listed = JsonObject::parse(document)?.required_objects("keys")?;
        if listed.len() > MAX_KEYS {
            return Err(KeySetError::TooMany(listed.len()));
        }
        let keys: Vec<_> = listed.iter().filter_map(VerificationKey::parse).collect();
        if keys.is_empty() { Err(KeySetError::NoKey) } else { Ok(Self(keys)) }
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the keys that may have signed a token with this key id and algorithm: those with the same id, which may not be
    /// unique; if there is none, those without an id; for a token without an id, all keys.
    pub(super) fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &Verifier> {
        let fitting = move || self.0.iter().filter(move |key| key.can_verify(algorithm));
        // The id that a candidate must have. The inner `None` is the id of a key without one.
        let required = kid.map(|kid| fitting().any(|key| key.kid() == Some(kid)).then_some(kid));
        let candidates = fitting().filter(move |key| required.is_none_or(|required| key.kid() == required));
        candidates.map(VerificationKey::verifier).take(MAX_CANDIDATES)
    }
}

#[cfg(test)]
mod tests;
