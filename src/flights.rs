//! Look-ups that are under way, so that whoever asks the same meanwhile shares the answer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};

use crate::secret::Digest;

/// `None` when the look-up ended in a panic.
pub type Flight<A> = Shared<BoxFuture<'static, Option<A>>>;

/// Each with the epoch in which it began: only those of the same epoch share it.
pub struct Flights<A>(Mutex<HashMap<Digest, (u64, Flight<A>)>>);

impl<A: Clone + Send + Sync + 'static> Flights<A> {
    /// Joins the look-up of this that is under way, or begins one; `None` when `begin` gives none to begin.
    pub fn share<F>(self: &Arc<Self>, of: Digest, epoch: u64, begin: impl FnOnce() -> Option<F>) -> Option<Flight<A>>
    where
        F: Future<Output = A> + Send + 'static,
    {
        let mut under_way = self.lock();
        if let Some((_, flight)) = under_way.get(&of).filter(|(begun, _)| *begun == epoch) {
            return Some(flight.clone());
        }
        let (look_up, flights) = (begin()?, Arc::clone(self));
        // A task of its own, so that it ends even when whoever asked first has gone away.
        let task = tokio::spawn(async move {
            let _landing = Landing { flights, of, epoch };
            look_up.await
        });
        let flight = task.map(Result::ok).boxed().shared();
        under_way.insert(of, (epoch, flight.clone()));
        Some(flight)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, (u64, Flight<A>)>> {
        self.0.lock().expect("no code that holds this lock panics")
    }
}

/// Takes the look-up off the list when it ends, whichever way.
struct Landing<A: Clone + Send + Sync + 'static> {
    flights: Arc<Flights<A>>,
    of: Digest,
    epoch: u64,
}

impl<A: Clone + Send + Sync + 'static> Drop for Landing<A> {
    fn drop(&mut self) {
        let mut under_way = self.flights.lock();
        if under_way.get(&self.of).is_some_and(|(begun, _)| *begun == self.epoch) {
            under_way.remove(&self.of);
        }
    }
}

impl<A> Default for Flights<A> {
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
    async fn those_of_one_epoch_share_a_look_up_and_it_is_forgotten_when_it_ends() {
        let flights = Arc::new(Flights::<u64>::default());
        let (begun, gate) = (Arc::new(AtomicU64::new(0)), Arc::new(Semaphore::new(0)));
        let of = Digest::of(b"token");
        let share = |epoch| {
            let (begun, gate) = (Arc::clone(&begun), Arc::clone(&gate));
            let look_up = async move {
                let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
                gate.acquire().await.expect("it is never closed").forget();
                number
            };
            flights.share(of, epoch, || Some(look_up)).expect("it may begin")
        };
        let (first, second) = (share(1), share(1));
        gate.add_permits(1);
        assert_eq!((first.await, second.await), (Some(1), Some(1)));
        assert!(flights.lock().is_empty());

        let (old, new) = (share(1), share(2));
        gate.add_permits(2);
        assert_ne!(old.await, new.await);
        assert!(flights.lock().is_empty());
        assert!(flights.share(of, 1, || None::<std::future::Ready<u64>>).is_none());
    }
}
