//! Passwords: their rules and their records.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zxcvbn::{Score, feedback::Feedback, zxcvbn};

use crate::{
    store::{self, Kind, Record},
    users,
};

/// The maximum length in bytes, since longer passwords are expensive to hash.
pub const LONGEST: usize = 128;

/// The minimum score of zxcvbn: an attacker who knows common passwords needs 10^8 guesses.
const STRONG_ENOUGH: Score = Score::Three;

/// The rules for new passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordRules {
    /// In characters.
    pub min_length: usize,
}

/// The record of a password, in its user's shard.
#[derive(Serialize, Deserialize)]
pub struct Password {
    /// In the PHC string format, with its parameters.
    pub(super) hash: String,
    pub set: Timestamp,
}

/// The reason for which a new password is rejected.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PasswordRejection {
    #[error("it has fewer than {min} characters")]
    TooShort { min: usize },
    #[error("it has more than {LONGEST} bytes")]
    TooLong,
    /// With the library's warning and suggestions, if any.
    #[error("it is too easy to guess")]
    Weak(Option<Feedback>),
}

impl PasswordRejection {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooShort { .. } => "password_too_short",
            Self::TooLong => "password_too_long",
            Self::Weak(_) => "password_too_weak",
        }
    }
}

impl Record for Password {
    const KIND: Kind = Kind::Password;
}

impl Password {
    pub fn key(user: &str) -> store::Key {
        store::Key::new(users::shard_of(user), Kind::Password, user)
    }
}

impl PasswordRules {
    /// Checks a new password. The user's data in `known` does not make it stronger.
    pub fn check(&self, password: &str, known: &[&str]) -> Result<(), PasswordRejection> {
        if password.len() > LONGEST {
            return Err(PasswordRejection::TooLong);
        }
        if password.chars().count() < self.min_length {
            return Err(PasswordRejection::TooShort { min: self.min_length });
        }
        let entropy = zxcvbn(password, known);
        if entropy.score() < STRONG_ENOUGH { Err(PasswordRejection::Weak(entropy.feedback().cloned())) } else { Ok(()) }
    }
}

/// Shows no hash, since it allows guessing.
impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Password").field("set", &self.set).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::clock::{Clock, SystemClock};

    #[rstest]
    #[case::short("tr0ub4dor&3", "it has fewer than 12 characters")]
    #[case::characters_not_bytes("ééééééééééé", "it has fewer than 12 characters")]
    #[case::common("password1234", "it is too easy to guess")]
    #[case::own_name("ada@example.com", "it is too easy to guess")]
    #[case::long(&"a long one ".repeat(12), "it has more than 128 bytes")]
    fn the_reason_of_a_rejection_is_reported(#[case] password: &str, #[case] why: &str) {
        let rules = PasswordRules { min_length: 12 };
        assert_eq!(rules.check(password, &["ada@example.com"]).unwrap_err().to_string(), why);
    }

    #[test]
    fn a_long_phrase_is_accepted() {
        let rules = PasswordRules { min_length: 12 };
        assert!(rules.check("violin-otter-97-gravel", &["ada@example.com"]).is_ok());
    }

    #[test]
    fn debug_shows_no_hash() {
        let stored = Password { hash: "$argon2id$x".to_owned(), set: SystemClock.now() };
        assert!(!format!("{stored:?}").contains("argon2"));
    }
}
