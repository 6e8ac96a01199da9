//! Defines commits: everything that changes together in one shard, and the conditions for it.

use std::time::Duration;

use uuid::Uuid;

use super::{CommitToken, EncryptedRecord, Index, RecordKey, Sequence, Shard, Version};
use crate::secret::random_bytes;

/// A condition on one record that must hold for a commit to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    Absent,
    Version(Version),
}

/// The lifetime of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    Forever,
    For(Duration),
}

/// The effect of a commit on caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SequenceEffect {
    /// Advances the shard's sequence and publishes an invalidation message.
    Sequenced,
    /// Leaves the sequence unchanged and sends no message, because no pod caches these records. The outcome of the operation is
    /// not stored: a retry finds its own token in the first record that it puts. If that record was replaced, the retry is a
    /// conflict.
    Unsequenced,
}

/// The purpose of a commit. It determines whether the commit is refused when the store is out of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitIntent {
    /// Grants or changes something. It is refused when the store is out of memory.
    Ordinary,
    /// Revokes access. It is never refused for lack of memory.
    Revocation,
}

/// The replication that the caller waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replication {
    Asynchronous,
    /// Waits for a replica for a moment, so that a failover does not undo the commit.
    Awaited,
}

/// A bound on the records of one kind that live in a shard at the same time.
///
/// They are counted by the window of time in which they expire. The counters expire too, so that a record that is never released
/// leaves the count at the end of its lifetime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capacity {
    pub limit: u64,
    /// The counters of all windows in which counted records may expire.
    pub windows: Vec<RecordKey>,
    /// The counter of the window in which the commit's record expires.
    pub entered: RecordKey,
    /// The lifetime of that counter.
    pub ttl: Duration,
}

/// Everything that changes together in one shard.
#[derive(Clone)]
pub struct Commit {
    pub shard: Shard,
    /// A retry with the same id returns the outcome of the first attempt.
    pub operation: Uuid,
    pub token: CommitToken,
    pub sequencing: SequenceEffect,
    pub intent: CommitIntent,
    pub replication: Replication,
    pub preconditions: Vec<(RecordKey, Precondition)>,
    /// Counts the commit's record. Without room for it nothing is written.
    pub capacity: Option<Capacity>,
    /// The counter that a record leaves before it expires.
    pub released: Option<RecordKey>,
    pub put: Vec<(RecordKey, Vec<u8>, Ttl)>,
    /// Re-encrypted values of unchanged records. Each record must exist in this version, and keeps it and its lifetime.
    pub reencrypt: Vec<(RecordKey, EncryptedRecord)>,
    pub delete: Vec<RecordKey>,
    /// An index expires with the member that expires last.
    pub index_add: Vec<(Index, String, Ttl)>,
    pub index_remove: Vec<(Index, String)>,
    /// The encrypted body of the invalidation message; empty if no cache is affected.
    pub invalidation: Vec<u8>,
}

/// A precondition of the commit does not hold; nothing was written.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
#[error("another writer has changed the record")]
pub struct Conflict;

impl Commit {
    pub fn new(shard: Shard) -> Self {
        Self {
            shard,
            operation: Uuid::from_bytes(random_bytes()),
            token: CommitToken::random(),
            sequencing: SequenceEffect::Sequenced,
            intent: CommitIntent::Ordinary,
            replication: Replication::Asynchronous,
            preconditions: Vec::new(),
            capacity: None,
            released: None,
            put: Vec::new(),
            reencrypt: Vec::new(),
            delete: Vec::new(),
            index_add: Vec::new(),
            index_remove: Vec::new(),
            invalidation: Vec::new(),
        }
    }

    /// Returns all preconditions, including the versions of the re-encrypted records.
    pub(super) fn all_preconditions(&self) -> impl Iterator<Item = (&RecordKey, Precondition)> {
        let reencrypted = self.reencrypt.iter().map(|(key, value)| (key, Precondition::Version(value.version)));
        self.preconditions.iter().map(|(key, expected)| (key, *expected)).chain(reencrypted)
    }

    /// Returns the version of the records that an unsequenced commit writes.
    pub(super) fn unsequenced_version(&self) -> Version {
        Sequence::unsequenced(self.token)
    }

    /// Panics unless all keys and indices are in the commit's shard. Redis Cluster rejects any other commit.
    pub(super) fn assert_one_shard(&self) {
        let written = self.put.iter().map(|(key, ..)| key).chain(self.reencrypt.iter().map(|(key, _)| key));
        let counted = self.capacity.iter().flat_map(|capacity| capacity.windows.iter().chain([&capacity.entered]));
        let keys = self.preconditions.iter().map(|(key, _)| key).chain(written).chain(&self.delete);
        let keys = keys.chain(counted).chain(&self.released);
        let added = self.index_add.iter().map(|(index, ..)| index.shard);
        let indices = added.chain(self.index_remove.iter().map(|(index, _)| index.shard));
        let one = keys.map(|key| key.shard).chain(indices).all(|shard| shard == self.shard);
        assert!(one, "a commit spans shards");
    }
}
