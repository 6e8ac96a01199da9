//! Reads and writes typed records in a [`Store`], and encrypts their values.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::future::try_join_all;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Capacity, Commit, CommitIntent, Conflict, EncryptedRecord, Error, Index, InvalidationMessage, Precondition, RecordKey,
    RecordKind, Replication, Sequence, SequenceEffect, Shard, Store, Ttl, Version,
};
use crate::secret::{DecryptionError, Digest, EncryptionPurpose, KeyRing};

/// The value that the store keeps under one kind of key.
///
/// Readers ignore unknown fields and use a default for missing ones, so that an old and a new version of the binary can run
/// side by side.
pub trait Record: Serialize + DeserializeOwned {
    const KIND: RecordKind;
}

/// A record as it was read, with the version for a commit's precondition.
#[derive(Debug, Clone)]
pub struct StoredRecord<T> {
    pub value: T,
    pub version: Version,
}

/// The result of re-encrypting a record with the primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReencryptionOutcome {
    Reencrypted,
    /// It was encrypted with the primary key already.
    Unchanged,
    /// It was deleted or has expired.
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

/// The store and the key ring that encrypts its values.
#[derive(Clone)]
pub struct Records {
    store: Arc<dyn Store>,
    ring: Arc<KeyRing>,
    /// Part of the associated data, so that records of two deployments are not interchangeable.
    prefix: Arc<str>,
    /// Shared by all clones, so that every writer's commits reach the cache.
    invalidation_hook: Arc<OnceLock<Box<InvalidationHook>>>,
}

type InvalidationHook = dyn Fn(Shard, &[StaleEntry]) + Send + Sync;

/// A commit that is being built.
///
/// `drop_*` tells every pod that a cache entry is stale. `revoke_*` also declares that the commit revokes access: it waits for
/// a replica, and is not refused when the store is out of memory. A commit that grants access must not use them.
pub struct Change<'a> {
    records: &'a Records,
    commit: Commit,
    stale: Vec<StaleEntry>,
}

/// Pauses between the attempts of an operation that waits for the store.
const PAUSES: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(400)];

#[derive(Serialize, Deserialize)]
struct MessageBody {
    #[serde(rename = "dropped")]
    stale: Vec<StaleEntry>,
}

/// Invalidates the local cache when it is dropped: also when the caller stops waiting for a commit that may be written.
struct Invalidation<'a> {
    records: &'a Records,
    shard: Shard,
    stale: Vec<StaleEntry>,
}

/// Repeats an attempt that has written nothing because the store is unavailable.
pub async fn retry_while_unavailable<T>(mut attempt: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
    for pause in PAUSES {
        match attempt().await {
            Err(Error::Unavailable(_)) => tokio::time::sleep(pause).await,
            outcome => return outcome,
        }
    }
    attempt().await
}

impl Records {
    /// The number of bytes that an unsequenced record needs in the store in addition to its JSON.
    pub const UNSEQUENCED_OVERHEAD: usize = KeyRing::OVERHEAD + "0:0123456789abcdef:".len();

    pub fn new(store: Arc<dyn Store>, ring: Arc<KeyRing>, prefix: &str) -> Self {
        Self { store, ring, prefix: prefix.into(), invalidation_hook: Arc::default() }
    }

    /// Registers the local cache. Every commit that may have been written reports the entries that it made stale before it
    /// returns; the invalidation message tells the other pods.
    pub fn on_commit(&self, hook: impl Fn(Shard, &[StaleEntry]) + Send + Sync + 'static) {
        let is_first = self.invalidation_hook.set(Box::new(hook)).is_ok();
        assert!(is_first, "a cache is already registered");
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    pub async fn get<T: Record>(&self, key: &RecordKey) -> Result<Option<StoredRecord<T>>, Error> {
        debug_assert_eq!(key.kind, T::KIND, "a key of another kind");
        let Some(found) = self.store.get(key).await? else { return Ok(None) };
        let unreadable = |reason: String| Error::Unreadable { kind: T::KIND, reason };
        let plain = self
            .ring
            .decrypt(EncryptionPurpose::Record, &self.associated(key), &found.ciphertext)
            .map_err(|error| unreadable(error.to_string()))?;
        // The parser's message may quote the value, so only its category is reported.
        let value =
            serde_json::from_slice(&plain).map_err(|error| unreadable(format!("{:?} error in its JSON", error.classify())))?;
        Ok(Some(StoredRecord { value, version: found.version }))
    }

    /// Reads a record as [`Records::get`] does, but retries while the store is unavailable. A check should fail at once; a
    /// sign-in should wait, since an authorization code cannot be redeemed twice.
    pub async fn get_patiently<T: Record>(&self, key: &RecordKey) -> Result<Option<StoredRecord<T>>, Error> {
        retry_while_unavailable(async || self.get(key).await).await
    }

    /// Re-encrypts a record with the primary key if another key encrypted it. Its content, version and lifetime stay the same.
    pub async fn reencrypt(&self, key: &RecordKey) -> Result<ReencryptionOutcome, Error> {
        for pause in PAUSES {
            let Some(found) = self.store.get(key).await? else { return Ok(ReencryptionOutcome::Gone) };
            let reencrypted = self.ring.reencrypt(EncryptionPurpose::Record, &self.associated(key), &found.ciphertext);
            let reencrypted = reencrypted.map_err(|error| Error::Unreadable { kind: key.kind, reason: error.to_string() })?;
            let Some(ciphertext) = reencrypted else { return Ok(ReencryptionOutcome::Unchanged) };
            let mut change = self.change(key.shard);
            change.commit.reencrypt.push((key.clone(), EncryptedRecord { ciphertext, version: found.version }));
            if let Ok(Ok(_)) = change.commit().await {
                return Ok(ReencryptionOutcome::Reencrypted);
            }
            // Another writer has changed it, or the outcome is unknown: read it again.
            tokio::time::sleep(pause).await;
        }
        Err(Error::Unavailable("a record could not be re-encrypted in several attempts".to_owned()))
    }

    /// Returns at most `limit` members after `after` of the index of this name in every shard, in the order of their ids.
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

    /// Starts a commit of records that no pod caches. It neither advances the shard's sequence nor sends a message.
    pub fn unsequenced_change(&self, shard: Shard) -> Change<'_> {
        let commit = Commit { sequencing: SequenceEffect::Unsequenced, ..Commit::new(shard) };
        Change { records: self, commit, stale: Vec::new() }
    }

    /// Decrypts an invalidation message. Fails unless a pod of this deployment encrypted it for this shard and commit.
    pub fn decrypt_invalidation_message(&self, message: &InvalidationMessage) -> Result<Vec<StaleEntry>, DecryptionError> {
        if message.body.is_empty() {
            return Err(DecryptionError::Tampered);
        }
        let associated = self.message_associated(message.shard, &message.sequence.token);
        let plain = self.ring.decrypt(EncryptionPurpose::Invalidation, &associated, &message.body)?;
        let body: MessageBody = serde_json::from_slice(&plain).map_err(|_| DecryptionError::Tampered)?;
        Ok(body.stale)
    }

    fn associated(&self, key: &RecordKey) -> Vec<u8> {
        format!("{}\0{}{}", key.kind.label(), self.prefix, key.name()).into_bytes()
    }

    fn message_associated(&self, shard: Shard, token: &super::CommitToken) -> Vec<u8> {
        format!("{}\0{}\0{token}", self.prefix, shard.number()).into_bytes()
    }
}

impl Change<'_> {
    pub fn expect_absent(mut self, key: &RecordKey) -> Self {
        self.commit.preconditions.push((key.clone(), Precondition::Absent));
        self
    }

    pub fn expect_version(mut self, key: &RecordKey, version: Version) -> Self {
        self.commit.preconditions.push((key.clone(), Precondition::Version(version)));
        self
    }

    pub fn put<T: Record>(mut self, key: &RecordKey, value: &T, ttl: Ttl) -> Self {
        debug_assert_eq!(key.kind, T::KIND, "a key of another kind");
        let plain = serde_json::to_vec(value).expect("records are plain data: strings, numbers, lists and maps with text keys");
        let ciphertext = self.records.ring.encrypt(EncryptionPurpose::Record, &self.records.associated(key), &plain);
        self.commit.put.push((key.clone(), ciphertext, ttl));
        self
    }

    pub fn delete(mut self, key: &RecordKey) -> Self {
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

    /// Counts the change's record; without room for it, the commit fails with [`Error::Full`].
    pub fn within(mut self, capacity: Capacity) -> Self {
        self.commit.capacity = Some(capacity);
        self
    }

    /// Removes a record from a counter that it has entered.
    pub fn release(mut self, counter: RecordKey) -> Self {
        self.commit.released = Some(counter);
        self
    }

    /// Declares that the change revokes access.
    pub fn as_revocation(mut self) -> Self {
        self.commit.intent = CommitIntent::Revocation;
        self.replicated()
    }

    /// Waits for a replica to receive the commit, so that a failover does not undo it.
    pub fn replicated(mut self) -> Self {
        self.commit.replication = Replication::Awaited;
        self
    }

    /// Invalidates a credential, or an identity, on every pod.
    pub fn drop_credential(mut self, digest: &Digest) -> Self {
        self.stale.push(StaleEntry::Credential(*digest.as_bytes()));
        self
    }

    /// Invalidates a user on every pod.
    pub fn drop_user(mut self, id: &str) -> Self {
        self.stale.push(StaleEntry::User(id.to_owned()));
        self
    }

    /// Invalidates a key on every pod.
    pub fn drop_key(mut self, id: &str) -> Self {
        self.stale.push(StaleEntry::Key(id.to_owned()));
        self
    }

    /// Revokes a credential on every pod.
    pub fn revoke_credential(self, digest: &Digest) -> Self {
        self.drop_credential(digest).as_revocation()
    }

    /// Revokes the access of a user on every pod.
    pub fn revoke_user(self, id: &str) -> Self {
        self.drop_user(id).as_revocation()
    }

    /// Revokes a key on every pod.
    pub fn revoke_key(self, id: &str) -> Self {
        self.drop_key(id).as_revocation()
    }

    pub async fn commit(self) -> Result<Result<Sequence, Conflict>, Error> {
        match self.commit.sequencing {
            SequenceEffect::Sequenced => self.commit_and_invalidate().await,
            SequenceEffect::Unsequenced => {
                assert!(self.stale.is_empty(), "an unsequenced commit would hide a stale cache entry");
                self.records.store.commit(&self.commit).await
            }
        }
    }

    async fn commit_and_invalidate(mut self) -> Result<Result<Sequence, Conflict>, Error> {
        let body = MessageBody { stale: self.stale };
        let plain = serde_json::to_vec(&body).expect("an invalidation message is plain data");
        let associated = self.records.message_associated(self.commit.shard, &self.commit.token);
        self.commit.invalidation = self.records.ring.encrypt(EncryptionPurpose::Invalidation, &associated, &plain);
        let mut invalidation = Invalidation { records: self.records, shard: self.commit.shard, stale: body.stale };
        let outcome = self.records.store.commit(&self.commit).await;
        if matches!(outcome, Ok(Err(Conflict)) | Err(Error::Unavailable(_) | Error::Full)) {
            // Nothing was written. In an outage only the cache can answer, so its entries stay.
            invalidation.stale.clear();
        }
        outcome
    }
}

impl Drop for Invalidation<'_> {
    fn drop(&mut self) {
        if let (false, Some(hook)) = (self.stale.is_empty(), self.records.invalidation_hook.get()) {
            hook(self.shard, &self.stale);
        }
    }
}
