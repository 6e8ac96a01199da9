//! Optimistic updates: reads, changes and commits records, and retries after a conflict.

use std::time::Duration;

use super::{Change, Conflict, Error, Record, RecordKey, Records, StoredRecord};
use crate::secret::random_bytes;

/// The maximum number of attempts of an update.
pub const TRIES: u32 = 16;

/// The outcome of an edit of one record.
#[expect(clippy::large_enum_variant, reason = "an edit is moved once, into its commit")]
pub enum Edit<'a, T> {
    /// Commits the change, which expects the record as it was read.
    Commit(Change<'a>, T),
    /// Leaves the record unchanged.
    Keep(T),
}

/// Repeats an attempt after a conflict, with a growing random pause.
///
/// Each attempt must read its records again. An error of an attempt ends the update.
pub async fn retry<T, E: From<Error>>(mut attempt: impl AsyncFnMut() -> Result<Result<T, Conflict>, E>) -> Result<T, E> {
    for attempt_number in 1..=TRIES {
        if let Ok(done) = attempt().await? {
            return Ok(done);
        }
        if attempt_number < TRIES {
            pause(attempt_number).await;
        }
    }
    Err(Error::Contended.into())
}

impl Records {
    /// Updates the record under a key. `edit` receives the value and a change whose precondition is the version that was read. It
    /// puts the new value into the change, and may add other records of the shard. Returns `None` if the record does not exist.
    pub async fn update<'a, R: Record, T, E: From<Error>>(
        &'a self,
        key: &RecordKey,
        mut edit: impl AsyncFnMut(R, Change<'a>) -> Result<Edit<'a, T>, E>,
    ) -> Result<Option<T>, E> {
        retry(async || {
            let Some(StoredRecord { value, version }) = self.get_patiently::<R>(key).await? else { return Ok(Ok(None)) };
            match edit(value, self.change(key.shard).expect_version(key, version)).await? {
                Edit::Keep(outcome) => Ok(Ok(Some(outcome))),
                Edit::Commit(change, outcome) => Ok(change.commit().await?.map(|_| Some(outcome))),
            }
        })
        .await
    }
}

/// Sleeps for up to 30 ms, at random, so that concurrent writers do not collide again.
async fn pause(attempt_number: u32) {
    let [random] = random_bytes::<1>();
    tokio::time::sleep(Duration::from_micros(u64::from(random) << (2 + attempt_number).min(7))).await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::future::join_all;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::{
        clock::{Clock, SystemClock},
        secret::KeyRing,
        store::{MemoryStore, RecordKind, Shard, Ttl},
    };

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Count(u32);

    impl Record for Count {
        const KIND: RecordKind = RecordKind::KeyCreations;
    }

    #[derive(Debug, thiserror::Error)]
    enum CountError {
        #[error("too many")]
        TooMany,
        #[error(transparent)]
        Store(#[from] Error),
    }

    fn records() -> (Records, RecordKey) {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock)));
        let key = RecordKey::new(Shard::new(7).unwrap(), RecordKind::KeyCreations, "x");
        (Records::new(store, Arc::new(KeyRing::ephemeral(clock)), ""), key)
    }

    async fn put(records: &Records, key: &RecordKey, count: u32) {
        records.change(key.shard).put(key, &Count(count), Ttl::Forever).commit().await.unwrap().unwrap();
    }

    async fn increment(records: &Records, key: &RecordKey) -> Result<Option<u32>, CountError> {
        let updated = records.update(key, async |Count(count), change| match count {
            10 => Err(CountError::TooMany),
            count => Ok(Edit::Commit(change.put(key, &Count(count + 1), Ttl::Forever), count + 1)),
        });
        updated.await
    }

    #[tokio::test]
    async fn concurrent_updates_of_one_record_all_succeed() {
        let (records, key) = records();
        assert_eq!(increment(&records, &key).await.unwrap(), None);
        put(&records, &key, 0).await;
        join_all((0..10).map(|_| increment(&records, &key))).await.into_iter().for_each(|done| assert!(done.is_ok()));
        assert_eq!(records.get::<Count>(&key).await.unwrap().unwrap().value, Count(10));
    }

    #[tokio::test]
    async fn an_edit_that_keeps_or_fails_writes_nothing() {
        let (records, key) = records();
        put(&records, &key, 10).await;
        let before = records.get::<Count>(&key).await.unwrap().unwrap().version;
        assert!(matches!(increment(&records, &key).await, Err(CountError::TooMany)));
        let kept = records.update(&key, async |Count(count), _| Ok::<_, Error>(Edit::Keep(count))).await;
        assert_eq!(kept, Ok(Some(10)));
        assert_eq!(records.get::<Count>(&key).await.unwrap().unwrap().version, before);
    }

    #[tokio::test]
    async fn an_update_fails_after_a_conflict_at_every_attempt() {
        let (records, key) = records();
        put(&records, &key, 0).await;
        let mut tries = 0;
        let updated = records.update(&key, async |_: Count, change| {
            tries += 1;
            put(&records, &key, tries).await;
            Ok(Edit::Commit(change.put(&key, &Count(100), Ttl::Forever), ()))
        });
        assert_eq!(updated.await, Err(Error::Contended));
        assert_eq!(records.get::<Count>(&key).await.unwrap().unwrap().value, Count(TRIES));
    }
}
