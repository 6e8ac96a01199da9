//! Opaque tokens: random secrets with the shard of their record and a MAC by the key ring.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroize;

use super::{Digest, KeyRing, MacPurpose, random_bytes};

const RANDOM_LEN: usize = 32;
const MAC_LEN: usize = 16;
pub(super) const BODY_LEN: usize = 1 + RANDOM_LEN;
pub(super) const LEN: usize = BODY_LEN + MAC_LEN;

/// The kind of record that an opaque token identifies. A token of one kind is never valid for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    Session,
    /// A login flow: the first part of its `state`.
    Flow,
    /// A handover of a session to another host: its code.
    Handover,
}

/// A secret that identifies a record: the shard, 256 random bits and a MAC, in base64url.
///
/// The MAC rejects garbage without a store command.
pub struct OpaqueToken {
    shard: u8,
    text: String,
}

#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[error("the key ring did not sign this token")]
pub struct OpaqueTokenError;

impl TokenKind {
    pub const ALL: [Self; 3] = [Self::Session, Self::Flow, Self::Handover];

    fn label(self) -> &'static [u8] {
        match self {
            Self::Session => b"session",
            Self::Flow => b"flow",
            Self::Handover => b"handover",
        }
    }
}

impl OpaqueToken {
    /// The number of characters of every token.
    pub const TEXT_LEN: usize = (LEN * 8).div_ceil(6);

    pub fn mint(ring: &KeyRing, kind: TokenKind, shard: u8) -> Self {
        let mut bytes = [0; LEN];
        bytes[0] = shard;
        bytes[1..BODY_LEN].copy_from_slice(&random_bytes::<RANDOM_LEN>());
        let mac = ring.mac(MacPurpose::OpaqueToken, &[kind.label(), &bytes[..BODY_LEN]]);
        bytes[BODY_LEN..].copy_from_slice(&mac);
        let text = URL_SAFE_NO_PAD.encode(bytes);
        bytes.zeroize();
        Self { shard, text }
    }

    /// Parses a token. Fails unless the key ring signed it for this kind.
    pub fn parse(ring: &KeyRing, kind: TokenKind, text: &str) -> Result<Self, OpaqueTokenError> {
        Ok(Self { shard: Self::verify(ring, kind, text)?, text: text.to_owned() })
    }

    /// Verifies a token as [`OpaqueToken::parse`] does, and returns its shard. Does not allocate.
    pub fn verify(ring: &KeyRing, kind: TokenKind, text: &str) -> Result<u8, OpaqueTokenError> {
        let bytes = decode(text).ok_or(OpaqueTokenError)?;
        let (body, mac) = bytes.split_at(BODY_LEN);
        let is_valid = ring.verify_mac(MacPurpose::OpaqueToken, &[kind.label(), body], mac);
        is_valid.then_some(bytes[0]).ok_or(OpaqueTokenError)
    }

    /// True if a key ring could have signed the text. Computes no MAC.
    pub fn has_form(text: &str) -> bool {
        decode(text).is_some()
    }

    pub fn shard(&self) -> u8 {
        self.shard
    }

    pub fn digest(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }

    /// Returns the secret itself, for the cookie or link that carries it.
    pub fn expose(&self) -> &str {
        &self.text
    }
}

pub(super) fn decode(text: &str) -> Option<[u8; LEN]> {
    let mut bytes = [0; LEN];
    let is_whole = text.len() == OpaqueToken::TEXT_LEN && URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) == Ok(LEN);
    is_whole.then_some(bytes)
}

impl Drop for OpaqueToken {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

impl fmt::Debug for OpaqueToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpaqueToken([redacted], shard {})", self.shard)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;

    fn ring() -> KeyRing {
        KeyRing::ephemeral(Arc::new(SystemClock))
    }

    #[test]
    fn a_token_is_parsed_with_its_shard() {
        let ring = ring();
        let token = OpaqueToken::mint(&ring, TokenKind::Session, 63);
        let parsed = OpaqueToken::parse(&ring, TokenKind::Session, token.expose()).unwrap();
        assert_eq!((parsed.shard(), parsed.digest()), (63, token.digest()));
        assert_eq!(token.expose().len(), OpaqueToken::TEXT_LEN);
    }

    #[test]
    fn another_kind_another_ring_or_any_other_text_is_rejected() {
        let ring = ring();
        let token = OpaqueToken::mint(&ring, TokenKind::Session, 1);
        let text = token.expose();
        assert!(OpaqueToken::parse(&ring, TokenKind::Flow, text).is_err());
        assert!(OpaqueToken::parse(&KeyRing::ephemeral(Arc::new(SystemClock)), TokenKind::Session, text).is_err());
        for at in 0..text.len() {
            let mut altered = text.as_bytes().to_vec();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert!(OpaqueToken::parse(&ring, TokenKind::Session, &altered).is_err(), "character {at}");
        }
        for garbage in ["", "sk-1234", "é", &text[1..], &format!("{text}=")] {
            assert!(OpaqueToken::parse(&ring, TokenKind::Session, garbage).is_err());
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let token = OpaqueToken::mint(&ring(), TokenKind::Flow, 7);
        assert_eq!(format!("{token:?}"), "OpaqueToken([redacted], shard 7)");
    }
}
