//! A value that is fetched from elsewhere and kept. One task fetches it; what was fetched stays in use while a
//! later fetch fails; and whoever needs something newer has it fetched, but only so often.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use tokio::sync::{Notify, watch};

use crate::clock::Clock;

/// A fetch is made on demand at most this often, whoever asks for it.
pub const ON_DEMAND: Duration = Duration::from_secs(10);

const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// How long one waits for a fetch that was asked for.
const DEMAND_WAIT: Duration = Duration::from_secs(5);

pub struct Fresh<T> {
    known: watch::Sender<Option<Arc<T>>>,
    wanted: Notify,
    demand: Mutex<Demand>,
    /// Fetches that have ended, whichever way.
    attempts: watch::Sender<u64>,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct Demand {
    /// When a fetch was last made because somebody asked for it.
    last: Option<Instant>,
    /// A fetch is under way or has been asked for.
    fetching: bool,
}

impl<T> Fresh<T> {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (known, attempts) = (watch::Sender::new(None), watch::Sender::new(0));
        Self { known, wanted: Notify::new(), demand: Mutex::default(), attempts, clock }
    }

    /// Fetches now, again and again, and when it is asked to. After a failure it tries again soon, then more
    /// and more slowly; `failed` is told why, and when the next attempt is.
    pub async fn keep<E, F>(&self, every: Duration, fetch: impl Fn() -> F, failed: impl Fn(E, Duration))
    where
        F: Future<Output = Result<T, E>>,
    {
        self.keep_unless_same(every, fetch, |_, _| false, failed).await;
    }

    /// The same; what is fetched and is the `same` as before is nothing newer.
    pub async fn keep_unless_same<E, F>(
        &self,
        every: Duration,
        fetch: impl Fn() -> F,
        same: impl Fn(&T, &T) -> bool,
        failed: impl Fn(E, Duration),
    ) where
        F: Future<Output = Result<T, E>>,
    {
        let mut retry = FIRST_RETRY;
        loop {
            self.demand().fetching = true;
            let wait = match fetch().await {
                Ok(fetched) => {
                    let is_new = !self.known.borrow().as_ref().is_some_and(|known| same(known, &fetched));
                    if is_new {
                        self.known.send_replace(Some(Arc::new(fetched)));
                    }
                    retry = FIRST_RETRY;
                    every
                }
                Err(error) => {
                    failed(error, retry);
                    let wait = retry;
                    retry = (retry * 2).min(LAST_RETRY);
                    wait
                }
            };
            self.demand().fetching = false;
            self.attempts.send_modify(|ended| *ended += 1);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.wanted.notified() => {}
            }
        }
    }

    /// What was last fetched.
    pub fn known(&self) -> Option<Arc<T>> {
        self.known.borrow().clone()
    }

    /// Waits until the first fetch has ended, whichever way.
    pub async fn attempted(&self) {
        // The sender lives as long as this.
        let _ = self.attempts.subscribe().wait_for(|ended| *ended > 0).await;
    }

    /// What is known. Where that is nothing yet, it is asked for now and waited for a while: the next attempt
    /// of the back-off may be a minute away.
    pub async fn reached(&self) -> Option<Arc<T>> {
        let asked = async {
            let mut attempts = self.attempts.subscribe();
            // The attempt that is under way may have begun before the other side came back: then one more.
            while self.known().is_none() && self.ask_for_fetch() {
                let _ = attempts.changed().await;
            }
        };
        let _ = tokio::time::timeout(DEMAND_WAIT, asked).await;
        self.known()
    }

    /// What was fetched after `used`: it may be there already, or one more fetch brings it. However many ask at
    /// once, they share it; and it begins only so often.
    pub async fn newer_than(&self, used: &Arc<T>) -> Option<Arc<T>> {
        let newer = || self.known().filter(|known| !Arc::ptr_eq(known, used));
        let mut attempts = self.attempts.subscribe();
        if newer().is_none() && self.ask_for_fetch() {
            // Late or failed, the answer is the same: there is nothing newer.
            let _ = tokio::time::timeout(DEMAND_WAIT, attempts.changed()).await;
        }
        newer()
    }

    /// Tells whether a fetch is under way or has just been asked for. The first fetch and those made in time
    /// don't count for how often: what they brought may well be outdated a moment after them.
    fn ask_for_fetch(&self) -> bool {
        let now = self.clock.monotonic();
        let mut demand = self.demand();
        let lately = demand.last.is_some_and(|last| now.duration_since(last) < ON_DEMAND);
        if !demand.fetching && !lately {
            *demand = Demand { last: Some(now), fetching: true };
            self.wanted.notify_one();
        }
        demand.fetching
    }

    fn demand(&self) -> MutexGuard<'_, Demand> {
        self.demand.lock().expect("no code that holds this lock panics")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::clock::manual::ManualClock;

    /// Counts fetches and gives their number; every fetch fails while `fails` says so.
    struct Source {
        fresh: Fresh<u64>,
        fetches: AtomicU64,
        fails: std::sync::atomic::AtomicBool,
    }

    fn source(clock: &ManualClock) -> Arc<Source> {
        let fresh = Fresh::new(Arc::new(clock.clone()));
        Arc::new(Source { fresh, fetches: AtomicU64::new(0), fails: false.into() })
    }

    impl Source {
        async fn fetch(&self) -> Result<u64, ()> {
            let number = self.fetches.fetch_add(1, Ordering::SeqCst) + 1;
            if self.fails.load(Ordering::SeqCst) { Err(()) } else { Ok(number) }
        }

        fn keep(self: &Arc<Self>) {
            let source = Arc::clone(self);
            tokio::spawn(async move {
                source.fresh.keep(Duration::from_secs(3600), || source.fetch(), |(), _| {}).await;
            });
        }
    }

    #[tokio::test]
    async fn many_who_want_something_newer_share_one_fetch_and_it_is_made_only_so_often() {
        let clock = ManualClock::new();
        let source = source(&clock);
        source.keep();
        source.fresh.attempted().await;
        let first = source.fresh.known().unwrap();
        let asked = (0..50).map(|_| source.fresh.newer_than(&first));
        let newer = futures::future::join_all(asked).await;
        assert!(newer.iter().all(|newer| newer.as_deref() == Some(&2)), "{newer:?}");

        let second = source.fresh.known().unwrap();
        assert_eq!(source.fresh.newer_than(&second).await, None);
        assert_eq!(source.fetches.load(Ordering::SeqCst), 2);
        clock.advance(ON_DEMAND);
        assert_eq!(source.fresh.newer_than(&second).await.as_deref(), Some(&3));
    }

    #[tokio::test]
    async fn what_is_the_same_as_before_is_nothing_newer() {
        let source = source(&ManualClock::new());
        let kept = Arc::clone(&source);
        let same = |known: &u64, fetched: &u64| known.div_ceil(2) == fetched.div_ceil(2);
        tokio::spawn(async move {
            kept.fresh.keep_unless_same(Duration::from_millis(1), || kept.fetch(), same, |(), _| {}).await;
        });
        let mut known = source.fresh.known.subscribe();
        let mut seen = Vec::new();
        while seen.len() < 3 {
            known.changed().await.unwrap();
            seen.push(**known.borrow_and_update().as_ref().unwrap());
        }
        assert!(seen.iter().all(|number| number % 2 == 1), "every second one replaces nothing: {seen:?}");
    }

    #[tokio::test]
    async fn what_was_fetched_survives_a_fetch_that_fails() {
        let clock = ManualClock::new();
        let source = source(&clock);
        source.keep();
        source.fresh.attempted().await;
        let first = source.fresh.known().unwrap();
        source.fails.store(true, Ordering::SeqCst);
        assert_eq!(source.fresh.newer_than(&first).await, None);
        assert!(source.fetches.load(Ordering::SeqCst) > 1);
        assert_eq!(source.fresh.known().as_deref(), Some(&1));
    }

    #[tokio::test]
    async fn while_nothing_is_known_one_who_asks_has_it_fetched_and_the_next_is_told_at_once() {
        let clock = ManualClock::new();
        let source = source(&clock);
        source.fails.store(true, Ordering::SeqCst);
        source.keep();
        source.fresh.attempted().await;
        assert_eq!(source.fresh.reached().await, None);
        source.fails.store(false, Ordering::SeqCst);
        clock.advance(ON_DEMAND);
        assert!(source.fresh.reached().await.is_some());
    }
}
