//! Stores records in the memory of a single replica. They are lost when the process ends.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::broadcast;
use uuid::Uuid;

use super::{
    Capacity, Commit, Conflict, Cursor, EncryptedRecord, Error, Index, InvalidationMessage, OPERATION_MEMORY, Precondition,
    Quota, QuotaUsage, RecordKey, RecordKind, ScanPage, Sequence, SequenceEffect, Shard, Store, Ttl,
};
use crate::clock::Clock;

const MESSAGES_KEPT: usize = 4096;

pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    inner: Mutex<MemoryState>,
    messages: broadcast::Sender<InvalidationMessage>,
}

struct MemoryState {
    records: HashMap<RecordKey, RecordEntry>,
    indices: HashMap<Index, Members>,
    sequences: [Sequence; Shard::COUNT as usize],
    operations: HashMap<Uuid, Sequence>,
    counters: HashMap<RecordKey, (u64, Timestamp)>,
    /// Entries that expire, by time.
    expiries: BTreeSet<(Timestamp, ExpiryTarget)>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum ExpiryTarget {
    Record(RecordKey),
    Counter(RecordKey),
    Index(Index),
    Operation(Uuid),
}

struct Members {
    ids: BTreeSet<String>,
    /// The expiry of the member that expires last. `None`: never.
    expires: Option<Timestamp>,
}

struct RecordEntry {
    value: EncryptedRecord,
    expires: Option<Timestamp>,
}

impl MemoryStore {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let inner = MemoryState {
            records: HashMap::new(),
            indices: HashMap::new(),
            sequences: [Sequence::default(); Shard::COUNT as usize],
            operations: HashMap::new(),
            counters: HashMap::new(),
            expiries: BTreeSet::new(),
        };
        Self { clock, inner: Mutex::new(inner), messages: broadcast::Sender::new(MESSAGES_KEPT) }
    }

    /// Locks the state and removes expired entries from it.
    fn lock(&self) -> MutexGuard<'_, MemoryState> {
        let mut inner = self.inner.lock().expect("no code that holds this lock panics");
        inner.remove_expired(self.clock.now());
        inner
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &RecordKey) -> Result<Option<EncryptedRecord>, Error> {
        Ok(self.lock().records.get(key).map(|entry| entry.value.clone()))
    }

    async fn commit(&self, commit: &Commit) -> Result<Result<Sequence, Conflict>, Error> {
        commit.assert_one_shard();
        let (mut inner, now) = (self.lock(), self.clock.now());
        if let Some(done) = inner.earlier_outcome(commit) {
            return Ok(Ok(done));
        }
        if !inner.has_met_preconditions(commit) {
            return Ok(Err(Conflict));
        }
        if commit.capacity.as_ref().is_some_and(|capacity| inner.is_full(capacity)) {
            return Err(Error::Full);
        }
        inner.count(commit, now);
        Ok(Ok(match commit.sequencing {
            SequenceEffect::Unsequenced => inner.write(commit, commit.unsequenced_version(), now),
            SequenceEffect::Sequenced => {
                let message = inner.apply(commit, now);
                let sequence = message.sequence;
                // Sent under the lock, so that messages arrive in the order of their numbers. There may be no receiver.
                let _ = self.messages.send(message);
                sequence
            }
        }))
    }

    async fn list(&self, index: &Index, after: Option<&str>, limit: usize) -> Result<Vec<String>, Error> {
        let inner = self.lock();
        let Some(members) = inner.indices.get(index) else { return Ok(Vec::new()) };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(members.ids.range::<str, _>((from, Bound::Unbounded)).take(limit).cloned().collect())
    }

    async fn has_free_memory(&self) -> bool {
        true
    }

    async fn spend(&self, key: &RecordKey, quota: Quota) -> Result<QuotaUsage, Error> {
        let now = self.clock.now();
        let mut inner = self.lock();
        let (count, until) =
            *inner.counters.entry(key.clone()).and_modify(|(count, _)| *count += 1).or_insert((1, now + quota.window));
        inner.expiries.insert((until, ExpiryTarget::Counter(key.clone())));
        Ok(quota.evaluate(count, Duration::try_from(now.until(until).unwrap_or_default()).unwrap_or_default()))
    }

    async fn sequences(&self) -> Vec<Result<Sequence, Error>> {
        self.lock().sequences.iter().copied().map(Ok).collect()
    }

    async fn scan(&self, kind: RecordKind, _: Cursor) -> Result<ScanPage, Error> {
        let keys = self.lock().records.keys().filter(|key| key.kind == kind).cloned().collect();
        Ok(ScanPage { keys, next: None })
    }

    fn invalidation_messages(&self) -> broadcast::Receiver<InvalidationMessage> {
        self.messages.subscribe()
    }

    fn resubscribe(&self) {}

    async fn ready(&self) {}
}

impl MemoryState {
    /// Returns the outcome of an earlier attempt.
    fn earlier_outcome(&self, commit: &Commit) -> Option<Sequence> {
        match commit.sequencing {
            SequenceEffect::Sequenced => self.operations.get(&commit.operation).copied(),
            SequenceEffect::Unsequenced => {
                let first = commit.put.first().and_then(|(key, ..)| self.records.get(key));
                first.map(|entry| entry.value.version).filter(|version| *version == commit.unsequenced_version())
            }
        }
    }

    fn is_full(&self, capacity: &Capacity) -> bool {
        let used: u64 = capacity.windows.iter().filter_map(|window| self.counters.get(window)).map(|(count, _)| count).sum();
        used >= capacity.limit
    }

    /// Adds the commit's record to the counter that it enters, and removes it from the counter that it leaves.
    fn count(&mut self, commit: &Commit, now: Timestamp) {
        if let Some(capacity) = &commit.capacity {
            let new = (1, now + capacity.ttl);
            let (_, until) = *self.counters.entry(capacity.entered.clone()).and_modify(|(count, _)| *count += 1).or_insert(new);
            self.expiries.insert((until, ExpiryTarget::Counter(capacity.entered.clone())));
        }
        if let Some((count, _)) = commit.released.as_ref().and_then(|counter| self.counters.get_mut(counter)) {
            *count = count.saturating_sub(1);
        }
    }

    fn has_met_preconditions(&self, commit: &Commit) -> bool {
        commit.all_preconditions().all(|(key, expected)| {
            let version = self.records.get(key).map(|entry| entry.value.version);
            match expected {
                Precondition::Absent => version.is_none(),
                Precondition::Version(wanted) => version == Some(wanted),
            }
        })
    }

    fn apply(&mut self, commit: &Commit, now: Timestamp) -> InvalidationMessage {
        let previous = self.sequences[commit.shard.index()];
        let sequence = self.write(commit, Sequence { number: previous.number + 1, token: commit.token }, now);
        self.sequences[commit.shard.index()] = sequence;
        self.operations.insert(commit.operation, sequence);
        self.expiries.insert((now + OPERATION_MEMORY, ExpiryTarget::Operation(commit.operation)));
        InvalidationMessage { shard: commit.shard, previous: previous.token, sequence, body: commit.invalidation.clone() }
    }

    /// Writes the records and indices of a commit, and returns their version.
    fn write(&mut self, commit: &Commit, version: Sequence, now: Timestamp) -> Sequence {
        for (key, ciphertext, ttl) in &commit.put {
            self.put(key, EncryptedRecord { ciphertext: ciphertext.clone(), version }, ttl.from(now));
        }
        for (key, value) in &commit.reencrypt {
            let expires = self.records.get(key).and_then(|entry| entry.expires);
            self.put(key, value.clone(), expires);
        }
        for key in &commit.delete {
            self.records.remove(key);
        }
        for (index, id, ttl) in &commit.index_add {
            self.add_member(index, id, ttl.from(now));
        }
        for (index, id) in &commit.index_remove {
            self.remove_member(index, id);
        }
        version
    }

    fn put(&mut self, key: &RecordKey, value: EncryptedRecord, expires: Option<Timestamp>) {
        let old = self.records.insert(key.clone(), RecordEntry { value, expires });
        if let Some(expires) = old.and_then(|entry| entry.expires) {
            self.expiries.remove(&(expires, ExpiryTarget::Record(key.clone())));
        }
        if let Some(expires) = expires {
            self.expiries.insert((expires, ExpiryTarget::Record(key.clone())));
        }
    }

    fn add_member(&mut self, index: &Index, id: &str, expires: Option<Timestamp>) {
        let new = Members { ids: BTreeSet::new(), expires };
        let members = self.indices.entry(index.clone()).or_insert(new);
        members.ids.insert(id.to_owned());
        members.expires = members.expires.zip(expires).map(|(known, new)| known.max(new));
        if let Some(expires) = members.expires {
            self.expiries.insert((expires, ExpiryTarget::Index(index.clone())));
        }
    }

    fn remove_member(&mut self, index: &Index, id: &str) {
        if let Some(members) = self.indices.get_mut(index) {
            members.ids.remove(id);
            if members.ids.is_empty() {
                self.indices.remove(index);
            }
        }
    }

    fn remove_expired(&mut self, now: Timestamp) {
        while self.expiries.first().is_some_and(|(at, _)| *at <= now) {
            let Some((at, expiring)) = self.expiries.pop_first() else { return };
            match expiring {
                // A record that was deleted and written again has a different expiry, or none.
                ExpiryTarget::Record(key) if self.records.get(&key).is_none_or(|entry| entry.expires != Some(at)) => {}
                ExpiryTarget::Record(key) => drop(self.records.remove(&key)),
                // Members with a later expiry may have been added.
                ExpiryTarget::Index(index) if self.indices.get(&index).is_none_or(|members| members.expires != Some(at)) => {}
                ExpiryTarget::Index(index) => drop(self.indices.remove(&index)),
                ExpiryTarget::Counter(key) => drop(self.counters.remove(&key)),
                ExpiryTarget::Operation(id) => drop(self.operations.remove(&id)),
            }
        }
    }
}

impl Ttl {
    fn from(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Forever => None,
            Self::For(time) => Some(now + time),
        }
    }
}

impl Quota {
    /// Evaluates the `count`-th use in a window that ends after `left`.
    pub(super) fn evaluate(self, count: u64, left: Duration) -> QuotaUsage {
        match self.limit.checked_sub(count) {
            Some(left) => QuotaUsage::Within { left },
            None => QuotaUsage::Exceeded { retry_after: left },
        }
    }
}
