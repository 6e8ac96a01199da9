//! Private keys in PEM that sign JWTs, and the JWK Set that verifies them.

use std::{fmt, sync::Arc, time::Duration};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash},
};
use pem::{EncodeConfig, LineEnding, Pem};
use serde::Serialize;
use zeroize::Zeroizing;

use super::rotation::{Rotation, RotationKey};
use crate::clock::Clock;

/// The only supported form: unencrypted PKCS #8 (RFC 5958).
const TAG: &str = "PRIVATE KEY";

/// A new primary key is only published for this long, until every pod has it and upstreams have fetched it. Some upstreams
/// cache the JWK Set for ten minutes.
const SIGNS_AFTER: Duration = Duration::from_secs(15 * 60);

/// A signature algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// Ed25519 (RFC 8037).
    EdDsa,
    /// ECDSA with P-256 and SHA-256 (RFC 7518).
    Es256,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SigningKeysError {
    #[error("has no PEM block; `vestibule assertion-key new` prints one")]
    Empty,
    #[error("is no PEM text")]
    NotPem,
    #[error(
        "has as block {place} something else than `{TAG}` in PKCS #8; `vestibule assertion-key new` prints one, `openssl pkcs8 -topk8 -nocrypt` makes one of yours"
    )]
    Form { place: usize },
    #[error("has as block {place} no Ed25519 or P-256 key; `vestibule assertion-key new` prints one")]
    Kind { place: usize },
    #[error("has in block {place} the key of block {first} again")]
    Repeated { place: usize, first: usize },
}

/// The current keys, replaced as a whole when their file changes. A new primary key is published at once, and signs when
/// every pod publishes it.
pub struct SigningKeys(Rotation<SigningKey>);

/// Parsed keys that are not in use yet.
pub struct NewSigningKeys(Vec<SigningKey>);

struct SigningKey {
    header: Header,
    kid: String,
    secret: EncodingKey,
    public: Jwk,
}

/// Creates a private key as a PEM block.
pub fn new_signing_key(algorithm: SigningAlgorithm) -> String {
    let random = SystemRandom::new();
    let document = match algorithm {
        // PKCS #8 version 1, without the public key, which all tools can read.
        SigningAlgorithm::EdDsa => Ed25519KeyPair::generate_pkcs8v1(&random),
        SigningAlgorithm::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random),
    };
    let document = document.expect("the system's random generator works");
    pem::encode_config(&Pem::new(TAG, document.as_ref()), EncodeConfig::new().set_line_ending(LineEnding::LF))
}

impl NewSigningKeys {
    /// Parses one PEM block per key. Text between the blocks is ignored.
    pub fn parse(text: &str) -> Result<Self, SigningKeysError> {
        let blocks = pem::parse_many(text).map_err(|_| SigningKeysError::NotPem)?;
        let mut keys: Vec<SigningKey> = Vec::new();
        for (place, block) in (1..).zip(blocks) {
            if block.tag() != TAG {
                return Err(SigningKeysError::Form { place });
            }
            let der = Zeroizing::new(block.into_contents());
            let key = SigningKey::read(&der).ok_or(SigningKeysError::Kind { place })?;
            if let Some(first) = keys.iter().position(|known| known.kid == key.kid) {
                return Err(SigningKeysError::Repeated { place, first: first + 1 });
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(SigningKeysError::Empty) } else { Ok(Self(keys)) }
    }
}

impl SigningKeys {
    pub fn new(keys: NewSigningKeys, clock: Arc<dyn Clock>) -> Self {
        Self(Rotation::new(keys.0, SIGNS_AFTER, clock))
    }

    pub fn replace(&self, keys: NewSigningKeys) {
        self.0.replace(keys.0);
    }

    /// True if the key of this id still exists.
    pub fn has(&self, kid: &str) -> bool {
        self.0.all().iter().any(|key| key.kid == kid)
    }

    /// Signs claims. Returns the JWT and the id of the key.
    pub fn sign(&self, claims: &impl Serialize) -> (String, String) {
        let key = self.0.in_use();
        let jwt = jsonwebtoken::encode(&key.header, claims, &key.secret);
        (jwt.expect("the key has signed when it was parsed, and the claims are strings and numbers"), key.kid.clone())
    }

    /// Returns the public keys, as a JWK Set (RFC 7517).
    pub fn published(&self) -> JwkSet {
        JwkSet { keys: self.0.all().iter().map(|key| key.public.clone()).collect() }
    }
}

impl SigningKey {
    fn read(der: &[u8]) -> Option<Self> {
        let of = |algorithm, secret: EncodingKey| {
            let mut public = Jwk::from_encoding_key(&secret, algorithm).ok()?;
            let kid = public.thumbprint(ThumbprintHash::SHA256).ok()?;
            public.common.key_id = Some(kid.clone());
            public.common.public_key_use = Some(PublicKeyUse::Signature);
            let header = Header { kid: Some(kid.clone()), ..Header::new(algorithm) };
            jsonwebtoken::encode(&header, &(), &secret).ok()?;
            Some(Self { header, kid, secret, public })
        };
        of(Algorithm::EdDSA, EncodingKey::from_ed_der(der)).or_else(|| of(Algorithm::ES256, EncodingKey::from_ec_der(der)))
    }
}

impl RotationKey for SigningKey {
    fn id(&self) -> &[u8] {
        self.kid.as_bytes()
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKeys({}, [redacted])", self.0.all().len())
    }
}

impl fmt::Debug for NewSigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewSigningKeys({}, [redacted])", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation};
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::manual::ManualClock;

    /// The output of `openssl genpkey -algorithm ed25519`, for tests only.
    const OPENSSL_ED25519: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEILCTcZZAB3V9jWkpdx9xfDne5cWd3Kolm04ytvykZMiZ
-----END PRIVATE KEY-----
";

    fn keys(text: &str, clock: &ManualClock) -> SigningKeys {
        SigningKeys::new(NewSigningKeys::parse(text).unwrap(), Arc::new(clock.clone()))
    }

    fn verified(jwt: &str, set: &JwkSet) -> Option<Value> {
        let header = jsonwebtoken::decode_header(jwt).unwrap();
        let key = set.find(&header.kid?)?;
        let mut validation = Validation::new(header.alg);
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        Some(jsonwebtoken::decode::<Value>(jwt, &DecodingKey::from_jwk(key).unwrap(), &validation).ok()?.claims)
    }

    #[rstest]
    #[case::ed25519(new_signing_key(SigningAlgorithm::EdDsa), "OKP", "EdDSA")]
    #[case::p256(new_signing_key(SigningAlgorithm::Es256), "EC", "ES256")]
    #[case::created_by_openssl(OPENSSL_ED25519.to_owned(), "OKP", "EdDSA")]
    fn a_signature_is_verified_by_the_published_keys(#[case] text: String, #[case] kind: &str, #[case] algorithm: &str) {
        let keys = keys(&text, &ManualClock::new());
        let (jwt, kid) = keys.sign(&json!({"sub": "x"}));
        assert_eq!(verified(&jwt, &keys.published()), Some(json!({"sub": "x"})));
        let published = serde_json::to_value(keys.published()).unwrap();
        let key = &published["keys"][0];
        assert_eq!(
            (&key["kty"], &key["alg"], &key["use"], &key["kid"]),
            (&json!(kind), &json!(algorithm), &json!("sig"), &json!(kid))
        );
        assert_eq!(key["d"], Value::Null, "the private key is not published: {published}");
    }

    #[test]
    fn a_new_primary_key_is_published_at_once_and_signs_later_while_the_old_key_still_verifies() {
        let clock = ManualClock::new();
        let (old, new) = (new_signing_key(SigningAlgorithm::EdDsa), new_signing_key(SigningAlgorithm::Es256));
        let keys = keys(&old, &clock);
        let (jwt, first) = keys.sign(&json!({}));
        keys.replace(NewSigningKeys::parse(&format!("# rotated\n{new}\n{old}")).unwrap());
        assert_eq!(keys.published().keys.len(), 2);
        assert_eq!(keys.sign(&json!({})).1, first);
        clock.advance(SIGNS_AFTER);
        let (later, second) = keys.sign(&json!({}));
        assert_ne!(second, first);
        assert!(verified(&jwt, &keys.published()).is_some() && verified(&later, &keys.published()).is_some());
        keys.replace(NewSigningKeys::parse(&new).unwrap());
        assert!(!keys.has(&first) && keys.has(&second));
        assert_eq!(verified(&jwt, &keys.published()), None);
    }

    #[test]
    fn errors_name_the_block_and_never_show_its_content() {
        let key = new_signing_key(SigningAlgorithm::EdDsa);
        let rsa = pem::encode(&Pem::new("RSA PRIVATE KEY", b"hunter2".as_slice()));
        let odd = pem::encode(&Pem::new(TAG, b"hunter2".as_slice()));
        for (text, expected) in [
            (String::new(), SigningKeysError::Empty),
            ("hunter2".to_owned(), SigningKeysError::Empty),
            (key[..60].to_owned(), SigningKeysError::Empty),
            (format!("{key}{rsa}"), SigningKeysError::Form { place: 2 }),
            (format!("{key}{odd}"), SigningKeysError::Kind { place: 2 }),
            (format!("{key}{key}"), SigningKeysError::Repeated { place: 2, first: 1 }),
        ] {
            let error = NewSigningKeys::parse(&text).unwrap_err();
            assert_eq!(error, expected);
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let new = NewSigningKeys::parse(OPENSSL_ED25519).unwrap();
        assert_eq!(format!("{new:?}"), "NewSigningKeys(1, [redacted])");
        let keys = SigningKeys::new(new, Arc::new(ManualClock::new()));
        assert_eq!(format!("{keys:?}"), "SigningKeys(1, [redacted])");
    }
}
