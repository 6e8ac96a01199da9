//! Shares one look-up between concurrent callers with the same key (single flight).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};

use crate::secret::Digest;

/// The result of a shared look-up. `None` if the look-up panicked.
pub type SharedLookup<A> = Shared<BoxFuture<'static, Option<A>>>;

/// Look-ups in progress, each with the revision at its start. Only callers with the same revision share a look-up.
pub struct SingleFlight<A>(Mutex<HashMap<Digest, (u64, SharedLookup<A>)>>);

impl<A: Clone + Send + Sync + 'static> SingleFlight<A> {
    /// Joins the look-up of `key` in progress, or starts one. `None` if there is none and `start` returns none.
    pub fn join_or_start<F>(
        self: &Arc<Self>,
        key: Digest,
        revision: u64,
        start: impl FnOnce() -> Option<F>,
    ) -> Option<SharedLookup<A>>
    where
        F: Future<Output = A> + Send + 'static,
    {
        let mut in_progress = self.lock();
        if let Some((_, lookup)) = in_progress.get(&key).filter(|(started, _)| *started == revision) {
            return Some(lookup.clone());
        }
        let (work, owner) = (start()?, Arc::clone(self));
        // A separate task, so that the look-up ends even if the first caller goes away.
        let task = tokio::spawn(async move {
            let _guard = RemovalGuard { owner, key, revision };
            work.await
        });
        let lookup = task.map(Result::ok).boxed().shared();
        in_progress.insert(key, (revision, lookup.clone()));
        Some(lookup)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, (u64, SharedLookup<A>)>> {
        self.0.lock().expect("no code that holds this lock panics")
    }
}

/// Removes the look-up from the list when it ends, also if it panics.
struct RemovalGuard<A: Clone + Send + Sync + 'static> {
    owner: Arc<SingleFlight<A>>,
    key: Digest,
    revision: u64,
}

impl<A: Clone + Send + Sync + 'static> Drop for RemovalGuard<A> {
    fn drop(&mut self) {
        let mut in_progress = self.owner.lock();
        if in_progress.get(&self.key).is_some_and(|(started, _)| *started == self.revision) {
            in_progress.remove(&self.key);
        }
    }
}

impl<A> Default for SingleFlight<A> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn callers_of_one_revision_share_a_look_up_that_is_removed_when_it_ends() {
        let single_flight = Arc::new(SingleFlight::<u64>::default());
        let (begun, gate) = (Arc::new(AtomicU64::new(0)), Arc::new(Semaphore::new(0)));
        let key = Digest::of(b"token");
        let join = |revision| {
            let (begun, gate) = (Arc::clone(&begun), Arc::clone(&gate));
            let look_up = async move {
                let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
                gate.acquire().await.expect("the semaphore is never closed").forget();
                number
            };
            single_flight.join_or_start(key, revision, || Some(look_up)).expect("a look-up is started")
        };
        let (first, second) = (join(1), join(1));
        gate.add_permits(1);
        assert_eq!((first.await, second.await), (Some(1), Some(1)));
        assert!(single_flight.lock().is_empty());

        let (old, new) = (join(1), join(2));
        gate.add_permits(2);
        assert_ne!(old.await, new.await);
        assert!(single_flight.lock().is_empty());
        assert!(single_flight.join_or_start(key, 1, || None::<std::future::Ready<u64>>).is_none());
    }
}
