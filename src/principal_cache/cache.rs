//! The maps of the cache, and the consistency state of each shard.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use moka::sync::Cache as Map;

use super::{
    CONSISTENCY_BOUND,
    chain::Chain,
    entry::{CachedKey, CachedSession, CachedUser, ReadTime, UserKey, UserSession},
};
use crate::{
    api_keys::KeyId,
    metrics::{CacheMap, Metrics},
    secret::Digest,
    store::{Shard, StaleEntry},
};

/// After a read that failed, cached values of the shard are served for this long without another read.
pub(super) const RETRY_AFTER_FAILURE: Duration = Duration::from_millis(250);

/// The lifetime of an entry that is not used.
const KEPT_UNUSED: Duration = Duration::from_secs(3600);

/// The capacity of the map of unknown credentials.
const UNKNOWN_KEPT: u64 = 10_000;

/// A value in the cache, and the time at which it last agreed with the store.
pub(super) struct CachedValue<T> {
    /// `None`: the store had no such record.
    pub value: Option<T>,
    pub confirmed: Instant,
}

pub(super) struct Cache {
    maps: Maps,
    shards: Vec<ShardState>,
    /// Times are stored as milliseconds since this instant.
    origin: Instant,
}

/// One map for each kind of record, so that a changed record invalidates one entry; and one map of unknown credentials.
pub(super) struct Maps {
    credentials: Map<Digest, CachedCredential>,
    /// The users of issuers and subjects, by the digest of both.
    identities: Map<Digest, CachedIdentity>,
    keys: Map<KeyId, Arc<CachedKey>>,
    users: Map<String, Arc<CachedUser>>,
    unknown: Map<Digest, Instant>,
}

/// The target of a credential's digest. The key of a secret never changes, so that this entry is never stale.
#[derive(Clone)]
enum CachedCredential {
    Session(Arc<CachedSession>),
    ApiKey(KeyId),
}

/// The user of an issuer and subject, if they have signed in.
#[derive(Clone)]
struct CachedIdentity {
    user: Option<Arc<str>>,
    read: ReadTime,
}

/// The start of a read of the store. Its result may be cached if the shard still has the same revision.
#[derive(Clone, Copy)]
pub(super) struct ReadStart {
    pub shard: Shard,
    /// Incremented by everything that could outdate a read in progress.
    pub revision: u64,
    pub time: ReadTime,
}

#[derive(Default)]
struct ShardState {
    /// The number of flushes. Entries of an earlier number are invalid.
    flushes: AtomicU64,
    /// The start of the last successful consistency check, in milliseconds since the origin plus one. 0: none.
    consistent_at: AtomicU64,
    /// The time of the last failed read, in the same form.
    failed: AtomicU64,
    chain: Mutex<Chain>,
}

impl Cache {
    pub(super) fn new(entries: u64, origin: Instant) -> Self {
        let shards = Shard::all().map(|_| ShardState::default()).collect();
        Self { maps: Maps::new(entries), shards, origin }
    }

    /// The session of a token, with its user.
    pub(super) fn session(&self, shard: Shard, digest: &Digest) -> Option<CachedValue<UserSession>> {
        let CachedCredential::Session(session) = self.maps.credentials.get(digest)? else { return None };
        let user = self.maps.users.get(&session.user)?;
        self.cached(shard, [session.read, user.read], Some(UserSession { session, user }))
    }

    /// The key of a secret, or of its own id, with its owner.
    pub(super) fn key(&self, shard: Shard, digest: &Digest) -> Option<CachedValue<UserKey>> {
        let CachedCredential::ApiKey(id) = self.maps.credentials.get(digest)? else { return None };
        let key = self.maps.keys.get(&id)?;
        let user = self.maps.users.get(&key.key.user)?;
        self.cached(shard, [key.read, user.read], Some(UserKey { key, user }))
    }

    /// The user of an identity.
    pub(super) fn identity(&self, shard: Shard, digest: &Digest) -> Option<CachedValue<Arc<str>>> {
        let CachedIdentity { user, read } = self.maps.identities.get(digest)?;
        self.cached(shard, [read], user)
    }

    pub(super) fn user(&self, shard: Shard, id: &str) -> Option<CachedValue<Arc<CachedUser>>> {
        let user = self.maps.users.get(id)?;
        self.cached(shard, [user.read], Some(user))
    }

    /// A value made of entries that were read at these times, if no flush has dropped any of them.
    fn cached<T, const N: usize>(&self, shard: Shard, read: [ReadTime; N], value: Option<T>) -> Option<CachedValue<T>> {
        let flushes = self.flushes(shard);
        if read.iter().any(|read| read.flushes != flushes) {
            return None;
        }
        let oldest = read.iter().map(|read| read.at).min()?;
        let confirmed = self.consistent_at(shard).map_or(oldest, |checked| checked.max(oldest));
        Some(CachedValue { value, confirmed })
    }

    /// True if a recent read found no such credential.
    pub(super) fn is_known_unknown(&self, digest: &Digest, now: Instant) -> bool {
        self.maps.unknown.get(digest).is_some_and(|since| now.duration_since(since) <= CONSISTENCY_BOUND)
    }

    /// Records the state of a shard before a read.
    pub(super) fn begin_read(&self, shard: Shard, now: Instant) -> ReadStart {
        let revision = self.chain(shard).revision();
        ReadStart { shard, revision, time: ReadTime { at: now, flushes: self.flushes(shard) } }
    }

    fn flushes(&self, shard: Shard) -> u64 {
        self.shards[shard.index()].flushes.load(Ordering::Acquire)
    }

    /// Inserts the result of a read, unless the revision of the shard has changed since the read began.
    pub(super) fn insert(&self, start: ReadStart, insert: impl FnOnce(&Maps)) {
        let chain = self.chain(start.shard);
        if chain.revision() == start.revision {
            insert(&self.maps);
        }
    }

    /// Drops entries that a commit of this pod has made stale, before its invalidation message arrives.
    pub(super) fn invalidate(&self, shard: Shard, stale: &[StaleEntry]) {
        let mut chain = self.chain(shard);
        chain.invalidate_reads();
        self.maps.invalidate(stale);
    }

    /// Runs bookkeeping of a shard while nothing is inserted into it.
    pub(super) fn with_chain<T>(&self, shard: Shard, run: impl FnOnce(&mut Chain, &ShardView<'_>) -> T) -> T {
        let mut chain = self.chain(shard);
        run(&mut chain, &ShardView { cache: self, shard })
    }

    /// Records that a read of a shard failed.
    pub(super) fn record_failure(&self, shard: Shard, now: Instant) {
        self.shards[shard.index()].failed.store(self.stamp(now), Ordering::Relaxed);
    }

    /// True if a read of a shard failed so recently that another is not tried yet.
    pub(super) fn has_failed_recently(&self, shard: Shard, now: Instant) -> bool {
        let failed = self.instant(self.shards[shard.index()].failed.load(Ordering::Relaxed));
        failed.is_some_and(|failed| now.saturating_duration_since(failed) < RETRY_AFTER_FAILURE)
    }

    pub(super) fn report(&self, metrics: &Metrics, now: Instant) {
        for map in CacheMap::ALL {
            let entries = match map {
                CacheMap::Credentials => self.maps.credentials.entry_count(),
                CacheMap::Identities => self.maps.identities.entry_count(),
                CacheMap::Keys => self.maps.keys.entry_count(),
                CacheMap::Users => self.maps.users.entry_count(),
                CacheMap::Unknown => self.maps.unknown.entry_count(),
            };
            metrics.cache_entries(*map, entries);
        }
        let oldest = Shard::all().map(|shard| self.consistent_at(shard).unwrap_or(self.origin)).min().unwrap_or(self.origin);
        metrics.cache_check_age(now.saturating_duration_since(oldest));
    }

    fn consistent_at(&self, shard: Shard) -> Option<Instant> {
        self.instant(self.shards[shard.index()].consistent_at.load(Ordering::Acquire))
    }

    fn chain(&self, shard: Shard) -> MutexGuard<'_, Chain> {
        self.shards[shard.index()].chain.lock().expect("no code that holds this lock panics")
    }

    fn stamp(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.origin).as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    fn instant(&self, stamp: u64) -> Option<Instant> {
        stamp.checked_sub(1).map(|millis| self.origin + Duration::from_millis(millis))
    }
}

/// The changes that the bookkeeping of one shard can make to the cache.
pub(super) struct ShardView<'a> {
    cache: &'a Cache,
    shard: Shard,
}

impl ShardView<'_> {
    /// Records a successful consistency check that began at `since`.
    pub(super) fn confirm(&self, since: Instant) {
        self.cache.shards[self.shard.index()].consistent_at.fetch_max(self.cache.stamp(since), Ordering::AcqRel);
    }

    pub(super) fn flush(&self) {
        self.cache.shards[self.shard.index()].flushes.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn invalidate(&self, stale: &[StaleEntry]) {
        self.cache.maps.invalidate(stale);
    }
}

impl Maps {
    fn new(entries: u64) -> Self {
        Self {
            credentials: Map::builder().max_capacity(entries).time_to_idle(KEPT_UNUSED).build(),
            identities: Map::builder().max_capacity(entries).time_to_idle(KEPT_UNUSED).build(),
            keys: Map::builder().max_capacity(entries).time_to_idle(KEPT_UNUSED).build(),
            users: Map::builder().max_capacity(entries).time_to_idle(KEPT_UNUSED).build(),
            unknown: Map::builder().max_capacity(UNKNOWN_KEPT).time_to_live(CONSISTENCY_BOUND).build(),
        }
    }

    /// Inserts a session and its user, or that there is no such session.
    pub(super) fn insert_session(&self, digest: Digest, found: Option<&UserSession>, read: ReadTime) {
        let Some(UserSession { session, user }) = found else { return self.insert_unknown(digest, read.at) };
        self.insert_user(user);
        self.insert_credential(digest, CachedCredential::Session(Arc::clone(session)));
    }

    /// Inserts a key and its owner, or that there is no such key.
    pub(super) fn insert_key(&self, digest: Digest, found: Option<&UserKey>, read: ReadTime) {
        let Some(UserKey { key, user }) = found else { return self.insert_unknown(digest, read.at) };
        self.insert_user(user);
        self.keys.insert(key.key.id, Arc::clone(key));
        self.insert_credential(digest, CachedCredential::ApiKey(key.key.id));
    }

    pub(super) fn insert_identity(&self, digest: Digest, user: Option<Arc<str>>, read: ReadTime) {
        self.identities.insert(digest, CachedIdentity { user, read });
    }

    pub(super) fn insert_user(&self, user: &Arc<CachedUser>) {
        self.users.insert(user.id.clone(), Arc::clone(user));
    }

    fn insert_credential(&self, digest: Digest, credential: CachedCredential) {
        self.unknown.invalidate(&digest);
        self.credentials.insert(digest, credential);
    }

    fn insert_unknown(&self, digest: Digest, since: Instant) {
        self.credentials.invalidate(&digest);
        self.unknown.insert(digest, since);
    }

    fn invalidate(&self, stale: &[StaleEntry]) {
        for entry in stale {
            match entry {
                StaleEntry::Credential(digest) => {
                    let digest = Digest::from_bytes(*digest);
                    self.credentials.invalidate(&digest);
                    self.identities.invalidate(&digest);
                }
                StaleEntry::User(id) => self.users.invalidate(id),
                StaleEntry::Key(id) => {
                    if let Some(id) = KeyId::parse(id) {
                        self.keys.invalidate(&id);
                    }
                }
            }
        }
    }
}
