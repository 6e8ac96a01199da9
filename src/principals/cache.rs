//! The maps of the cache, and for each shard how far they may be believed.

mod people;

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use moka::sync::Cache as Map;

use super::{
    PROVEN_FOR, UserSession,
    chain::Chain,
    entry::{CachedKey, CachedSession, CachedUser, Holder, UserKey},
};
pub(super) use people::{CachedIdentity, Remembered};

use crate::{
    keys::KeyId,
    metrics::{CacheMap, Metrics},
    secret::Digest,
    store::{Dropped, Shard},
};

/// How long an entry that nobody asks for is kept.
const KEPT_UNUSED: Duration = Duration::from_secs(3600);

/// Credentials that are known to be unknown: few, and for a short time.
const UNKNOWN_KEPT: u64 = 10_000;

/// What a look-up found.
pub(super) enum Found {
    Proven(Holder),
    Unproven(Holder),
    Unknown,
    Nothing,
}

pub(super) struct Cache {
    maps: Maps,
    shards: Vec<ShardState>,
    /// Proofs are kept as milliseconds since then.
    origin: Instant,
}

/// One map for each thing that changes by itself, so that dropping it is one entry; and one for what is
/// known to be unknown.
pub(super) struct Maps {
    credentials: Map<Digest, Credential>,
    /// Which user an issuer and subject are, by their digest.
    identities: Map<Digest, Arc<CachedIdentity>>,
    keys: Map<KeyId, Arc<CachedKey>>,
    users: Map<String, Arc<CachedUser>>,
    unknown: Map<Digest, Instant>,
}

/// What a digest is of. Which key a secret leads to never changes, so that this needs no proof.
#[derive(Clone)]
enum Credential {
    Session(Arc<CachedSession>),
    Key(KeyId),
}

#[derive(Default)]
struct ShardState {
    /// Entries of another generation do not count: a flush is one addition.
    generation: AtomicU64,
    /// When the last proof's round began, in milliseconds since the origin and plus one; 0 is never.
    proven: AtomicU64,
    /// When a read last failed, likewise.
    failed: AtomicU64,
    chain: Mutex<Chain>,
}

impl Cache {
    pub(super) fn new(entries: u64, origin: Instant) -> Self {
        let shards = Shard::all().map(|_| ShardState::default()).collect();
        Self { maps: Maps::new(entries), shards, origin }
    }

    pub(super) fn find(&self, digest: &Digest, now: Instant) -> Found {
        let Some(holder) = self.maps.holder(digest) else { return self.find_unknown(digest, now) };
        let generation = self.generation(holder.shard());
        if holder.generations().iter().any(|entry| *entry != generation) {
            return Found::Nothing;
        }
        if self.unproven_for(&holder, now) <= PROVEN_FOR { Found::Proven(holder) } else { Found::Unproven(holder) }
    }

    /// A digest is in one map or in the other; what is known comes first, since that is what most checks ask for.
    fn find_unknown(&self, digest: &Digest, now: Instant) -> Found {
        match self.maps.unknown.get(digest) {
            Some(since) if now.duration_since(since) <= PROVEN_FOR => Found::Unknown,
            _ => Found::Nothing,
        }
    }

    /// How long ago both entries were last known to be what the store holds.
    pub(super) fn unproven_for(&self, holder: &Holder, now: Instant) -> Duration {
        now.saturating_duration_since(self.proven_since(holder.shard(), holder.read()))
    }

    fn proven_since(&self, shard: Shard, read: Instant) -> Instant {
        self.proven(shard).map_or(read, |proven| proven.max(read))
    }

    pub(super) fn generation(&self, shard: Shard) -> u64 {
        self.shards[shard.index()].generation.load(Ordering::Acquire)
    }

    pub(super) fn epoch(&self, shard: Shard) -> u64 {
        self.chain(shard).epoch()
    }

    /// Inserts what was read, unless anything has happened in the shard since the read began.
    pub(super) fn insert(&self, shard: Shard, epoch: u64, insert: impl FnOnce(&Maps)) {
        let chain = self.chain(shard);
        if chain.epoch() == epoch {
            insert(&self.maps);
        }
    }

    /// Drops entries for a reason that no notice has brought yet.
    pub(super) fn forget(&self, shard: Shard, forget: impl FnOnce(&Maps)) {
        let mut chain = self.chain(shard);
        chain.outdate();
        forget(&self.maps);
    }

    /// Runs bookkeeping of a shard while nothing is inserted into it.
    pub(super) fn with_chain<T>(&self, shard: Shard, run: impl FnOnce(&mut Chain, &ShardView<'_>) -> T) -> T {
        let mut chain = self.chain(shard);
        run(&mut chain, &ShardView { cache: self, shard })
    }

    pub(super) fn failed(&self, shard: Shard, now: Instant) {
        self.shards[shard.index()].failed.store(self.stamp(now), Ordering::Relaxed);
    }

    /// Whether a read of this shard failed so lately that another would tell nothing new.
    pub(super) fn rests(&self, shard: Shard, now: Instant, rest: Duration) -> bool {
        let failed = self.instant(self.shards[shard.index()].failed.load(Ordering::Relaxed));
        failed.is_some_and(|failed| now.saturating_duration_since(failed) < rest)
    }

    pub(super) fn report(&self, metrics: &Metrics, now: Instant) {
        metrics.cache_entries(CacheMap::Credentials, self.maps.credentials.entry_count());
        metrics.cache_entries(CacheMap::Users, self.maps.users.entry_count());
        metrics.cache_entries(CacheMap::Unknown, self.maps.unknown.entry_count());
        let oldest = Shard::all().map(|shard| self.proven(shard).unwrap_or(self.origin)).min().unwrap_or(self.origin);
        metrics.cache_proof_age(now.saturating_duration_since(oldest));
    }

    fn proven(&self, shard: Shard) -> Option<Instant> {
        self.instant(self.shards[shard.index()].proven.load(Ordering::Acquire))
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

/// What the bookkeeping of one shard may do to the cache.
pub(super) struct ShardView<'a> {
    cache: &'a Cache,
    shard: Shard,
}

impl ShardView<'_> {
    pub(super) fn prove(&self, since: Instant) {
        self.cache.shards[self.shard.index()].proven.fetch_max(self.cache.stamp(since), Ordering::AcqRel);
    }

    pub(super) fn flush(&self) {
        self.cache.shards[self.shard.index()].generation.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn drop_named(&self, dropped: &[Dropped]) {
        for named in dropped {
            match named {
                Dropped::Credential(digest) => self.cache.maps.forget_credential(&Digest::from_bytes(*digest)),
                Dropped::User(id) => self.cache.maps.users.invalidate(id),
                Dropped::Key(id) => {
                    if let Some(id) = KeyId::parse(id) {
                        self.cache.maps.forget_key(id);
                    }
                }
            }
        }
    }
}

impl Maps {
    fn new(entries: u64) -> Self {
        Self {
            credentials: Map::builder().max_capacity(entries).time_to_idle(KEPT_UNUSED).build(),
            identities: Map::builder().max_capacity(entries).time_to_idle(KEPT_UNUSED).build(),
            keys: Map::builder().max_capacity(entries).time_to_idle(KEPT_UNUSED).build(),
            users: Map::builder().max_capacity(entries).time_to_idle(KEPT_UNUSED).build(),
            unknown: Map::builder().max_capacity(UNKNOWN_KEPT).time_to_live(PROVEN_FOR).build(),
        }
    }

    /// Entries are cloned references: nothing is allocated.
    fn holder(&self, digest: &Digest) -> Option<Holder> {
        match self.credentials.get(digest)? {
            Credential::Session(session) => {
                let user = self.users.get(&session.user)?;
                Some(Holder::Session(UserSession { session, user }))
            }
            Credential::Key(id) => {
                let key = self.keys.get(&id)?;
                let user = self.users.get(&key.key.user)?;
                Some(Holder::Key(UserKey { key, user }))
            }
        }
    }

    pub(super) fn insert(&self, digest: Digest, found: &Holder) {
        self.unknown.invalidate(&digest);
        let user = found.user();
        self.users.insert(user.id.clone(), Arc::clone(user));
        let credential = match found {
            Holder::Session(signed_in) => Credential::Session(Arc::clone(&signed_in.session)),
            Holder::Key(UserKey { key, .. }) => {
                self.keys.insert(key.key.id, Arc::clone(key));
                Credential::Key(key.key.id)
            }
        };
        self.credentials.insert(digest, credential);
    }

    pub(super) fn insert_unknown(&self, digest: Digest, since: Instant) {
        self.credentials.invalidate(&digest);
        self.unknown.insert(digest, since);
    }

    pub(super) fn forget_credential(&self, digest: &Digest) {
        self.credentials.invalidate(digest);
        self.identities.invalidate(digest);
    }

    pub(super) fn forget_user(&self, id: &str) {
        self.users.invalidate(id);
    }

    pub(super) fn forget_key(&self, id: KeyId) {
        self.keys.invalidate(&id);
    }
}
