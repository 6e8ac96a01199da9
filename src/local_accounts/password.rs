//! Passwords: how they are to be, and what is kept of them.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zxcvbn::{Score, feedback::Feedback, zxcvbn};

use crate::{
    store::{self, Kind, Record},
    users,
};

/// Longer ones cost more to hash than anybody's memory is worth.
pub const LONGEST: usize = 128;

/// Of what is guessed by people and programs that know the commonest ones: from here on it takes 10^8 guesses.
const STRONG_ENOUGH: Score = Score::Three;

/// How a password is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordRules {
    /// In characters.
    pub min_length: usize,
}

/// What the store keeps of a password, in its user's shard.
#[derive(Serialize, Deserialize)]
pub struct Password {
    /// In the PHC string format, with the parameters that it was made by.
    pub(super) hash: String,
    pub set: Timestamp,
}

/// Why a password may not be chosen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unfit {
    #[error("it has fewer than {min} characters")]
    TooShort { min: usize },
    #[error("it has more than {LONGEST} bytes")]
    TooLong,
    /// With what makes it so and how it gets better, where the library says it.
    #[error("it is too easy to guess")]
    Weak(Option<Feedback>),
}

impl Unfit {
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
    /// Whether a password may be chosen; what else is known of its owner makes it no stronger.
    pub fn judge(&self, password: &str, known: &[&str]) -> Result<(), Unfit> {
        if password.len() > LONGEST {
            return Err(Unfit::TooLong);
        }
        if password.chars().count() < self.min_length {
            return Err(Unfit::TooShort { min: self.min_length });
        }
        let entropy = zxcvbn(password, known);
        if entropy.score() < STRONG_ENOUGH { Err(Unfit::Weak(entropy.feedback().cloned())) } else { Ok(()) }
    }
}

/// A hash can be guessed at.
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
    fn what_is_unfit_is_told(#[case] password: &str, #[case] why: &str) {
        let rules = PasswordRules { min_length: 12 };
        assert_eq!(rules.judge(password, &["ada@example.com"]).unwrap_err().to_string(), why);
    }

    #[test]
    fn a_long_phrase_is_fit() {
        let rules = PasswordRules { min_length: 12 };
        assert!(rules.judge("violin-otter-97-gravel", &["ada@example.com"]).is_ok());
    }

    #[test]
    fn debug_shows_no_hash() {
        let stored = Password { hash: "$argon2id$x".to_owned(), set: SystemClock.now() };
        assert!(!format!("{stored:?}").contains("argon2"));
    }
}
