//! Finds the session or key of a credential and its user, without a store command in steady state.
//!
//! A cached value is served within the consistency bound: for [`CONSISTENCY_BOUND`] after it was read, or after a consistency
//! check showed that this pod had received the invalidation messages of all commits to the shard. Later it is read again; if
//! the store does not answer, it is served for the configured grace period (`serving`).

mod cache;
mod chain;
mod consistency;
mod entry;
mod identities;
mod lookup;
mod refresh_mark;
mod restricted_grant;
mod serving_policy;

pub use entry::{ActiveKey, CachedKey, CachedSession, CachedUser, UserKey, UserSession};
pub use refresh_mark::{RefreshAttempt, RefreshMark};
pub use restricted_grant::{GrantSources, RestrictedGrant};

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;

use crate::{
    api_keys::{self, Keys, PresentedKey},
    clock::{self, Clock},
    metrics::{LookupLabel, Metrics},
    secret::Digest,
    store::{self, Records, Shard},
    users::{SessionState, SessionToken, Users},
};
use cache::Cache;
use entry::LastUse;
use lookup::{Lookup, LookupResult, ReadsInProgress};

/// The consistency bound: while the store answers, a revocation takes effect on every pod within this time.
pub const CONSISTENCY_BOUND: Duration = Duration::from_secs(2);

/// The result of looking up an API key.
#[derive(Clone)]
pub enum KeyLookup {
    Active(ActiveKey),
    /// The owner's claims were verified too long ago. The key is suspended until the owner signs in.
    Suspended,
    Unknown,
}

/// A failed look-up of a credential. It does not mean that the credential is unknown.
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
    /// The store was not read, because a read failed recently.
    fn failed_recently() -> Self {
        Self::Store(store::Error::Unavailable("a read failed recently".into()))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheSettings {
    /// The grace period of stale serving.
    pub revocation_grace: Duration,
    /// The maximum number of credentials.
    pub entries: u64,
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
    settings: CacheSettings,
    cache: Arc<Cache>,
    reads: ReadsInProgress,
}

/// The parts that the cache reads from and writes to.
pub struct Sources {
    pub records: Records,
    pub users: Arc<Users>,
    pub keys: Arc<Keys>,
}

impl Principals {
    /// Starts the tasks that apply invalidation messages and check consistency each second.
    pub fn start(sources: Sources, clock: Arc<dyn Clock>, metrics: Arc<Metrics>, settings: CacheSettings) -> Self {
        let inner = Inner::new(sources, clock, metrics, settings);
        let cache = Arc::clone(&inner.cache);
        inner.records.on_commit(move |shard, stale| cache.invalidate(shard, stale));
        // Subscribed before the first consistency check, so that the check finds no message missing.
        let messages = inner.records.store().invalidation_messages();
        let apply = consistency::apply_messages(Arc::clone(&inner), messages);
        let removals = inner.records.ring().removals();
        let tasks = vec![
            tokio::spawn(apply),
            tokio::spawn(consistency::run_consistency_checks(Arc::clone(&inner))),
            tokio::spawn(consistency::flush_on_key_removal(Arc::clone(&inner), removals)),
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

    /// Reports the sizes of the cache maps and the age of the oldest consistency check as metrics.
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
    fn new(sources: Sources, clock: Arc<dyn Clock>, metrics: Arc<Metrics>, settings: CacheSettings) -> Arc<Self> {
        let Sources { records, users, keys } = sources;
        let cache = Arc::new(Cache::new(settings.entries, clock.monotonic()));
        Arc::new(Self { records, users, keys, clock, metrics, settings, cache, reads: ReadsInProgress::default() })
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
        let Some(own) = found.filter(|found| !found.user.disabled) else { return Ok(KeyLookup::Unknown) };
        let Some(ancestors) = self.find_active_ancestors(&own.key).await? else { return Ok(KeyLookup::Unknown) };
        if self.is_suspended(&own.user) {
            return Ok(KeyLookup::Suspended);
        }
        self.touch_key(&own);
        Ok(KeyLookup::Active(ActiveKey { own, ancestors }))
    }

    /// Finds the keys that a key was derived from; `None` if one of them, or its owner, is not active. The derived key is not
    /// active either then.
    async fn find_active_ancestors(self: &Arc<Self>, key: &CachedKey) -> LookupResult<Vec<UserKey>> {
        let mut ancestors = Vec::with_capacity(key.ancestors.len());
        for (derived_from, digest) in &key.ancestors {
            let lookup = Lookup { label: LookupLabel::Key, shard: derived_from.id.shard(), digest: *digest };
            let Some(ancestor) = self.find_key_by_id(lookup, derived_from.id).await? else { return Ok(None) };
            let is_active = !ancestor.user.disabled && !self.is_suspended(&ancestor.user);
            if !is_active || derived_from.has_ended_derived_key(&ancestor.key.key) {
                return Ok(None);
            }
            ancestors.push(ancestor);
        }
        Ok(Some(ancestors))
    }

    /// True if the owner's claims were verified too long ago.
    fn is_suspended(&self, owner: &CachedUser) -> bool {
        let age = self.clock.now().duration_since(owner.verified);
        // Claims that can be refreshed may be renewed by this use. The evaluation decides about them.
        !owner.refresh.is_refreshable() && Duration::try_from(age).is_ok_and(|age| age >= self.keys.settings().claims_max_age)
    }

    fn session_state(&self, UserSession { session, user }: &UserSession) -> SessionState {
        match session.generation == user.session_generation {
            true => self.users.limits().state(session.created, session.last_seen(), self.clock.now()),
            false => SessionState::Ended,
        }
    }

    /// Returns the state of a key that was presented with the secret of this digest.
    fn secret_state(&self, found: &UserKey, digest: &Digest) -> SessionState {
        if found.key.key.generation != found.user.key_generation {
            return SessionState::Ended;
        }
        match found.key.key.secret_status(digest, self.clock.now()) {
            api_keys::SecretStatus::Live => SessionState::Live,
            api_keys::SecretStatus::Ended => SessionState::Ended,
            // The secret may be newer than the cached record: the key is read again.
            api_keys::SecretStatus::Unlisted => SessionState::Idle,
        }
    }

    fn key_state(&self, UserKey { key, user }: &UserKey) -> SessionState {
        match key.key.generation != user.key_generation || key.key.has_expired(self.clock.now()) {
            true => SessionState::Ended,
            false => SessionState::Live,
        }
    }

    /// Updates `last_seen` of a session in the background, if it is due.
    fn touch_session(self: &Arc<Self>, signed_in: &UserSession, digest: Digest) {
        let session = Arc::clone(&signed_in.session);
        if !self.users.limits().is_touch_due(session.last_seen(), self.clock.now())
            || !self.can_touch(&session.last_use, session.shard)
        {
            return;
        }
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            let touched = inner.users.touch(&session.user, &digest).await;
            if let Err(error) = &touched {
                tracing::debug!(%error, "session use not recorded");
            }
            session.last_use.end_writing(touched.ok().flatten());
        });
    }

    /// Updates the last use of a key in the background, if it is due.
    fn touch_key(self: &Arc<Self>, user_key: &UserKey) {
        let key = Arc::clone(&user_key.key);
        let unused = clock::since(key.last_use.at(), self.clock.now());
        if unused < api_keys::TOUCH_AFTER || !self.can_touch(&key.last_use, key.key.id.shard()) {
            return;
        }
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            let touched = inner.keys.touch(key.key.id).await;
            if let Err(error) = &touched {
                tracing::debug!(%error, "key use not recorded");
            }
            key.last_use.end_writing(touched.ok().flatten());
        });
    }

    /// True if the store answers and no other task updates this last use.
    fn can_touch(&self, last_use: &LastUse, shard: Shard) -> bool {
        !self.cache.has_failed_recently(shard, self.clock.monotonic()) && last_use.begin_writing()
    }
}
