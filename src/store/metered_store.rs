//! Counts and times every command to a store.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::{
    Commit, Conflict, Cursor, EncryptedRecord, Error, Index, InvalidationMessage, Quota, QuotaUsage, RecordKey, RecordKind,
    ScanPage, Sequence, Store,
};
use crate::{
    clock::Clock,
    metrics::{Metrics, StoreOperation, StoreOutcome},
};

pub struct MeteredStore {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
}

impl MeteredStore {
    pub fn new(store: Arc<dyn Store>, metrics: Arc<Metrics>, clock: Arc<dyn Clock>) -> Self {
        Self { store, metrics, clock }
    }

    fn count(&self, operation: StoreOperation, outcome: StoreOutcome, began: Instant) {
        self.metrics.store(operation, outcome, self.clock.monotonic().saturating_duration_since(began));
    }

    async fn read<T>(&self, operation: StoreOperation, read: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let began = self.clock.monotonic();
        let answer = read.await;
        self.count(operation, if answer.is_ok() { StoreOutcome::Ok } else { StoreOutcome::Unavailable }, began);
        answer
    }
}

impl From<&Error> for StoreOutcome {
    fn from(error: &Error) -> Self {
        match error {
            Error::Unavailable(_) | Error::Unreadable { .. } | Error::Contended => Self::Unavailable,
            Error::Unknown(_) => Self::Unknown,
            Error::Full => Self::Full,
        }
    }
}

#[async_trait]
impl Store for MeteredStore {
    async fn get(&self, key: &RecordKey) -> Result<Option<EncryptedRecord>, Error> {
        self.read(StoreOperation::Get, self.store.get(key)).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Result<Sequence, Conflict>, Error> {
        let began = self.clock.monotonic();
        let answer = self.store.commit(commit).await;
        let outcome = match &answer {
            Ok(Ok(_)) => StoreOutcome::Ok,
            Ok(Err(Conflict)) => StoreOutcome::Conflict,
            Err(error) => error.into(),
        };
        self.count(StoreOperation::Commit, outcome, began);
        answer
    }

    async fn list(&self, index: &Index, after: Option<&str>, limit: usize) -> Result<Vec<String>, Error> {
        self.read(StoreOperation::List, self.store.list(index, after, limit)).await
    }

    /// Not counted: in nearly all cases the answer is known.
    async fn has_free_memory(&self) -> bool {
        self.store.has_free_memory().await
    }

    async fn spend(&self, key: &RecordKey, quota: Quota) -> Result<QuotaUsage, Error> {
        let began = self.clock.monotonic();
        let answer = self.store.spend(key, quota).await;
        self.count(StoreOperation::Spend, answer.as_ref().map_or_else(StoreOutcome::from, |_| StoreOutcome::Ok), began);
        answer
    }

    async fn sequences(&self) -> Vec<Result<Sequence, Error>> {
        let began = self.clock.monotonic();
        let answers = self.store.sequences().await;
        let outcome = if answers.iter().all(Result::is_ok) { StoreOutcome::Ok } else { StoreOutcome::Unavailable };
        self.count(StoreOperation::Sequences, outcome, began);
        answers
    }

    async fn scan(&self, kind: RecordKind, cursor: Cursor) -> Result<ScanPage, Error> {
        self.read(StoreOperation::Scan, self.store.scan(kind, cursor)).await
    }

    fn invalidation_messages(&self) -> broadcast::Receiver<InvalidationMessage> {
        self.store.invalidation_messages()
    }

    fn resubscribe(&self) {
        self.store.resubscribe();
    }

    async fn ready(&self) {
        self.store.ready().await;
    }
}
