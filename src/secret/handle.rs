//! Handles: opaque secrets that carry the shard of what they name and a MAC that says we made them.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroize;

use super::{Digest, KeyRing, MacPurpose, random_bytes};

const RANDOM_LEN: usize = 32;
const MAC_LEN: usize = 16;
const BODY_LEN: usize = 1 + RANDOM_LEN;
const LEN: usize = BODY_LEN + MAC_LEN;

/// What a handle names. A handle of one kind is never taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandleKind {
    Session,
    /// A login in flight: the beginning of its `state`.
    Flow,
}

/// A secret that stands for a record: its shard, 256 random bits and a MAC, in base64url.
///
/// Whoever presents garbage is refused by the MAC, without a trip to the store.
pub struct Handle {
    shard: u8,
    text: String,
}

#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[error("not a handle that this key ring made")]
pub struct BadHandle;

impl HandleKind {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Session => b"session",
            Self::Flow => b"flow",
        }
    }
}

impl Handle {
    /// The number of characters of every handle.
    pub const TEXT_LEN: usize = (LEN * 8).div_ceil(6);

    pub fn mint(ring: &KeyRing, kind: HandleKind, shard: u8) -> Self {
        let mut bytes = [0; LEN];
        bytes[0] = shard;
        bytes[1..BODY_LEN].copy_from_slice(&random_bytes::<RANDOM_LEN>());
        let mac = ring.mac(MacPurpose::Handle, &[kind.label(), &bytes[..BODY_LEN]]);
        bytes[BODY_LEN..].copy_from_slice(&mac);
        let text = URL_SAFE_NO_PAD.encode(bytes);
        bytes.zeroize();
        Self { shard, text }
    }

    /// Takes a presented text for a handle of this kind if, and only if, the ring made it.
    pub fn parse(ring: &KeyRing, kind: HandleKind, text: &str) -> Result<Self, BadHandle> {
        Ok(Self { shard: Self::verify(ring, kind, text)?, text: text.to_owned() })
    }

    /// Verifies a presented text as [`Handle::parse`] does, and returns its shard. Allocates nothing.
    pub fn verify(ring: &KeyRing, kind: HandleKind, text: &str) -> Result<u8, BadHandle> {
        let mut bytes = [0; LEN];
        if text.len() != Self::TEXT_LEN {
            return Err(BadHandle);
        }
        let len = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).map_err(|_| BadHandle)?;
        let (body, mac) = bytes.split_at(BODY_LEN);
        let ours = len == LEN && ring.verify_mac(MacPurpose::Handle, &[kind.label(), body], mac);
        ours.then_some(bytes[0]).ok_or(BadHandle)
    }

    pub fn shard(&self) -> u8 {
        self.shard
    }

    pub fn digest(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }

    /// The secret itself, for the cookie or link that carries it.
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle([redacted], shard {})", self.shard)
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
    fn a_handle_is_read_back_with_its_shard() {
        let ring = ring();
        let handle = Handle::mint(&ring, HandleKind::Session, 63);
        let parsed = Handle::parse(&ring, HandleKind::Session, handle.expose()).unwrap();
        assert_eq!((parsed.shard(), parsed.digest()), (63, handle.digest()));
        assert_eq!(handle.expose().len(), Handle::TEXT_LEN);
    }

    #[test]
    fn another_kind_another_ring_or_any_other_text_is_refused() {
        let ring = ring();
        let handle = Handle::mint(&ring, HandleKind::Session, 1);
        let text = handle.expose();
        assert!(Handle::parse(&ring, HandleKind::Flow, text).is_err());
        assert!(Handle::parse(&KeyRing::ephemeral(Arc::new(SystemClock)), HandleKind::Session, text).is_err());
        for at in 0..text.len() {
            let mut altered = text.as_bytes().to_vec();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert!(Handle::parse(&ring, HandleKind::Session, &altered).is_err(), "character {at}");
        }
        for garbage in ["", "sk-1234", "é", &text[1..], &format!("{text}=")] {
            assert!(Handle::parse(&ring, HandleKind::Session, garbage).is_err());
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let handle = Handle::mint(&ring(), HandleKind::Flow, 7);
        assert_eq!(format!("{handle:?}"), "Handle([redacted], shard 7)");
    }
}
