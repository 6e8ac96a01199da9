//! A private RSA key that signs JWTs for another party, which knows the public key.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

pub struct RsaSigner {
    header: Header,
    key: EncodingKey,
}

/// A text that contains no RSA key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("has no RSA key in PEM format")]
pub struct RsaSignerError;

impl RsaSigner {
    /// Parses a key in PEM format. `key_id` becomes the `kid` of the JWTs.
    pub fn parse(pem: &str, key_id: Option<String>) -> Result<Self, RsaSignerError> {
        let key = EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| RsaSignerError)?;
        let header = Header { kid: key_id, ..Header::new(Algorithm::RS256) };
        jsonwebtoken::encode(&header, &(), &key).map_err(|_| RsaSignerError)?;
        Ok(Self { header, key })
    }

    pub fn sign(&self, claims: &impl Serialize) -> String {
        jsonwebtoken::encode(&self.header, claims, &self.key)
            .expect("the key has signed when it was parsed, and the claims are strings and numbers")
    }
}
