//! Hashes passwords with argon2id (RFC 9106), a few at once and behind bounded queues.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use super::{password::Password, typed_password::PasswordForms};

/// The maximum length of each queue. Requests beyond it would wait too long.
const MOST_WAITING: usize = 64;

/// The cost of one hash (RFC 9106, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    pub memory_kib: u32,
    pub iterations: u32,
    pub parallelism: u32,
}

/// The queue of a request. Any number of unknown browsers do not delay known ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueKind {
    /// A browser that has signed in to the account before, an invited user, or a signed-in user.
    KnownBrowser,
    UnknownBrowser,
}

/// The queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked at once")]
pub struct QueueFullError;

/// The result of verifying a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Right {
        /// The hash has other parameters than the configured ones, or is not that of the normal form.
        outdated: bool,
    },
    Wrong,
}

/// Limits the number of concurrent hashes, so that checks keep their processors.
pub struct Hasher {
    argon2: Argon2<'static>,
    cost: Cost,
    known: Queue,
    unknown: Queue,
    /// The hash to compare with if an account has no password, so that the answer takes as long.
    dummy: Password,
}

struct Queue {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// A place in a queue, held for all hashes of one request.
pub struct QueuePlace<'a> {
    hasher: &'a Hasher,
    turns: Arc<Semaphore>,
    held: Arc<OwnedSemaphorePermit>,
}

impl Queue {
    fn new(turns: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(turns + MOST_WAITING)), turns: Arc::new(Semaphore::new(turns)) }
    }
}

impl Hasher {
    /// `at_once` is the number of concurrent hashes for unknown browsers. Known ones have one more.
    pub fn new(cost: Cost, at_once: usize, now: Timestamp) -> Result<Self, argon2::Error> {
        let argon2 = argon2(cost)?;
        let dummy = Password { hash: hash(&argon2, "dummy"), set: now };
        Ok(Self { argon2, cost, known: Queue::new(1), unknown: Queue::new(at_once), dummy })
    }

    /// Reserves a place. Call this before other work for the request, since clients can send any number of them.
    pub fn reserve_place(&self, kind: QueueKind) -> Result<QueuePlace<'_>, QueueFullError> {
        let queue = match kind {
            QueueKind::KnownBrowser => &self.known,
            QueueKind::UnknownBrowser => &self.unknown,
        };
        let held = Arc::clone(&queue.places).try_acquire_owned().map_err(|_| QueueFullError)?;
        Ok(QueuePlace { hasher: self, turns: Arc::clone(&queue.turns), held: Arc::new(held) })
    }
}

impl QueuePlace<'_> {
    pub async fn hash(&self, password: Zeroizing<String>, now: Timestamp) -> Result<Password, QueueFullError> {
        let argon2 = self.hasher.argon2.clone();
        let hash = self.run_in_queue(move || hash(&argon2, &password)).await?;
        Ok(Password { hash, set: now })
    }

    /// Verifies a password. A refusal takes as long if there is no stored password, or one with a cheaper hash. A password with
    /// two forms takes twice as long.
    pub async fn verify(&self, password: PasswordForms, stored: Option<&Password>) -> Result<Verdict, QueueFullError> {
        let Hasher { argon2, cost, dummy, .. } = self.hasher;
        let (argon2, cost, compared) = (argon2.clone(), *cost, stored.unwrap_or(dummy).hash.clone());
        let created_by = cost_of(&compared);
        let matches = move |password: &str| {
            let matches = matches_hash(&argon2, password, &compared);
            if let Some(rest) = created_by.filter(|_| !matches).and_then(|created_by| cost.remaining_cost(created_by)) {
                hash(&rest, password);
            }
            matches
        };
        let form = self.run_in_queue(move || password.iter().position(|form| matches(form))).await?;
        // Without a stored password the result is always wrong.
        Ok(match form.filter(|_| stored.is_some()) {
            Some(form) => Verdict::Right { outdated: form > 0 || created_by != Some(self.hasher.cost) },
            None => Verdict::Wrong,
        })
    }

    async fn run_in_queue<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, QueueFullError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| QueueFullError)?;
        let place = Arc::clone(&self.held);
        // If the client disconnects, the place is held until the hash is done.
        let work = tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            work()
        });
        work.await.map_err(|_| QueueFullError)
    }
}

impl Cost {
    /// Returns a hash with the difference of both costs; `None` if the other costs as much or more.
    fn remaining_cost(self, other: Self) -> Option<Argon2<'static>> {
        let blocks = |cost: Self| u64::from(cost.memory_kib) * u64::from(cost.iterations);
        let missing = blocks(self).checked_sub(blocks(other)).filter(|missing| *missing > 0)?;
        let memory = (missing / u64::from(self.iterations)).max(8 * u64::from(self.parallelism));
        argon2(Self { memory_kib: u32::try_from(memory).ok()?, ..self }).ok()
    }
}

fn argon2(cost: Cost) -> Result<Argon2<'static>, argon2::Error> {
    let params = Params::new(cost.memory_kib, cost.iterations, cost.parallelism, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Returns the parameters of a hash.
fn cost_of(hash: &str) -> Option<Cost> {
    let params = Params::try_from(&PasswordHash::new(hash).ok()?).ok()?;
    Some(Cost { memory_kib: params.m_cost(), iterations: params.t_cost(), parallelism: params.p_cost() })
}

fn hash(argon2: &Argon2<'_>, password: &str) -> String {
    argon2.hash_password(password.as_bytes()).expect("a bounded text and a fresh salt can be hashed").to_string()
}

fn matches_hash(argon2: &Argon2<'_>, password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| argon2.verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::{super::typed_password::MAX_LENGTH, *};
    use crate::clock::{Clock, SystemClock};

    const COST: Cost = Cost { memory_kib: 64, iterations: 1, parallelism: 1 };

    fn hasher(cost: Cost) -> Hasher {
        Hasher::new(cost, 1, SystemClock.now()).unwrap()
    }

    fn text(password: &str) -> Zeroizing<String> {
        Zeroizing::new(password.to_owned())
    }

    async fn stored(hasher: &Hasher, password: &str) -> Password {
        hasher.reserve_place(QueueKind::KnownBrowser).unwrap().hash(text(password), SystemClock.now()).await.unwrap()
    }

    #[tokio::test]
    async fn only_the_hashed_password_is_verified() {
        let hasher = hasher(COST);
        let stored = stored(&hasher, "correct horse").await;
        assert!(stored.hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{}", stored.hash);
        let place = hasher.reserve_place(QueueKind::UnknownBrowser).unwrap();
        let right = place.verify(PasswordForms::of("correct horse"), Some(&stored)).await.unwrap();
        assert_eq!(right, Verdict::Right { outdated: false });
        for wrong in ["", "correct hors", "Correct horse", &"x".repeat(MAX_LENGTH + 1)] {
            assert_eq!(place.verify(PasswordForms::of(wrong), Some(&stored)).await.unwrap(), Verdict::Wrong);
        }
        assert_eq!(
            place.verify(PasswordForms::of("dummy"), None).await.unwrap(),
            Verdict::Wrong,
            "the dummy belongs to no account"
        );
    }

    #[tokio::test]
    async fn a_hash_with_other_parameters_is_valid_and_outdated() {
        let stored = stored(&hasher(COST), "x").await;
        for changed in [Cost { memory_kib: 128, ..COST }, Cost { iterations: 2, ..COST }] {
            let hasher = hasher(changed);
            let place = hasher.reserve_place(QueueKind::UnknownBrowser).unwrap();
            assert_eq!(place.verify(PasswordForms::of("x"), Some(&stored)).await.unwrap(), Verdict::Right { outdated: true });
            assert_eq!(place.verify(PasswordForms::of("y"), Some(&stored)).await.unwrap(), Verdict::Wrong);
        }
    }

    #[tokio::test]
    async fn a_hash_of_the_typed_form_is_valid_and_outdated() {
        let hasher = hasher(COST);
        let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
        let (old, new) = (stored(&hasher, decomposed).await, stored(&hasher, composed).await);
        let place = hasher.reserve_place(QueueKind::UnknownBrowser).unwrap();
        let verdict = async |typed: &str, stored: &Password| place.verify(PasswordForms::of(typed), Some(stored)).await.unwrap();
        assert_eq!(verdict(decomposed, &old).await, Verdict::Right { outdated: true });
        assert_eq!(verdict(composed, &old).await, Verdict::Wrong, "a hash does not match other forms of the password");
        for typed in [composed, decomposed] {
            assert_eq!(verdict(typed, &new).await, Verdict::Right { outdated: false });
        }
    }

    #[test]
    fn a_refusal_by_a_cheaper_hash_also_spends_the_remaining_cost() {
        let cost = Cost { memory_kib: 1024, iterations: 2, parallelism: 1 };
        let remaining = |memory_kib, iterations| {
            let rest = cost.remaining_cost(Cost { memory_kib, iterations, parallelism: 1 })?;
            Some((rest.params().m_cost(), rest.params().t_cost()))
        };
        assert_eq!(remaining(256, 2), Some((768, 2)));
        assert_eq!(remaining(1024, 1), Some((512, 2)));
        assert_eq!(remaining(1023, 2), Some((8, 2)), "no hash takes less memory");
        assert_eq!((remaining(1024, 2), remaining(4096, 2)), (None, None));
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_does_not_delay_the_other() {
        let hasher = hasher(COST);
        let all: Vec<_> = (0..1 + MOST_WAITING).map(|_| hasher.reserve_place(QueueKind::UnknownBrowser).unwrap()).collect();
        let _turn = hasher.unknown.turns.clone().acquire_owned().await.unwrap();
        assert_eq!(hasher.reserve_place(QueueKind::UnknownBrowser).err(), Some(QueueFullError));
        stored(&hasher, "correct horse").await;
        drop(all);
        assert!(hasher.reserve_place(QueueKind::UnknownBrowser).is_ok());
    }
}
