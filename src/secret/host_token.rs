//! Host tokens: lead to a record by its digest, and are valid on one host.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    Digest, KeyRing, MacPurpose,
    opaque_token::{self, BODY_LEN},
};

/// Separates these tokens from every [`super::TokenKind`].
const LABEL: &[u8] = b"host session";

/// The session that a host token leads to: its shard and digest.
///
/// The text has the form of an opaque token, with the digest in place of random bits. The digest is no secret: only the MAC, which
/// includes the host, makes the text a credential. No record is needed besides that of the session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HostToken {
    pub shard: u8,
    pub digest: Digest,
}

impl HostToken {
    /// Returns the text for a host, which is written as the configuration writes it.
    pub fn sign(&self, ring: &KeyRing, host: &str) -> String {
        let mut bytes = Vec::with_capacity(opaque_token::LEN);
        bytes.push(self.shard);
        bytes.extend_from_slice(self.digest.as_bytes());
        let mac = ring.mac(MacPurpose::OpaqueToken, &[LABEL, host.as_bytes(), &bytes]);
        bytes.extend_from_slice(&mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// `None` unless the key ring signed the text for this host.
    pub fn verify(ring: &KeyRing, host: &str, text: &str) -> Option<Self> {
        let bytes = opaque_token::decode(text)?;
        let (body, mac) = bytes.split_at(BODY_LEN);
        let is_valid = ring.verify_mac(MacPurpose::OpaqueToken, &[LABEL, host.as_bytes(), body], mac);
        let (shard, digest) = body.split_first().filter(|_| is_valid)?;
        Some(Self { shard: *shard, digest: Digest::from_bytes(digest.try_into().ok()?) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        clock::SystemClock,
        secret::{OpaqueToken, TokenKind},
    };

    const HOST: &str = "chat.example.com";

    fn ring() -> KeyRing {
        KeyRing::ephemeral(Arc::new(SystemClock))
    }

    fn token() -> HostToken {
        HostToken { shard: 63, digest: Digest::of(b"session") }
    }

    #[test]
    fn a_token_leads_to_its_session_on_its_host_only() {
        let ring = ring();
        let text = token().sign(&ring, HOST);
        assert_eq!(text.len(), OpaqueToken::TEXT_LEN);
        assert!(HostToken::verify(&ring, HOST, &text).is_some_and(|found| found == token()));
        for other in ["", "mcp.example.com", "chat.example.co", "chat.example.com.", "CHAT.example.com", "example.com"] {
            assert!(HostToken::verify(&ring, other, &text).is_none(), "{other}");
        }
        assert!(HostToken::verify(&self::ring(), HOST, &text).is_none(), "another ring");
    }

    #[test]
    fn a_host_token_is_no_opaque_token_and_the_reverse() {
        let ring = ring();
        let text = token().sign(&ring, HOST);
        for kind in TokenKind::ALL {
            assert!(OpaqueToken::verify(&ring, kind, &text).is_err(), "{kind:?}");
            let opaque = OpaqueToken::mint(&ring, kind, 1);
            assert!(HostToken::verify(&ring, HOST, opaque.expose()).is_none(), "{kind:?}");
        }
    }

    #[test]
    fn every_altered_character_is_rejected() {
        let ring = ring();
        let text = token().sign(&ring, HOST);
        for at in 0..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert!(HostToken::verify(&ring, HOST, &altered).is_none(), "character {at}");
        }
    }

    proptest! {
        #[test]
        fn no_two_hosts_share_a_token(one in "[a-z.]{1,12}", other in "[a-z.]{1,12}", shard in any::<u8>(), session in any::<[u8; 32]>()) {
            let ring = ring();
            let signed = HostToken { shard, digest: Digest::from_bytes(session) };
            let text = signed.sign(&ring, &one);
            prop_assert!(HostToken::verify(&ring, &one, &text).is_some_and(|found| found == signed));
            prop_assert_eq!(HostToken::verify(&ring, &other, &text).is_some(), one == other);
        }
    }
}
