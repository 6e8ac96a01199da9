//! Secrets: the key ring, which encrypts records and signs opaque tokens and forms; signing keys; digests; random bytes.

mod accepted_secrets;
mod configured_secret;
mod host_token;
mod onboarding;
mod opaque_token;
mod ring;
mod rotation;
mod rsa_signer;
mod secret_cell;
mod signing_keys;

pub use accepted_secrets::{AcceptedSecrets, AcceptedSecretsCell, AcceptedSecretsError};
pub use configured_secret::{ConfiguredSecret, SecretFileError, read_secret_file, trim_newlines};
pub use host_token::HostToken;
pub use onboarding::{has_onboarding_token, sign_onboarding, verify_onboarding};
pub use opaque_token::{OpaqueToken, OpaqueTokenError, TokenKind};
pub use ring::{DecryptionError, EncryptionPurpose, KeyRing, KeyRingError, Mac, MacPurpose, RingKeys, new_dated_key, new_key};
pub use rsa_signer::{RsaSigner, RsaSignerError};
pub use secret_cell::SecretCell;
pub use signing_keys::{NewSigningKeys, SigningAlgorithm, SigningKeys, SigningKeysError, new_signing_key};

use std::fmt;

use aws_lc_rs::{digest, rand};

/// The SHA-256 of a secret. The store and the caches identify a credential by it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    pub fn of(secret: &[u8]) -> Self {
        let hash = digest::digest(&digest::SHA256, secret);
        Self(hash.as_ref().try_into().expect("SHA-256 is 32 bytes long"))
    }

    /// Returns the digest of several parts. Each part is preceded by its length, so that no two lists collide.
    pub fn of_parts(parts: &[&str]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        Self(context.finish().as_ref().try_into().expect("SHA-256 is 32 bytes long"))
    }

    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Parses the result of [`Digest::to_hex`]. Other notations are rejected.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digit = |byte: u8| char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase()).map(|digit| digit as u8);
        let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        });
        let bytes: Vec<u8> = pairs.collect::<Option<_>>()?;
        bytes.try_into().ok().map(Self)
    }

    pub fn to_hex(self) -> String {
        use fmt::Write;
        self.0.iter().fold(String::with_capacity(64), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("writing to a String does not fail");
            hex
        })
    }
}

/// Shows only the first bytes: a digest is not a secret, but it identifies one.
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, ..] = self.0;
        write!(f, "Digest({a:02x}{b:02x}{c:02x}…)")
    }
}

/// Returns random bytes from the system's generator, the only source of randomness in the crate.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system's random generator works");
    bytes
}
