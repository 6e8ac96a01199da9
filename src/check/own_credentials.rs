//! Detects Vestibule's own credentials by their form, live or not, so that no upstream receives them.

mod cookies;

pub use cookies::has_own_name;

use std::{borrow::Cow, str, sync::Arc};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use percent_encoding::percent_decode;

use crate::{
    api_keys::PresentedKey,
    origin::FurtherOrigins,
    secret::{HostToken, KeyRing, OpaqueToken, TokenKind, has_onboarding_token},
};

/// The texts in the form of a token that are verified in one value. A value with more counts as one with a credential, so that
/// the cost is bounded and padding hides nothing. A cookie that a browser stores (4 KiB) has space for fewer.
const MAX_TOKENS: usize = 64;

/// Accepts what lenient decoders of `Authorization: Basic` accept.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Detects credentials that a pod of this deployment may have issued.
pub struct OwnCredentials {
    ring: Arc<KeyRing>,
    /// The hosts with session tokens of their own.
    origins: FurtherOrigins,
}

impl OwnCredentials {
    pub fn new(ring: Arc<KeyRing>) -> Self {
        Self { ring, origins: FurtherOrigins::default() }
    }

    pub(super) fn with_origins(self, origins: FurtherOrigins) -> Self {
        Self { origins, ..self }
    }

    /// True if the value of a header or a cookie contains one of our credentials: with any scheme, next to other text,
    /// percent-encoded, or in Base64 as in `Authorization: Basic`. The time is linear in the value's length.
    pub fn are_in(&self, value: &[u8]) -> bool {
        let is_in = |text: &[u8]| Search { own: self, remaining_tokens: MAX_TOKENS }.is_in(text);
        is_in(value) || matches!(percent_decoded(value), Cow::Owned(decoded) if is_in(&decoded))
    }
}

/// The search for our credentials in one value.
struct Search<'a> {
    own: &'a OwnCredentials,
    remaining_tokens: usize,
}

impl Search<'_> {
    fn is_in(&mut self, text: &[u8]) -> bool {
        self.is_plainly_in(text) || decode_base64(text).any(|decoded| self.is_plainly_in(&decoded))
    }

    /// A new form of a credential that Vestibule issues needs one more operand here.
    fn is_plainly_in(&mut self, text: &[u8]) -> bool {
        has_api_key(text) || has_onboarding_token(text) || self.has_opaque_token(text)
    }

    /// Detects the tokens of sessions and of login flows. Words that are longer begin or end with one, as in `session-…`.
    fn has_opaque_token(&mut self, text: &[u8]) -> bool {
        let mut tokens = words(text, is_base64url).flat_map(ends).filter_map(|end| str::from_utf8(end).ok());
        tokens.any(|token| OpaqueToken::has_form(token) && self.is_own(token))
    }

    fn is_own(&mut self, token: &str) -> bool {
        let Some(remaining) = self.remaining_tokens.checked_sub(1) else { return true };
        self.remaining_tokens = remaining;
        let OwnCredentials { ring, origins } = self.own;
        TokenKind::ALL.into_iter().any(|kind| OpaqueToken::verify(ring, kind, token).is_ok())
            || origins.iter().any(|origin| HostToken::verify(ring, origin.host(), token).is_some())
    }
}

/// Returns the first and the last characters of a word, as many as a token has.
fn ends(word: &[u8]) -> impl Iterator<Item = &[u8]> {
    let first = word.get(..OpaqueToken::TEXT_LEN);
    let last = word.len().checked_sub(OpaqueToken::TEXT_LEN).filter(|start| *start > 0).map(|start| &word[start..]);
    first.into_iter().chain(last)
}

fn has_api_key(text: &[u8]) -> bool {
    let is_key = |text: &[u8]| str::from_utf8(text).is_ok_and(|text| PresentedKey::parse(text).is_some());
    text.windows(PresentedKey::TEXT_LEN).any(|window| PresentedKey::has_prefix(window) && is_key(window))
}

/// Decodes each word that is long enough to contain a credential.
fn decode_base64(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let is_base64 = |byte: u8| is_base64url(byte) || matches!(byte, b'+' | b'/');
    words(text, is_base64).filter(|word| word.len() > PresentedKey::TEXT_LEN).filter_map(|word| {
        // One character more than a multiple of four encodes nothing.
        let end = if word.len() % 4 == 1 { word.len() - 1 } else { word.len() };
        let standard = |byte: &u8| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        };
        BASE64.decode(word[..end].iter().map(standard).collect::<Vec<u8>>()).ok()
    })
}

fn words(text: &[u8], is_of_word: impl Fn(u8) -> bool) -> impl Iterator<Item = &[u8]> {
    text.split(move |byte| !is_of_word(*byte)).filter(|word| !word.is_empty())
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn percent_decoded(text: &[u8]) -> Cow<'_, [u8]> {
    percent_decode(text).into()
}

#[cfg(test)]
mod tests;
