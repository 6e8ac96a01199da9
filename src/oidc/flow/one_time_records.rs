//! Creates records that are taken exactly once, and replaces them by tombstones, within a capacity.

use std::time::Duration;

use jiff::Timestamp;

use super::{BeginFlowError, FlowCapacity, FlowLimit, FlowStage};
use crate::{
    secret::KeyRing,
    store::{self, Change, Conflict, Record, RecordKey, Records, StoredRecord, Ttl},
};

/// The number of shards that are tried for a new record.
const SHARDS_TRIED: usize = 3;

/// A record that is created under a random key, and taken once.
pub trait OneTimeRecord: Record {
    const LIFETIME: Duration;
    /// Counts the records until they are taken.
    const PENDING: FlowStage;
    /// Counts the tombstones.
    const FINISHED: FlowStage;

    fn begun(&self) -> Timestamp;

    /// Returns the record that replaces this one when it is taken.
    fn tombstone(&self) -> Self;
}

pub struct OneTimeRecords {
    records: Records,
    capacity: FlowCapacity,
}

impl OneTimeRecords {
    /// The store holds at most `max_pending` records of a kind that were not taken, and as many tombstones.
    pub fn new(records: Records, max_pending: u32) -> Self {
        Self { records, capacity: FlowCapacity::new(max_pending) }
    }

    pub fn ring(&self) -> &KeyRing {
        self.records.ring()
    }

    #[cfg(test)]
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// Fails if new records would use memory that revocations need.
    pub async fn require_memory(&self) -> Result<(), FlowLimit> {
        if self.records.store().has_free_memory().await { Ok(()) } else { Err(FlowLimit::Memory) }
    }

    /// Creates the record under a new key, which determines its shard. A shard can be full before the others.
    pub async fn create<R: OneTimeRecord, T>(
        &self,
        record: &R,
        new_key: impl Fn() -> (T, RecordKey),
    ) -> Result<T, BeginFlowError> {
        for _ in 0..SHARDS_TRIED {
            let (created, key) = new_key();
            let capacity = self.capacity.enter(key.shard, R::PENDING, record.begun(), R::LIFETIME);
            let change = self.records.unsequenced_change(key.shard).put(&key, record, Ttl::For(R::LIFETIME));
            match change.within(capacity).commit().await {
                // A key of 256 random bits is always new, so no version is expected.
                Ok(_) => return Ok(created),
                Err(store::Error::Full) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(FlowLimit::Pending.into())
    }

    pub async fn get<R: OneTimeRecord>(&self, key: &RecordKey) -> Result<Option<StoredRecord<R>>, store::Error> {
        self.records.get_patiently(key).await
    }

    /// Replaces a record by its tombstone if it is still as it was read. Without room for a tombstone it deletes the record: the
    /// next attempt then finds none instead of a finished one.
    pub async fn finish<R: OneTimeRecord>(
        &self,
        key: &RecordKey,
        stored: &StoredRecord<R>,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Result<(), Conflict>, store::Error> {
        let capacity = self.capacity.enter(key.shard, R::FINISHED, now, lifetime);
        let change = self.expect(key, stored).put(key, &stored.value.tombstone(), Ttl::For(lifetime)).within(capacity);
        let replaced = match change.commit().await {
            Err(store::Error::Full) => self.expect(key, stored).delete(key).commit().await,
            outcome => outcome,
        };
        Ok(replaced?.map(drop))
    }

    /// Returns a change that expects the record as it was read, and no longer counts it as pending.
    fn expect<R: OneTimeRecord>(&self, key: &RecordKey, stored: &StoredRecord<R>) -> Change<'_> {
        let change = self.records.unsequenced_change(key.shard).expect_version(key, stored.version);
        // Version 0.1 did not count the flows that it began.
        match stored.version.is_unsequenced() {
            true => change.release(R::PENDING.counter_of(key.shard, stored.value.begun() + R::LIFETIME)),
            false => change,
        }
    }
}
