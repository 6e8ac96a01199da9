//! Who an (issuer, subject) is: for tokens, which name a person without a session. Under the same proof as
//! sessions, in two steps, since the identity and its user may lie in different shards.

use super::{
    Inner, LookupError, PROVEN_FOR, Principals, REST_AFTER_FAILURE,
    cache::{CachedIdentity, Remembered},
    entry::CachedUser,
};
use crate::{
    flights::{Flight, Flights},
    metrics::{CacheResult, LookUpLabel},
    secret::Digest,
    store::{ReadError, Shard},
    users::{self, Identity},
};
use std::sync::Arc;

type Who = Result<Option<Arc<str>>, LookupError>;
type Person = Result<Option<Arc<CachedUser>>, LookupError>;

/// Reads under way.
#[derive(Default)]
pub(super) struct People {
    identities: Arc<Flights<Who>>,
    users: Arc<Flights<Person>>,
}

impl Principals {
    /// The user that the identity of this digest is; `None` when nobody has signed in with it.
    pub async fn person(&self, identity: Digest) -> Person {
        match self.inner.identity(identity).await? {
            Some(user) => self.inner.user(&user).await,
            None => Ok(None),
        }
    }
}

impl Inner {
    async fn identity(self: &Arc<Self>, digest: Digest) -> Who {
        let shard = Shard::of(&digest);
        let known = self.cache.find_identity(&digest);
        self.proven_or(shard, known, || {
            let (inner, epoch) = (Arc::clone(self), self.cache.epoch(shard));
            self.people.identities.share(digest, epoch, || {
                let slot = Arc::clone(&self.slots[LookUpLabel::Person as usize]).try_acquire_owned().ok()?;
                Some(async move {
                    let _slot = slot;
                    inner.read_identity(digest, shard, epoch).await
                })
            })
        })
        .await
    }

    async fn user(self: &Arc<Self>, id: &Arc<str>) -> Person {
        let shard = users::shard_of(id);
        let known = self.cache.find_user(id, shard);
        let known = known.map(|known| Remembered { value: Some(known.value), proven: known.proven });
        self.proven_or(shard, known, || {
            let (inner, epoch, user) = (Arc::clone(self), self.cache.epoch(shard), Arc::clone(id));
            self.people.users.share(Digest::of(id.as_bytes()), epoch, || {
                let slot = Arc::clone(&self.slots[LookUpLabel::Person as usize]).try_acquire_owned().ok()?;
                Some(async move {
                    let _slot = slot;
                    inner.read_person(&user, shard, epoch).await
                })
            })
        })
        .await
    }

    /// What is remembered, while it is proven; else what a read finds; in an outage what is remembered, for the
    /// grace.
    async fn proven_or<T: Clone>(
        &self,
        shard: Shard,
        known: Option<Remembered<T>>,
        read: impl FnOnce() -> Option<Flight<Result<T, LookupError>>>,
    ) -> Result<T, LookupError> {
        let age = |known: &Remembered<T>| self.clock.monotonic().saturating_duration_since(known.proven);
        let Some(known) = known else { return self.read_shared(read).await };
        if age(&known) <= PROVEN_FOR {
            self.metrics.cache_lookup(LookUpLabel::Person, CacheResult::Hit);
            return Ok(known.value);
        }
        let mut failure = None;
        if !self.cache.rests(shard, self.clock.monotonic(), REST_AFTER_FAILURE) {
            let read = self.read_shared(read);
            let answer = match age(&known) > self.settings.grace {
                true => read.await,
                false => self.unless_slow(shard, read).await,
            };
            match answer {
                // A record that can't be read is an answer, and no reason to go on with what was.
                Err(LookupError::Store(ReadError::Unreadable { kind, reason })) => {
                    return Err(ReadError::Unreadable { kind, reason }.into());
                }
                Err(outage) => failure = Some(outage),
                answer => return answer,
            }
        }
        if age(&known) > self.settings.grace {
            return Err(failure.unwrap_or_else(LookupError::a_moment_ago));
        }
        self.metrics.cache_lookup(LookUpLabel::Person, CacheResult::Stale);
        Ok(known.value)
    }

    async fn read_shared<T: Clone>(
        &self,
        read: impl FnOnce() -> Option<Flight<Result<T, LookupError>>>,
    ) -> Result<T, LookupError> {
        let Some(flight) = read() else {
            self.metrics.cache_lookup(LookUpLabel::Person, CacheResult::Overloaded);
            return Err(LookupError::Overloaded);
        };
        self.metrics.cache_lookup(LookUpLabel::Person, CacheResult::Miss);
        flight.await.unwrap_or(Err(LookupError::Overloaded))
    }

    async fn read_identity(&self, digest: Digest, shard: Shard, epoch: u64) -> Who {
        let began = self.clock.monotonic();
        let found = self.records.get::<Identity>(&Identity::key(&digest)).await;
        let found = found.map_err(|error| self.failed_to_read(shard, error))?;
        let user: Option<Arc<str>> = found.map(|found| found.value.user.into());
        let entry = CachedIdentity::new(user.clone(), shard, self.cache.generation(shard), began);
        self.cache.insert(shard, epoch, |maps| maps.insert_identity(digest, entry));
        Ok(user)
    }

    /// Who has an identity and no record has never finished a sign-in, and is not remembered.
    async fn read_person(&self, id: &str, shard: Shard, epoch: u64) -> Person {
        let entry = (self.cache.generation(shard), self.clock.monotonic());
        let user = self.read_user(shard, id, entry).await.map_err(|error| self.failed_to_read(shard, error))?;
        if let Some(user) = &user {
            self.cache.insert(shard, epoch, |maps| maps.insert_user(user));
        }
        Ok(user)
    }

    fn failed_to_read(&self, shard: Shard, error: ReadError) -> LookupError {
        self.cache.failed(shard, self.clock.monotonic());
        tracing::debug!(%error, "a person can't be looked up");
        error.into()
    }
}

#[cfg(test)]
mod tests;
