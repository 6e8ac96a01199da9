//! Typed, sealed records over a [`Store`]: what is read back is opened, what is written is sealed.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::future::try_join_all;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Commit, Conflict, Error, Expected, Index, Key, Kind, Notice, Sequence, Shard, Store, Ttl, Urgency, Version, Versioned,
};
use crate::secret::{Digest, KeyRing, OpenError, SealPurpose};

/// What is kept in the store under one kind of key.
///
/// A record's fields may grow: readers ignore what they do not know and default what is missing, so that
/// an old and a new version of the binary can run side by side.
pub trait Record: Serialize + DeserializeOwned {
    const KIND: Kind;
}

/// A record as it was read, with the version that a commit may expect.
#[derive(Debug, Clone)]
pub struct Stored<T> {
    pub value: T,
    pub version: Version,
}

/// What became of a record that is to be sealed by the first key of the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resealed {
    Anew,
    /// The first key had sealed it.
    Before,
    /// It has been deleted, or its life has ended.
    Gone,
}

/// A cache entry that a commit makes stale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StaleEntry {
    /// A credential, by its digest.
    Credential([u8; 32]),
    /// A user's record, by the user's id.
    User(String),
    /// A key, by its id.
    Key(String),
}

/// The store and the key ring that seals for it.
#[derive(Clone)]
pub struct Records {
    store: Arc<dyn Store>,
    ring: Arc<KeyRing>,
    /// Part of what records are bound to, so that two deployments' records are not interchangeable.
    prefix: Arc<str>,
    /// Shared by all clones, so that every writer's commits reach the cache.
    invalidate: Arc<OnceLock<Box<Invalidate>>>,
}

type Invalidate = dyn Fn(Shard, &[StaleEntry]) + Send + Sync;

/// A commit in the making.
pub struct Change<'a> {
    records: &'a Records,
    commit: Commit,
    stale: Vec<StaleEntry>,
}

/// Between the tries of a patient read.
const PAUSES: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(400)];

#[derive(Serialize, Deserialize)]
struct NoticeBody {
    dropped: Vec<StaleEntry>,
}

/// Invalidates the local cache when it is dropped: also when the caller stops waiting for a commit that may be written.
struct Invalidation<'a> {
    records: &'a Records,
    shard: Shard,
    stale: Vec<StaleEntry>,
}

impl Records {
    pub fn new(store: Arc<dyn Store>, ring: Arc<KeyRing>, prefix: &str) -> Self {
        Self { store, ring, prefix: prefix.into(), invalidate: Arc::default() }
    }

    /// Registers the local cache. Every commit that may have been written reports the entries that it made stale before it
    /// returns; the invalidation message tells the other pods.
    pub fn on_commit(&self, invalidate: impl Fn(Shard, &[StaleEntry]) + Send + Sync + 'static) {
        let is_first = self.invalidate.set(Box::new(invalidate)).is_ok();
        assert!(is_first, "these records have a cache already");
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    pub async fn get<T: Record>(&self, key: &Key) -> Result<Option<Stored<T>>, Error> {
        debug_assert_eq!(key.kind, T::KIND, "a key of another kind");
        let Some(found) = self.store.get(key).await? else { return Ok(None) };
        let unreadable = |reason: String| Error::Unreadable { kind: T::KIND, reason };
        let plain = self
            .ring
            .open(SealPurpose::Record, &self.associated(key), &found.sealed)
            .map_err(|error| unreadable(error.to_string()))?;
        // A parser's message may quote the value: only its category goes on.
        let value =
            serde_json::from_slice(&plain).map_err(|error| unreadable(format!("{:?} error in its JSON", error.classify())))?;
        Ok(Some(Stored { value, version: found.version }))
    }

    /// As [`Records::get`], with a commit's patience. A check is better refused at once than late; a
    /// person who is signing in is better let wait, since an authorization code can't be redeemed twice.
    pub async fn get_patiently<T: Record>(&self, key: &Key) -> Result<Option<Stored<T>>, Error> {
        for pause in PAUSES {
            match self.get(key).await {
                Err(Error::Unavailable(_)) => tokio::time::sleep(pause).await,
                read => return read,
            }
        }
        self.get(key).await
    }

    /// Seals a record with the first key of the ring, if another one did; what it says and how long it lives stay.
    pub async fn reseal(&self, key: &Key) -> Result<Resealed, Error> {
        for pause in PAUSES {
            let Some(found) = self.store.get(key).await? else { return Ok(Resealed::Gone) };
            let resealed = self.ring.reseal(SealPurpose::Record, &self.associated(key), &found.sealed);
            let resealed = resealed.map_err(|error| Error::Unreadable { kind: key.kind, reason: error.to_string() })?;
            let Some(sealed) = resealed else { return Ok(Resealed::Before) };
            let mut change = self.change(key.shard);
            change.commit.reseal.push((key.clone(), Versioned { sealed, version: found.version }));
            if let Ok(Ok(_)) = change.commit().await {
                return Ok(Resealed::Anew);
            }
            // Somebody has written it meanwhile, or nobody knows whether it was written: it is looked at again.
            tokio::time::sleep(pause).await;
        }
        Err(Error::Unavailable("it was changed, or could not be written, several times in a row".to_owned()))
    }

    /// At most `limit` members after `after` of the indices that bear one name in every shard, in the order of their ids.
    pub async fn list_everywhere(&self, name: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>, Error> {
        let lists = Shard::all().map(async |shard| self.store.list(&Index::new(shard, name), after, limit).await);
        let mut all = try_join_all(lists).await?.concat();
        all.sort_unstable();
        all.truncate(limit);
        Ok(all)
    }

    pub fn change(&self, shard: Shard) -> Change<'_> {
        Change { records: self, commit: Commit::new(shard), stale: Vec::new() }
    }

    /// What a notice says, if one of our pods sealed it for just this shard and commit.
    pub fn open_notice(&self, notice: &Notice) -> Result<Vec<StaleEntry>, OpenError> {
        if notice.body.is_empty() {
            return Err(OpenError::Tampered);
        }
        let associated = self.notice_associated(notice.shard, &notice.sequence.token);
        let plain = self.ring.open(SealPurpose::Bus, &associated, &notice.body)?;
        let body: NoticeBody = serde_json::from_slice(&plain).map_err(|_| OpenError::Tampered)?;
        Ok(body.dropped)
    }

    fn associated(&self, key: &Key) -> Vec<u8> {
        format!("{}\0{}{}", key.kind.label(), self.prefix, key.name()).into_bytes()
    }

    fn notice_associated(&self, shard: Shard, token: &super::Token) -> Vec<u8> {
        format!("{}\0{}\0{token}", self.prefix, shard.number()).into_bytes()
    }
}

impl Change<'_> {
    pub fn expect_absent(mut self, key: &Key) -> Self {
        self.commit.expect.push((key.clone(), Expected::Absent));
        self
    }

    pub fn expect_version(mut self, key: &Key, version: Version) -> Self {
        self.commit.expect.push((key.clone(), Expected::Version(version)));
        self
    }

    pub fn put<T: Record>(mut self, key: &Key, value: &T, ttl: Ttl) -> Self {
        debug_assert_eq!(key.kind, T::KIND, "a key of another kind");
        let plain = serde_json::to_vec(value).expect("records are plain data: strings, numbers, lists and maps with text keys");
        let sealed = self.records.ring.seal(SealPurpose::Record, &self.records.associated(key), &plain);
        self.commit.put.push((key.clone(), sealed, ttl));
        self
    }

    pub fn delete(mut self, key: &Key) -> Self {
        self.commit.delete.push(key.clone());
        self
    }

    pub fn index_add(mut self, index: &Index, id: &str, ttl: Ttl) -> Self {
        self.commit.index_add.push((index.clone(), id.to_owned(), ttl));
        self
    }

    pub fn index_remove(mut self, index: &Index, id: &str) -> Self {
        self.commit.index_remove.push((index.clone(), id.to_owned()));
        self
    }

    /// Has every pod drop what it remembers of a credential, and waits for a replica to have heard.
    pub fn revoke_credential(mut self, digest: &Digest) -> Self {
        self.commit.urgency = Urgency::Revocation;
        self.drop_credential(digest)
    }

    /// Has every pod read a credential again, or an identity, which is known by its digest too.
    pub fn drop_credential(mut self, digest: &Digest) -> Self {
        self.stale.push(StaleEntry::Credential(*digest.as_bytes()));
        self
    }

    /// Has every pod read a user again.
    pub fn drop_user(mut self, id: &str) -> Self {
        self.stale.push(StaleEntry::User(id.to_owned()));
        self
    }

    /// The same, and waits for a replica to have heard: something was taken away.
    pub fn revoke_user(mut self, id: &str) -> Self {
        self.commit.urgency = Urgency::Revocation;
        self.drop_user(id)
    }

    /// Has every pod read a key again, and waits for a replica to have heard: something was taken away.
    pub fn revoke_key(mut self, id: &str) -> Self {
        self.stale.push(StaleEntry::Key(id.to_owned()));
        self.commit.urgency = Urgency::Revocation;
        self
    }

    pub async fn commit(mut self) -> Result<Result<Sequence, Conflict>, Error> {
        let body = NoticeBody { dropped: self.stale };
        let plain = serde_json::to_vec(&body).expect("a notice is plain data");
        let associated = self.records.notice_associated(self.commit.shard, &self.commit.token);
        self.commit.notice = self.records.ring.seal(SealPurpose::Bus, &associated, &plain);
        let mut invalidation = Invalidation { records: self.records, shard: self.commit.shard, stale: body.dropped };
        let outcome = self.records.store.commit(&self.commit).await;
        if matches!(outcome, Ok(Err(Conflict)) | Err(Error::Unavailable(_))) {
            // Nothing was written, and in an outage the cache is all that there is.
            invalidation.stale.clear();
        }
        outcome
    }
}

impl Drop for Invalidation<'_> {
    fn drop(&mut self) {
        if let (false, Some(invalidate)) = (self.stale.is_empty(), self.records.invalidate.get()) {
            invalidate(self.shard, &self.stale);
        }
    }
}
