//! Passwords: their rules and their records.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;
use zxcvbn::{Score, feedback::Feedback, zxcvbn};

use super::{
    predictability::unpredictable_part,
    typed_password::{MAX_LENGTH, NormalFormError, NormalPassword},
};
use crate::{
    store::{self, Record, RecordKind},
    users,
};

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
    #[error("it has more than {MAX_LENGTH} bytes")]
    TooLong,
    #[error("it has a character that passwords cannot have")]
    Character,
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
            Self::Character => "password_invalid_character",
            Self::Weak(_) => "password_too_weak",
        }
    }
}

impl Record for Password {
    const KIND: RecordKind = RecordKind::Password;
}

impl Password {
    pub fn key(user: &str) -> store::RecordKey {
        store::RecordKey::new(users::shard_of(user), RecordKind::Password, user)
    }
}

impl PasswordRules {
    /// Checks a new password and returns its normal form. The user's data in `known` does not make it stronger.
    pub fn check(&self, typed: &str, known: &[&str]) -> Result<NormalPassword, PasswordRejection> {
        let password = NormalPassword::parse(typed).map_err(|error| match error {
            NormalFormError::Empty => PasswordRejection::TooShort { min: self.min_length },
            NormalFormError::Character => PasswordRejection::Character,
        })?;
        let text = password.as_str();
        if text.len() > MAX_LENGTH {
            return Err(PasswordRejection::TooLong);
        }
        if text.chars().count() < self.min_length {
            return Err(PasswordRejection::TooShort { min: self.min_length });
        }
        check_strength(text, known)?;
        check_strength(&Zeroizing::new(unpredictable_part(text)), known)?;
        Ok(password)
    }
}

fn check_strength(password: &str, known: &[&str]) -> Result<(), PasswordRejection> {
    let entropy = zxcvbn(password, known);
    if entropy.score() < STRONG_ENOUGH { Err(PasswordRejection::Weak(entropy.feedback().cloned())) } else { Ok(()) }
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
    fn the_reason_of_a_rejection_is_reported(#[case] password: &str, #[case] reason: &str) {
        let rules = PasswordRules { min_length: 12 };
        assert_eq!(rules.check(password, &["ada@example.com"]).unwrap_err().to_string(), reason);
    }

    /// zxcvbn alone accepts most of these.
    #[rstest]
    #[case::unit(&"4/".repeat(9))]
    #[case::unit_with_slips("4/4/44/4/4/4/44/4/4/")]
    #[case::letters(&"abc".repeat(12))]
    #[case::keyboard_run(&"qwer".repeat(8))]
    #[case::other_case(&"xQ7xq7".repeat(5))]
    #[case::varied_unit("dog1dog2dog3dog4dog5")]
    #[case::doubled("aabbccddeeffgghhiijj")]
    #[case::interleaved("a1b2c3d4e5f6g7h8i9")]
    #[case::columns("1qaz2wsx3edc4rfv5tgb")]
    #[case::rows("qwertyuiopasdfghjklzxcvbnm")]
    #[case::sequence("abcdefghijklmnopqrstuvwxyz")]
    #[case::numbers("12345678901234567890")]
    #[case::unicode(&"é€".repeat(10))]
    fn a_short_unit_is_too_easy_to_guess_however_often_it_is_repeated(#[case] password: &str) {
        let rejection = PasswordRules { min_length: 12 }.check(password, &[]).expect_err(password);
        assert_eq!(rejection.reason(), "password_too_weak");
    }

    #[rstest]
    #[case("violin-otter-97-gravel")]
    #[case("correct horse battery staple")]
    #[case("the cat and the dog and the very old bird")]
    #[case("kT8#vq2!Lw9z")]
    #[case("9f86d081884c7d659a2feaa0c55ad015")]
    #[case("Zwölf Boxkämpfer jagen Viktor")]
    fn a_password_with_enough_that_is_unpredictable_is_accepted(#[case] password: &str) {
        assert!(PasswordRules { min_length: 12 }.check(password, &["ada@example.com"]).is_ok());
    }

    #[test]
    fn length_is_that_of_the_normal_form() {
        let rules = PasswordRules { min_length: 12 };
        let reason = |typed: &str| rules.check(typed, &[]).map_or_else(|rejection| rejection.reason(), |_| "accepted");
        assert_eq!(reason("ke\u{301}ve\u{301}ze\u{301}"), "password_too_short", "six characters");
        assert_eq!(reason(""), "password_too_short");
        assert_eq!(reason("violin\u{0}otter-97-gravel"), "password_invalid_character");
    }

    #[test]
    fn debug_shows_no_hash() {
        let stored = Password { hash: "$argon2id$x".to_owned(), set: SystemClock.now() };
        assert!(!format!("{stored:?}").contains("argon2"));
    }
}
