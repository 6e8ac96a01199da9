//! A key's secret: `sk-`, then the owner's shard, 256 random bits and a checksum in base64url.
//!
//! It does not depend on the key ring, so no rotation invalidates a key. The checksum authenticates nothing. It detects
//! truncated and mistyped secrets without a read of the store.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    secret::{Digest, random_bytes},
    store::Shard,
};

/// The prefix of every key, as clients of LLM APIs expect it.
const PREFIX: &str = "sk-";

const RANDOM_LEN: usize = 32;
const CHECKSUM_LEN: usize = 4;
const BODY_LEN: usize = 1 + RANDOM_LEN;
const LEN: usize = BODY_LEN + CHECKSUM_LEN;

/// The number of characters of every secret.
const TEXT_LEN: usize = PREFIX.len() + (LEN * 8).div_ceil(6);

/// The secret. It is shown once, and only its digest is stored.
pub struct KeySecret(Zeroizing<String>);

/// An API key with a correct checksum, as a request presents it. It does not prove that the key exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresentedKey {
    /// The shard of the key's owner.
    pub shard: Shard,
    /// The digest of the secret, under which the store has a pointer.
    pub digest: Digest,
}

impl KeySecret {
    pub(super) fn mint(shard: Shard) -> Self {
        let mut bytes = [0; LEN];
        bytes[0] = shard.number();
        bytes[1..BODY_LEN].copy_from_slice(&random_bytes::<RANDOM_LEN>());
        let checksum = checksum(&bytes[..BODY_LEN]);
        bytes[BODY_LEN..].copy_from_slice(&checksum);
        let mut text = Zeroizing::new(String::with_capacity(TEXT_LEN));
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
        bytes.zeroize();
        Self(text)
    }

    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }

    /// Returns the secret for the only response that shows it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySecret([redacted])")
    }
}

impl PresentedKey {
    /// The number of characters of every key.
    pub const TEXT_LEN: usize = TEXT_LEN;

    pub const PREFIX: &str = PREFIX;

    /// True if the text can only be an API key, which may be malformed.
    pub fn has_prefix(text: &[u8]) -> bool {
        text.starts_with(PREFIX.as_bytes())
    }

    /// `None` if the text cannot be an API key of Vestibule.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != TEXT_LEN {
            return None;
        }
        let mut bytes = [0; LEN];
        let len = URL_SAFE_NO_PAD.decode_slice(text.strip_prefix(PREFIX)?, &mut bytes).ok()?;
        let (body, given) = bytes.split_at(BODY_LEN);
        let whole = len == LEN && given == checksum(body);
        let shard = Shard::new(bytes[0]).filter(|_| whole);
        bytes.zeroize();
        Some(Self { shard: shard?, digest: Digest::of(text.as_bytes()) })
    }
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut text = Zeroizing::new([0; 16 + BODY_LEN]);
    text[..16].copy_from_slice(b"vestibule key  1");
    text[16..].copy_from_slice(body);
    let digest = Digest::of(&*text);
    let [a, b, c, d, ..] = *digest.as_bytes();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(number: u8) -> Shard {
        Shard::new(number).unwrap()
    }

    #[test]
    fn a_secret_is_parsed_with_its_shard() {
        for number in [0, 1, 63] {
            let secret = KeySecret::mint(shard(number));
            let read = PresentedKey::parse(secret.expose()).unwrap();
            assert_eq!((read.shard, read.digest), (shard(number), secret.digest()));
            assert_eq!(secret.expose().len(), TEXT_LEN);
            assert!(secret.expose().starts_with("sk-"));
        }
    }

    #[test]
    fn two_secrets_differ() {
        assert_ne!(KeySecret::mint(shard(1)).digest(), KeySecret::mint(shard(1)).digest());
    }

    #[test]
    fn a_mistyped_truncated_or_foreign_secret_is_refused() {
        let secret = KeySecret::mint(shard(7));
        let text = secret.expose();
        for at in 0..text.len() {
            let mut altered = text.as_bytes().to_vec();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(PresentedKey::parse(std::str::from_utf8(&altered).unwrap()), None, "character {at}");
        }
        let long = format!("{text}=");
        for garbage in ["", "sk-", "sk-1234", &text[3..], &text[..text.len() - 1], &long, &text.replacen("sk-", "pk-", 1)] {
            assert_eq!(PresentedKey::parse(garbage), None, "{garbage}");
        }
        let accents = format!("sk-{}", "é".repeat(25));
        assert_eq!((accents.len(), PresentedKey::parse(&accents)), (TEXT_LEN, None));
    }

    #[test]
    fn an_unknown_shard_is_refused_with_a_correct_checksum() {
        let mut bytes = [0; LEN];
        bytes[0] = Shard::COUNT;
        let sum = checksum(&bytes[..BODY_LEN]);
        bytes[BODY_LEN..].copy_from_slice(&sum);
        assert_eq!(PresentedKey::parse(&format!("sk-{}", URL_SAFE_NO_PAD.encode(bytes))), None);
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", KeySecret::mint(shard(1))), "KeySecret([redacted])");
    }
}
