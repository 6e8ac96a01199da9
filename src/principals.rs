//! Finds the session or key of a credential and its user, without a store command in steady state.
//!
//! A cached value is served within the consistency bound: for [`PROVEN_FOR`] after it was read, or after a consistency
//! check showed that every commit of its shard had been heard of. Later it is read again; if the store does not answer,
//! it is served for the configured grace period, and no longer (`serving`).

mod cache;
mod chain;
mod entry;
mod people;
mod proof;
mod reading;
mod serving;

pub use entry::{CachedKey, CachedSession, CachedUser, Narrowed, UserKey, UserSession};

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;

use crate::{
    clock::{self, Clock},
    keys::{self, Keys, PresentedKey},
    metrics::{LookupLabel, Metrics},
    secret::Digest,
    session::{Limits, SessionToken, Standing},
    store::{self, Records, Shard},
    users::Users,
};
use cache::Cache;
use entry::LastUse;
use reading::{Lookup, Reads};

/// The consistency bound: the longest that a revocation goes unseen while the store answers.
pub const PROVEN_FOR: Duration = Duration::from_secs(2);

/// The result of looking up an API key.
#[derive(Clone)]
pub enum KeyLookup {
    Active(UserKey),
    /// The owner's claims were verified too long ago: the key waits for the owner's next sign-in.
    Suspended,
    Unknown,
}

/// Why a credential could not be looked up. Never to be taken for an unknown credential.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LookupError {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("too many unknown credentials are being looked up")]
    Overloaded,
    #[error("the store takes too long to answer")]
    TooSlow,
}

impl LookupError {
    /// The store was not asked, because a read failed so recently.
    fn failed_recently() -> Self {
        Self::Store(store::Error::Unavailable("it did not a moment ago".into()))
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub limits: Limits,
    pub grace: Duration,
    pub entries: u64,
    /// So long after their last sign-in a person's keys count.
    pub claims_max_age: Duration,
}

/// The cache, with the tasks that keep it consistent with the store.
pub struct Principals {
    inner: Arc<Inner>,
    tasks: Vec<JoinHandle<()>>,
}

pub(crate) struct Inner {
    records: Records,
    users: Arc<Users>,
    keys: Arc<Keys>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    settings: Settings,
    cache: Arc<Cache>,
    reads: Reads,
}

/// The parts that the cache reads from and writes to.
pub struct Sources {
    pub records: Records,
    pub users: Arc<Users>,
    pub keys: Arc<Keys>,
}

impl Principals {
    /// Begins to listen to the bus and to compare sequences each second.
    pub fn start(sources: Sources, clock: Arc<dyn Clock>, metrics: Arc<Metrics>, settings: Settings) -> Self {
        let inner = Inner::new(sources, clock, metrics, settings);
        let cache = Arc::clone(&inner.cache);
        inner.records.on_commit(move |shard, stale| cache.invalidate(shard, stale));
        // Heard from the beginning, so that the first round finds nothing missing.
        let notices = inner.records.store().notices();
        let listen = proof::listen(Arc::clone(&inner), notices);
        let removals = inner.records.ring().removals();
        let tasks = vec![
            tokio::spawn(listen),
            tokio::spawn(proof::compare_each_second(Arc::clone(&inner))),
            tokio::spawn(proof::mind_the_key_ring(Arc::clone(&inner), removals)),
        ];
        Self { inner, tasks }
    }

    /// The session of a token, with its user; `None` if there is no such session.
    pub async fn session(&self, token: &SessionToken<'_>) -> Result<Option<UserSession>, LookupError> {
        self.inner.session(token).await
    }

    /// The key of a secret, with its owner.
    pub async fn key(&self, presented: PresentedKey) -> Result<KeyLookup, LookupError> {
        self.inner.key(presented).await
    }

    /// Writes sizes and the age of the oldest proof into the metrics.
    pub fn report(&self) {
        self.inner.cache.report(&self.inner.metrics, self.inner.clock.monotonic());
    }
}

impl Drop for Principals {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Inner {
    fn new(sources: Sources, clock: Arc<dyn Clock>, metrics: Arc<Metrics>, settings: Settings) -> Arc<Self> {
        let Sources { records, users, keys } = sources;
        let cache = Arc::new(Cache::new(settings.entries, clock.monotonic()));
        Arc::new(Self { records, users, keys, clock, metrics, settings, cache, reads: Reads::default() })
    }

    async fn session(self: &Arc<Self>, token: &SessionToken<'_>) -> Result<Option<UserSession>, LookupError> {
        let lookup = Lookup { label: LookupLabel::Session, shard: token.shard(), digest: token.digest() };
        let found = self.find_session(lookup).await?.filter(|found| !found.user.disabled);
        if let Some(found) = &found {
            self.touch_session(found, lookup.digest);
        }
        Ok(found)
    }

    async fn key(self: &Arc<Self>, presented: PresentedKey) -> Result<KeyLookup, LookupError> {
        let PresentedKey { shard, digest } = presented;
        let found = self.find_key_by_secret(Lookup { label: LookupLabel::Key, shard, digest }).await?;
        let Some(found) = found.filter(|found| !found.user.disabled) else { return Ok(KeyLookup::Unknown) };
        if !self.are_ancestors_active(&found.key).await? {
            return Ok(KeyLookup::Unknown);
        }
        if self.is_suspended(&found.user) {
            return Ok(KeyLookup::Suspended);
        }
        self.touch_key(&found);
        Ok(KeyLookup::Active(found))
    }

    /// A derived key is active only while all keys that it was derived from are, with their owners.
    async fn are_ancestors_active(self: &Arc<Self>, key: &CachedKey) -> Result<bool, LookupError> {
        for (id, digest) in &key.ancestors {
            let lookup = Lookup { label: LookupLabel::Key, shard: id.shard(), digest: *digest };
            match self.find_key_by_id(lookup, *id).await? {
                Some(ancestor) if !ancestor.user.disabled && !self.is_suspended(&ancestor.user) => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// True if the owner's claims were verified too long ago.
    fn is_suspended(&self, owner: &CachedUser) -> bool {
        let age = self.clock.now().duration_since(owner.verified);
        Duration::try_from(age).is_ok_and(|age| age >= self.settings.claims_max_age)
    }

    fn session_standing(&self, UserSession { session, user }: &UserSession) -> Standing {
        match session.epoch == user.session_epoch {
            true => self.settings.limits.standing(session.created, session.last_seen(), self.clock.now()),
            false => Standing::Ended,
        }
    }

    /// The standing of a key that was presented by the secret of this digest.
    fn secret_standing(&self, found: &UserKey, digest: &Digest) -> Standing {
        if found.key.key.epoch != found.user.key_epoch {
            return Standing::Ended;
        }
        match found.key.key.standing(digest, self.clock.now()) {
            keys::Standing::Live => Standing::Live,
            keys::Standing::Ended => Standing::Ended,
            // The secret may be newer than the cached record: the key is read again.
            keys::Standing::Unlisted => Standing::Idle,
        }
    }

    fn key_standing(&self, UserKey { key, user }: &UserKey) -> Standing {
        match key.key.epoch != user.key_epoch || key.key.has_expired(self.clock.now()) {
            true => Standing::Ended,
            false => Standing::Live,
        }
    }

    /// Writes down that the session is used, off the check's path and at most once in a while.
    fn touch_session(self: &Arc<Self>, signed_in: &UserSession, digest: Digest) {
        let session = Arc::clone(&signed_in.session);
        if !self.settings.limits.wants_touch(session.last_seen(), self.clock.now())
            || !self.may_touch(&session.last_use, session.shard)
        {
            return;
        }
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            let touched = inner.users.touch(&session.user, &digest).await;
            if let Err(error) = &touched {
                tracing::debug!(%error, "a session's use could not be written down");
            }
            session.last_use.end_writing(touched.ok().flatten());
        });
    }

    /// The same for a key.
    fn touch_key(self: &Arc<Self>, user_key: &UserKey) {
        let key = Arc::clone(&user_key.key);
        let unused = clock::since(key.last_use.at(), self.clock.now());
        if unused < keys::TOUCH_AFTER || !self.may_touch(&key.last_use, key.key.id.shard()) {
            return;
        }
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            let touched = inner.keys.touch(key.key.id).await;
            if let Err(error) = &touched {
                tracing::debug!(%error, "a key's use could not be written down");
            }
            key.last_use.end_writing(touched.ok().flatten());
        });
    }

    /// Not while the store doesn't answer, and not while somebody is at it.
    fn may_touch(&self, last_use: &LastUse, shard: Shard) -> bool {
        !self.cache.has_failed_recently(shard, self.clock.monotonic()) && last_use.begin_writing()
    }
}
