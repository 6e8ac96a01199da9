//! A store in memory for unit tests: reads fail when a test says so, and the records of replicated commits are listed.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::{
    Commit, Conflict, Cursor, EncryptedRecord, Error, Index, InvalidationMessage, MemoryStore, Quota, QuotaUsage, RecordKey,
    RecordKind, Replication, ScanPage, Sequence, Store,
};
use crate::clock::Clock;

pub struct TestStore {
    memory: MemoryStore,
    failing: Mutex<Option<RecordKind>>,
    replicated: Mutex<Vec<RecordKind>>,
}

impl TestStore {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { memory: MemoryStore::new(clock), failing: Mutex::default(), replicated: Mutex::default() }
    }

    /// Reads of records of this kind fail from now on. `None`: all reads succeed.
    pub fn fail_reads(&self, kind: Option<RecordKind>) {
        *self.failing.lock().unwrap() = kind;
    }

    /// Returns the kinds of the records that were put by commits which await a replica, since the last call.
    pub fn take_replicated(&self) -> Vec<RecordKind> {
        std::mem::take(&mut *self.replicated.lock().unwrap())
    }
}

#[async_trait]
impl Store for TestStore {
    async fn get(&self, key: &RecordKey) -> Result<Option<EncryptedRecord>, Error> {
        if *self.failing.lock().unwrap() == Some(key.kind) {
            return Err(Error::Unavailable("scripted".to_owned()));
        }
        self.memory.get(key).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Result<Sequence, Conflict>, Error> {
        if commit.replication == Replication::Awaited {
            self.replicated.lock().unwrap().extend(commit.put.iter().map(|(key, ..)| key.kind));
        }
        self.memory.commit(commit).await
    }

    async fn list(&self, index: &Index, after: Option<&str>, limit: usize) -> Result<Vec<String>, Error> {
        self.memory.list(index, after, limit).await
    }

    async fn has_free_memory(&self) -> bool {
        self.memory.has_free_memory().await
    }

    async fn spend(&self, key: &RecordKey, quota: Quota) -> Result<QuotaUsage, Error> {
        self.memory.spend(key, quota).await
    }

    async fn sequences(&self) -> Vec<Result<Sequence, Error>> {
        self.memory.sequences().await
    }

    async fn scan(&self, kind: RecordKind, cursor: Cursor) -> Result<ScanPage, Error> {
        self.memory.scan(kind, cursor).await
    }

    fn invalidation_messages(&self) -> broadcast::Receiver<InvalidationMessage> {
        self.memory.invalidation_messages()
    }

    fn resubscribe(&self) {
        self.memory.resubscribe();
    }

    async fn ready(&self) {
        self.memory.ready().await;
    }
}
