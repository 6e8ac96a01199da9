//! Detects Vestibule's own credentials by their form, live or not, so that no upstream receives them.

mod cookies;

pub use cookies::has_own_name;

use std::{str, sync::Arc};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::{
    api_keys::{PREFIX, PresentedKey},
    secret::{KeyRing, OpaqueToken, TokenKind, is_onboarding_token},
};

/// Every form of a credential that Vestibule issues. A new kind of token needs one more function here.
const FORMS: [fn(&KeyRing, &[u8]) -> bool; 3] = [has_api_key, has_opaque_token, has_onboarding_token];

/// Accepts what lenient decoders of `Authorization: Basic` accept.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Detects credentials that a pod of this deployment may have issued.
pub struct OwnCredentials {
    ring: Arc<KeyRing>,
}

impl OwnCredentials {
    pub fn new(ring: Arc<KeyRing>) -> Self {
        Self { ring }
    }

    /// True if a header's value contains one of our credentials: with any scheme, next to other text, or in Base64 as in
    /// `Authorization: Basic`. The time is linear in the value's length.
    pub fn are_in(&self, value: &[u8]) -> bool {
        self.are_plainly_in(value) || decode_base64(value).any(|text| self.are_plainly_in(&text))
    }

    fn are_plainly_in(&self, text: &[u8]) -> bool {
        FORMS.iter().any(|is_in| is_in(&self.ring, text))
    }
}

fn has_api_key(_: &KeyRing, text: &[u8]) -> bool {
    let is_key = |text: &[u8]| str::from_utf8(text).is_ok_and(|text| PresentedKey::parse(text).is_some());
    text.windows(PresentedKey::TEXT_LEN).any(|window| window.starts_with(PREFIX.as_bytes()) && is_key(window))
}

/// Detects the tokens of sessions and of login flows.
fn has_opaque_token(ring: &KeyRing, text: &[u8]) -> bool {
    let is_token = |text: &&[u8]| text.len() == OpaqueToken::TEXT_LEN;
    let mut tokens = words(text, is_base64url).filter(is_token).filter_map(|token| str::from_utf8(token).ok());
    tokens.any(|token| TokenKind::ALL.into_iter().any(|kind| OpaqueToken::verify(ring, kind, token).is_ok()))
}

fn has_onboarding_token(_: &KeyRing, text: &[u8]) -> bool {
    let mut tokens = words(text, |byte| is_base64url(byte) || byte == b'.').filter_map(|token| str::from_utf8(token).ok());
    tokens.any(is_onboarding_token)
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

#[cfg(test)]
mod tests;
