//! Passwords: judged when they are chosen, and hashed by argon2id (RFC 9106) behind a bounded queue.

use std::{fmt, sync::Arc};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;
use zxcvbn::{Score, feedback::Feedback, zxcvbn};

use crate::{
    store::{self, Kind, Record},
    users,
};

/// Longer ones cost more to hash than anybody's memory is worth.
pub const LONGEST: usize = 128;

/// Of what is guessed by people and programs that know the commonest ones: from here on it takes 10^8 guesses.
const STRONG_ENOUGH: Score = Score::Three;

/// So many may wait for their turn; beyond them nobody is served in good time.
const MOST_WAITING: usize = 64;

/// How a password is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordRules {
    /// In characters.
    pub min_length: usize,
}

/// What one hash costs (RFC 9106, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    pub memory_kib: u32,
    pub iterations: u32,
    pub parallelism: u32,
}

/// What the store keeps of a password, in its user's shard.
#[derive(Serialize, Deserialize)]
pub struct Password {
    /// In the PHC string format, with the parameters that it was made by.
    hash: String,
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

/// All who may wait do so already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked at once")]
pub struct Busy;

/// What became of a password that was presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Right {
        /// The hash was made by other parameters than those in force.
        outdated: bool,
    },
    Wrong,
}

/// Hashes at most so many passwords at once as leave the checks their processors.
pub struct Hasher {
    argon2: Argon2<'static>,
    cost: Cost,
    queue: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    /// What the password of somebody is compared with who has none, so that it takes as long.
    nobodys: Password,
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

impl Hasher {
    /// `at_once`: how many processors it may keep busy.
    pub fn new(cost: Cost, at_once: usize, now: Timestamp) -> Result<Self, argon2::Error> {
        let params = Params::new(cost.memory_kib, cost.iterations, cost.parallelism, None)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash = hash(&argon2, "nobody's");
        let (queue, turns) = (Arc::new(Semaphore::new(at_once + MOST_WAITING)), Arc::new(Semaphore::new(at_once)));
        Ok(Self { argon2, cost, queue, turns, nobodys: Password { hash, set: now } })
    }

    pub async fn hash(&self, password: Zeroizing<String>, now: Timestamp) -> Result<Password, Busy> {
        let argon2 = self.argon2.clone();
        let hash = self.in_turn(move || hash(&argon2, &password)).await?;
        Ok(Password { hash, set: now })
    }

    /// Whether it is the password; without one to compare it with, it takes as long to say no.
    pub async fn verify(&self, password: Zeroizing<String>, stored: Option<&Password>) -> Result<Verdict, Busy> {
        let (argon2, compared) = (self.argon2.clone(), stored.unwrap_or(&self.nobodys).hash.clone());
        let holds = self.in_turn(move || holds(&argon2, &password, &compared)).await?;
        match stored.filter(|_| holds) {
            Some(stored) => Ok(Verdict::Right { outdated: self.is_outdated(stored) }),
            None => Ok(Verdict::Wrong),
        }
    }

    fn is_outdated(&self, stored: &Password) -> bool {
        let made_by = PasswordHash::new(&stored.hash).ok().and_then(|hash| Params::try_from(&hash).ok());
        let cost =
            |params: Params| Cost { memory_kib: params.m_cost(), iterations: params.t_cost(), parallelism: params.p_cost() };
        made_by.map(cost) != Some(self.cost)
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let place = Arc::clone(&self.queue).try_acquire_owned().map_err(|_| Busy)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Busy)?;
        // Whoever goes away while it is being hashed does not make room before that has ended.
        let work = tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            work()
        });
        work.await.map_err(|_| Busy)
    }
}

fn hash(argon2: &Argon2<'_>, password: &str) -> String {
    argon2.hash_password(password.as_bytes()).expect("a bounded text and a fresh salt can be hashed").to_string()
}

fn holds(argon2: &Argon2<'_>, password: &str, hash: &str) -> bool {
    password.len() <= LONGEST
        && PasswordHash::new(hash).is_ok_and(|hash| argon2.verify_password(password.as_bytes(), &hash).is_ok())
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

    const COST: Cost = Cost { memory_kib: 64, iterations: 1, parallelism: 1 };

    fn hasher(cost: Cost, at_once: usize) -> Hasher {
        Hasher::new(cost, at_once, SystemClock.now()).unwrap()
    }

    fn text(password: &str) -> Zeroizing<String> {
        Zeroizing::new(password.to_owned())
    }

    #[tokio::test]
    async fn a_password_is_known_again_and_no_other_is() {
        let hasher = hasher(COST, 1);
        let stored = hasher.hash(text("correct horse"), SystemClock.now()).await.unwrap();
        assert!(stored.hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{}", stored.hash);
        let right = hasher.verify(text("correct horse"), Some(&stored)).await.unwrap();
        assert_eq!(right, Verdict::Right { outdated: false });
        for wrong in ["", "correct hors", "Correct horse", &"x".repeat(LONGEST + 1)] {
            assert_eq!(hasher.verify(text(wrong), Some(&stored)).await.unwrap(), Verdict::Wrong);
        }
        assert_eq!(hasher.verify(text("nobody's"), None).await.unwrap(), Verdict::Wrong, "it is nobody's");
    }

    #[tokio::test]
    async fn a_hash_of_other_parameters_counts_and_is_outdated() {
        let stored = hasher(COST, 1).hash(text("x"), SystemClock.now()).await.unwrap();
        for changed in [Cost { memory_kib: 128, ..COST }, Cost { iterations: 2, ..COST }] {
            let verdict = hasher(changed, 1).verify(text("x"), Some(&stored)).await.unwrap();
            assert_eq!(verdict, Verdict::Right { outdated: true });
        }
    }

    #[tokio::test]
    async fn who_finds_the_queue_full_is_told_at_once() {
        let hasher = hasher(COST, 1);
        let _turn = hasher.turns.clone().acquire_owned().await.unwrap();
        let _places = hasher.queue.clone().acquire_many_owned(1 + MOST_WAITING as u32).await.unwrap();
        assert_eq!(hasher.verify(text("x"), None).await, Err(Busy));
    }

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

    #[tokio::test]
    async fn debug_shows_no_hash() {
        let stored = hasher(COST, 1).hash(text("x"), SystemClock.now()).await.unwrap();
        assert!(!format!("{stored:?}").contains("argon2"));
    }
}
