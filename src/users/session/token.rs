//! Parses session tokens, the values of session cookies.

use std::fmt;

use crate::{
    secret::{Digest, HostToken, KeyRing, OpaqueToken, TokenKind},
    store::Shard,
};

/// A session token that the key ring signed. It does not prove that the session still exists.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionToken<'a> {
    text: &'a str,
    shard: Shard,
    digest: Digest,
}

impl<'a> SessionToken<'a> {
    /// Parses a cookie's value. `None` if the key ring did not sign it: no store is needed to refuse it.
    pub fn parse(ring: &KeyRing, text: &'a str) -> Option<Self> {
        let shard = OpaqueToken::verify(ring, TokenKind::Session, text).ok().and_then(Shard::new)?;
        Some(Self { text, shard, digest: Digest::of(text.as_bytes()) })
    }

    /// Parses the cookie's value of a host that has its own token of the session. `None` if it is not for this host.
    pub fn parse_for_host(ring: &KeyRing, host: &str, text: &'a str) -> Option<Self> {
        let HostToken { shard, digest } = HostToken::verify(ring, host, text)?;
        Some(Self { text, shard: Shard::new(shard)?, digest })
    }

    /// The shard of the session and of its user.
    pub fn shard(&self) -> Shard {
        self.shard
    }

    /// The digest that the store and the cache know the session by.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The token itself, which the tokens of forms are bound to.
    pub fn expose(&self) -> &'a str {
        self.text
    }
}

impl fmt::Debug for SessionToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn a_signed_token_is_parsed_with_its_shard_and_digest() {
        let ring = KeyRing::ephemeral(Arc::new(SystemClock));
        let minted = OpaqueToken::mint(&ring, TokenKind::Session, 63);
        let token = SessionToken::parse(&ring, minted.expose()).unwrap();
        assert_eq!((token.shard().number(), token.digest(), token.expose()), (63, minted.digest(), minted.expose()));
        assert_eq!(format!("{token:?}"), "SessionToken([redacted])");
    }

    #[test]
    fn the_token_of_a_host_leads_to_the_same_session() {
        let ring = KeyRing::ephemeral(Arc::new(SystemClock));
        let minted = OpaqueToken::mint(&ring, TokenKind::Session, 63);
        let text = HostToken { shard: 63, digest: minted.digest() }.sign(&ring, "chat.example.com");
        let token = SessionToken::parse_for_host(&ring, "chat.example.com", &text).unwrap();
        assert_eq!((token.shard().number(), token.digest()), (63, minted.digest()));
        assert!(SessionToken::parse_for_host(&ring, "mcp.example.com", &text).is_none());
        assert!(SessionToken::parse_for_host(&ring, "chat.example.com", minted.expose()).is_none());
        assert!(SessionToken::parse(&ring, &text).is_none());
        let beyond = HostToken { shard: Shard::COUNT, digest: minted.digest() }.sign(&ring, "chat.example.com");
        assert!(SessionToken::parse_for_host(&ring, "chat.example.com", &beyond).is_none());
    }

    #[test]
    fn another_ring_kind_or_shard_is_refused() {
        let (ring, other) = (KeyRing::ephemeral(Arc::new(SystemClock)), KeyRing::ephemeral(Arc::new(SystemClock)));
        assert!(SessionToken::parse(&other, OpaqueToken::mint(&ring, TokenKind::Session, 1).expose()).is_none());
        assert!(SessionToken::parse(&ring, OpaqueToken::mint(&ring, TokenKind::Flow, 1).expose()).is_none());
        assert!(SessionToken::parse(&ring, OpaqueToken::mint(&ring, TokenKind::Session, Shard::COUNT).expose()).is_none());
        assert!(SessionToken::parse(&ring, "").is_none());
    }
}
