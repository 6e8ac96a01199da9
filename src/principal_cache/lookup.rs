//! Look-ups of credentials, and the reads of the store that they share.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{
    Inner, LookupError,
    cache::{CachedValue, ReadStart},
    entry::{CachedKey, CachedSession, CachedUser, ReadTime, UserKey, UserSession},
    serving_policy::ServingPolicy,
};
use crate::{
    api_keys::{self, ApiKey, KeyId, Pointer},
    fetch::SingleFlight,
    metrics::{CacheResult, LookupLabel},
    secret::Digest,
    store::{self, RecordKind, Shard},
    users::{Session, SessionState, User},
};

/// The maximum number of concurrent reads of each kind; more look-ups fail. Clients can invent well-formed keys, and must not
/// block the reads of sessions by that.
const READS_IN_FLIGHT: usize = 512;

/// The answer to a look-up; `None` if there is no such record.
pub(super) type LookupResult<T> = Result<Option<T>, LookupError>;

/// A look-up: its kind, the shard of the record, and the digest that the cache knows it by.
#[derive(Clone, Copy)]
pub(super) struct Lookup {
    pub label: LookupLabel,
    pub shard: Shard,
    pub digest: Digest,
}

/// The reads in progress. Look-ups of one digest share a read of the same revision.
pub(super) struct ReadsInProgress {
    pub sessions: Arc<SingleFlight<LookupResult<UserSession>>>,
    pub keys: Arc<SingleFlight<LookupResult<UserKey>>>,
    pub identities: Arc<SingleFlight<LookupResult<Arc<str>>>>,
    pub users: Arc<SingleFlight<LookupResult<Arc<CachedUser>>>>,
    /// For each kind of look-up.
    slots: [Arc<Semaphore>; LookupLabel::ALL.len()],
}

impl Default for ReadsInProgress {
    fn default() -> Self {
        let slots = [(); LookupLabel::ALL.len()].map(|()| Arc::new(Semaphore::new(READS_IN_FLIGHT)));
        let (sessions, keys, identities, users) = Default::default();
        Self { sessions, keys, identities, users, slots }
    }
}

impl Inner {
    pub(super) async fn find_session(self: &Arc<Self>, lookup: Lookup) -> LookupResult<UserSession> {
        let cached = self.cache.session(lookup.shard, &lookup.digest);
        let state = |found: &UserSession| self.session_state(found);
        let read = move |inner: Arc<Self>, start| async move { inner.read_session(lookup, start).await };
        self.find_credential(lookup, cached, state, &self.reads.sessions, read).await
    }

    pub(super) async fn find_key_by_secret(self: &Arc<Self>, lookup: Lookup) -> LookupResult<UserKey> {
        let cached = self.cache.key(lookup.shard, &lookup.digest);
        let state = |found: &UserKey| self.secret_state(found, &lookup.digest);
        let read = move |inner: Arc<Self>, start| async move { inner.read_key_by_secret(lookup, start).await };
        self.find_credential(lookup, cached, state, &self.reads.keys, read).await
    }

    pub(super) async fn find_key_by_id(self: &Arc<Self>, lookup: Lookup, id: KeyId) -> LookupResult<UserKey> {
        let cached = self.cache.key(lookup.shard, &lookup.digest);
        let state = |found: &UserKey| self.key_state(found);
        let read = move |inner: Arc<Self>, start| async move { inner.read_key_by_id(lookup, id, start).await };
        self.find_credential(lookup, cached, state, &self.reads.keys, read).await
    }

    /// Returns a credential that is live. A credential that was recently unknown to the store is not read again.
    async fn find_credential<T, R>(
        self: &Arc<Self>,
        lookup: Lookup,
        cached: Option<CachedValue<T>>,
        state: impl Fn(&T) -> SessionState,
        shared_reads: &Arc<SingleFlight<LookupResult<T>>>,
        read: impl FnOnce(Arc<Self>, ReadStart) -> R,
    ) -> LookupResult<T>
    where
        T: Clone + Send + Sync + 'static,
        R: Future<Output = Result<Option<T>, store::Error>> + Send + 'static,
    {
        if cached.is_none() && self.cache.is_known_unknown(&lookup.digest, self.clock.monotonic()) {
            self.metrics.cache_lookup(lookup.label, CacheResult::Unknown);
            return Ok(None);
        }
        let found = self.serve(lookup, cached, &state, shared_reads, read).await?;
        Ok(found.filter(|found| state(found) == SessionState::Live))
    }

    /// Answers a look-up by the rule of [`ServingPolicy`].
    pub(super) async fn serve<T, R>(
        self: &Arc<Self>,
        lookup: Lookup,
        cached: Option<CachedValue<T>>,
        state: impl Fn(&T) -> SessionState,
        shared_reads: &Arc<SingleFlight<LookupResult<T>>>,
        read: impl FnOnce(Arc<Self>, ReadStart) -> R,
    ) -> LookupResult<T>
    where
        T: Clone + Send + Sync + 'static,
        R: Future<Output = Result<Option<T>, store::Error>> + Send + 'static,
    {
        let (clock, grace) = (&*self.clock, self.settings.revocation_grace);
        let serving = ServingPolicy { cache: &self.cache, clock, grace, shard: lookup.shard };
        let served = serving.serve(cached, state, self.read_shared(lookup, shared_reads, read)).await?;
        if let Some(result) = served.cache_result() {
            self.metrics.cache_lookup(lookup.label, result);
        }
        Ok(served.into_value())
    }

    /// Joins the read of this digest in progress, or begins one.
    async fn read_shared<T, R>(
        self: &Arc<Self>,
        lookup: Lookup,
        shared_reads: &Arc<SingleFlight<LookupResult<T>>>,
        read: impl FnOnce(Arc<Self>, ReadStart) -> R,
    ) -> LookupResult<T>
    where
        T: Clone + Send + Sync + 'static,
        R: Future<Output = Result<Option<T>, store::Error>> + Send + 'static,
    {
        let Lookup { label, shard, digest } = lookup;
        let start = self.cache.begin_read(shard, self.clock.monotonic());
        let shared_read = shared_reads.join_or_start(digest, start.revision, || {
            let slot = Arc::clone(&self.reads.slots[label as usize]).try_acquire_owned().ok()?;
            self.metrics.cache_lookup(label, CacheResult::Miss);
            let (inner, read) = (Arc::clone(self), read(Arc::clone(self), start));
            Some(async move {
                let _slot = slot;
                read.await.map_err(|error| inner.read_failed(lookup, error))
            })
        });
        let Some(shared_read) = shared_read else {
            self.metrics.cache_lookup(label, CacheResult::Overloaded);
            return Err(LookupError::Overloaded);
        };
        shared_read.await.unwrap_or(Err(LookupError::Overloaded))
    }

    fn read_failed(&self, lookup: Lookup, error: store::Error) -> LookupError {
        self.cache.record_failure(lookup.shard, self.clock.monotonic());
        tracing::debug!(%error, lookup = lookup.label.as_str(), "lookup failed");
        error.into()
    }

    async fn read_session(&self, lookup: Lookup, start: ReadStart) -> Result<Option<UserSession>, store::Error> {
        let Lookup { shard, digest, .. } = lookup;
        let found = match self.records.get::<Session>(&Session::key(shard, &digest)).await? {
            Some(session) => {
                let session = Arc::new(CachedSession::new(&session.value, shard, start.time, self.users.max_age()));
                let user = self.read_user(shard, &session.user, start.time).await?;
                user.map(|user| UserSession { session, user })
            }
            None => None,
        };
        self.cache.insert(start, |maps| maps.insert_session(digest, found.as_ref(), start.time));
        Ok(found)
    }

    async fn read_key_by_secret(&self, lookup: Lookup, start: ReadStart) -> Result<Option<UserKey>, store::Error> {
        let Lookup { shard, digest, .. } = lookup;
        let found = match self.records.get::<Pointer>(&Pointer::key(shard, &digest)).await? {
            Some(pointer) => self.read_key(shard, pointer.value.key, start.time).await?,
            None => None,
        };
        // The key's record decides which secrets are valid.
        let found =
            found.filter(|found| found.key.key.secret_status(&digest, self.clock.now()) != api_keys::SecretStatus::Unlisted);
        self.cache.insert(start, |maps| maps.insert_key(digest, found.as_ref(), start.time));
        Ok(found)
    }

    async fn read_key_by_id(&self, lookup: Lookup, id: KeyId, start: ReadStart) -> Result<Option<UserKey>, store::Error> {
        let Lookup { shard, digest, .. } = lookup;
        let found = self.read_key(shard, id, start.time).await?;
        self.cache.insert(start, |maps| maps.insert_key(digest, found.as_ref(), start.time));
        Ok(found)
    }

    async fn read_key(&self, shard: Shard, id: KeyId, time: ReadTime) -> Result<Option<UserKey>, store::Error> {
        let Some(key) = self.records.get::<ApiKey>(&ApiKey::key(id)).await? else { return Ok(None) };
        let key = Arc::new(CachedKey::new(key.value, time));
        let user = self.read_user(shard, &key.key.user, time).await?;
        Ok(user.map(|user| UserKey { key, user }))
    }

    pub(super) async fn read_user(
        &self,
        shard: Shard,
        id: &str,
        time: ReadTime,
    ) -> Result<Option<Arc<CachedUser>>, store::Error> {
        let user = self.records.get::<User>(&store::RecordKey::new(shard, RecordKind::User, id)).await?;
        let Some(user) = user.map(|stored| stored.value) else { return Ok(None) };
        let evaluated = user.evaluated_identities(self.users.provisioning());
        Ok(Some(Arc::new(CachedUser::new(user, &evaluated, time, self.users.max_age()))))
    }
}
