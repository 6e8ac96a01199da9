//! A provider's refresh token (RFC 6749, section 1.5). Only encrypted records contain it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A refresh token, with the facts that its use depends on.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshToken {
    text: String,
    /// The `nonce` of the login. An id_token of a refresh may repeat it, and must not have another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The time at which the provider last issued or accepted it.
    pub refreshed: Timestamp,
    /// The number of failed attempts since then.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: u32,
}

impl RefreshToken {
    pub fn of_login(text: String, nonce: Option<String>, now: Timestamp) -> Self {
        Self { text, nonce, refreshed: now, failures: 0 }
    }

    /// The token itself, for a request to the provider.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The token after a refresh. A provider that does not rotate it sends no other.
    #[must_use]
    pub fn renewed(&self, text: Option<String>, now: Timestamp) -> Self {
        Self { text: text.unwrap_or_else(|| self.text.clone()), nonce: self.nonce.clone(), refreshed: now, failures: 0 }
    }

    /// The token after a failed refresh, which may have rotated it nevertheless.
    #[must_use]
    pub fn failed(&self, text: Option<String>) -> Self {
        let text = text.unwrap_or_else(|| self.text.clone());
        Self { text, failures: self.failures.saturating_add(1), ..self.clone() }
    }

    /// True if both are the same text: the token has not been used in between.
    pub fn is_same(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};

    #[test]
    fn debug_output_shows_neither_token_nor_nonce() {
        let token = RefreshToken::of_login("hidden".to_owned(), Some("hidden".to_owned()), SystemClock.now());
        assert_eq!(format!("{token:?}"), "RefreshToken([redacted])");
    }

    #[test]
    fn a_provider_that_sends_no_other_token_keeps_the_old_one() {
        let now = SystemClock.now();
        let token = RefreshToken::of_login("old".to_owned(), Some("n".to_owned()), now);
        let failed = token.failed(None).failed(None);
        assert_eq!((failed.expose(), failed.failures, failed.is_same(&token)), ("old", 2, true));
        assert_eq!(failed.renewed(None, now), token);
        let rotated = failed.renewed(Some("new".to_owned()), now);
        assert_eq!((rotated.expose(), rotated.failures, rotated.nonce.as_deref()), ("new", 0, Some("n")));
        assert!(!rotated.is_same(&token));
        assert_eq!(token.failed(Some("new".to_owned())).expose(), "new");
    }
}
