//! Reads JWK Sets (RFC 7517) and finds the keys that may have signed a token.

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

/// An issuer's public keys for signatures. It contains at least one key.
#[derive(Debug, PartialEq)]
pub struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    jwk: Jwk,
    decoded: DecodingKey,
}

/// The reason why a document contains no usable keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    #[error("the key set can't be read: {0}")]
    Malformed(String),
    #[error("the key set can't be read: it contains no usable key")]
    NoKey,
}

impl KeySet {
    /// Parses a document. Keys of unknown types, keys for encryption and shared secrets are skipped.
    pub fn parse(document: &[u8]) -> Result<Self, KeySetError> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document = serde_json::from_slice(document).map_err(|error| KeySetError::Malformed(error.to_string()))?;
        let keys: Vec<_> = document.keys.into_iter().filter_map(Key::parse).collect();
        if keys.is_empty() { Err(KeySetError::NoKey) } else { Ok(Self(keys)) }
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the key with the token's key id, or the only key of the set if the token has no key id. Keys for another
    /// algorithm are left out.
    pub(super) fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &DecodingKey> {
        let is_only = self.0.len() == 1;
        let named = move |key: &&Key| kid.map_or(is_only, |kid| key.jwk.common.key_id.as_deref() == Some(kid));
        self.0.iter().filter(move |key| key.supports(algorithm)).find(named).map(|key| &key.decoded).into_iter()
    }
}

impl Key {
    fn parse(json: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(json).ok()?;
        let is_for_encryption = jwk.common.public_key_use == Some(PublicKeyUse::Encryption);
        if is_for_encryption || matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_)) {
            return None;
        }
        let decoded = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { jwk, decoded })
    }

    fn supports(&self, algorithm: Algorithm) -> bool {
        let declared = self.jwk.common.key_algorithm;
        self.decoded.family() == algorithm.family() && declared.is_none_or(|declared| declared == KeyAlgorithm::from(algorithm))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.jwk == other.jwk
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kids(keys: Value) -> Vec<String> {
        let document = serde_json::to_vec(&json!({"keys": keys})).unwrap();
        KeySet::parse(&document).unwrap().0.into_iter().filter_map(|key| key.jwk.common.key_id).collect()
    }

    #[test]
    fn only_public_keys_that_sign_are_kept() {
        let curve = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let with = |extra: Value| {
            let mut key = curve.clone();
            key.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            key
        };
        let keys = json!([
            with(json!({"kid": "plain"})),
            with(json!({"kid": "signs", "use": "sig"})),
            with(json!({"kid": "encrypts", "use": "enc"})),
            {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"},
            {"kty": "new", "kid": "unknown"},
            "no key at all",
        ]);
        assert_eq!(kids(keys), ["plain", "signs"]);
        assert!(matches!(KeySet::parse(br#"{"keys": [{"kty": "new"}]}"#), Err(KeySetError::NoKey)));
        assert!(matches!(KeySet::parse(b"<html>"), Err(KeySetError::Malformed(_))));
    }
}
