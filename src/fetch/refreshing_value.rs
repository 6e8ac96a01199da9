//! Refreshes a remote value in the background. The last value stays in use while a fetch fails, up to a maximum age, and
//! callers can request a newer value at a limited rate.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use crate::clock::{self, Clock};

/// Minimum interval between fetches that callers request.
pub const ON_DEMAND: Duration = Duration::from_secs(10);

/// Minimum interval between periodic fetches, regardless of the lifetime that the remote side sends.
pub const SHORTEST_INTERVAL: Duration = Duration::from_secs(300);

const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// Maximum time that a caller waits for the fetch that it requested.
const DEMAND_TIMEOUT: Duration = Duration::from_secs(5);

/// A value that one background task fetches.
pub struct RefreshingValue<T> {
    held: watch::Sender<Option<StoredValue<T>>>,
    max_age: Duration,
    requested: Notify,
    requests: Mutex<FetchRequests>,
    /// The number of fetches that have ended, successful or not.
    attempts: watch::Sender<u64>,
    clock: Arc<dyn Clock>,
}

/// A fetched value.
pub struct FetchedValue<T> {
    pub value: T,
    /// The time for which the remote side declares the value fresh.
    pub fresh_for: Option<Duration>,
}

/// The last fetched value, and the time at which its fetch began.
struct StoredValue<T> {
    value: Arc<T>,
    fetched: FetchTime,
}

#[derive(Clone, Copy)]
struct FetchTime {
    monotonic: Instant,
    wall: Timestamp,
}

#[derive(Default)]
struct FetchRequests {
    /// The time of the last fetch that a caller requested.
    last: Option<Instant>,
    /// True while a fetch is in progress or requested.
    fetching: bool,
}

impl<T> RefreshingValue<T> {
    /// A value that was fetched `max_age` ago is no longer used.
    pub fn new(max_age: Duration, clock: Arc<dyn Clock>) -> Self {
        let (held, attempts) = (watch::Sender::new(None), watch::Sender::new(0));
        Self { held, max_age, requested: Notify::new(), requests: Mutex::default(), attempts, clock }
    }

    /// Fetches now, then after each interval and on request. The interval is shorter if the remote side declares a shorter
    /// lifetime. After a failure it retries with an increasing delay and calls `failed` with the error and the delay.
    pub async fn refresh<E, F>(&self, every: Duration, fetch: impl Fn() -> F, failed: impl Fn(E, Duration))
    where
        F: Future<Output = Result<FetchedValue<T>, E>>,
    {
        self.refresh_unless_same(every, fetch, |_, _| false, failed).await;
    }

    /// As [`Self::refresh`], but keeps the current value if a fetched one is the `same`.
    pub async fn refresh_unless_same<E, F>(
        &self,
        every: Duration,
        fetch: impl Fn() -> F,
        same: impl Fn(&T, &T) -> bool,
        failed: impl Fn(E, Duration),
    ) where
        F: Future<Output = Result<FetchedValue<T>, E>>,
    {
        let mut retry = FIRST_RETRY;
        loop {
            self.requests().fetching = true;
            // The time before the request, so that the maximum age is never exceeded.
            let began = FetchTime { monotonic: self.clock.monotonic(), wall: self.clock.now() };
            let wait = match fetch().await {
                Ok(FetchedValue { value, fresh_for }) => {
                    self.hold(value, began, &same);
                    retry = FIRST_RETRY;
                    interval(every, fresh_for)
                }
                Err(error) => {
                    failed(error, retry);
                    let wait = retry;
                    retry = (retry * 2).min(LAST_RETRY);
                    wait
                }
            };
            self.requests().fetching = false;
            self.attempts.send_modify(|ended| *ended += 1);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.requested.notified() => {}
            }
        }
    }

    fn hold(&self, fetched: T, began: FetchTime, same: &impl Fn(&T, &T) -> bool) {
        self.held.send_modify(|held| {
            let known = held.take().map(|held| held.value).filter(|known| same(known, &fetched));
            *held = Some(StoredValue { value: known.unwrap_or_else(|| Arc::new(fetched)), fetched: began });
        });
    }

    /// Returns the last fetched value, unless it has reached the maximum age.
    pub fn current(&self) -> Option<Arc<T>> {
        let held = self.held.borrow();
        held.as_ref().filter(|held| self.age(held.fetched) < self.max_age).map(|held| Arc::clone(&held.value))
    }

    /// Returns the last fetched value of any age.
    pub fn last(&self) -> Option<Arc<T>> {
        self.held.borrow().as_ref().map(|held| Arc::clone(&held.value))
    }

    /// Returns the age by the clock that shows the greater one. The monotonic clock stands still while the machine is
    /// suspended, and the wall clock can be set back.
    fn age(&self, fetched: FetchTime) -> Duration {
        let monotonic = self.clock.monotonic().saturating_duration_since(fetched.monotonic);
        monotonic.max(clock::since(fetched.wall, self.clock.now()))
    }

    /// Waits until the first fetch has ended, successful or not.
    pub async fn wait_for_first_attempt(&self) {
        // The sender lives as long as `self`, so that this can't fail.
        let _ = self.attempts.subscribe().wait_for(|ended| *ended > 0).await;
    }

    /// Returns the current value. If there is none, requests a fetch and waits for it for a limited time, since the next
    /// attempt of the back-off may be a minute away.
    pub async fn get_or_fetch(&self) -> Option<Arc<T>> {
        let fetched = async {
            let mut attempts = self.attempts.subscribe();
            // An attempt in progress may have begun before the remote side recovered. In this case, request one more.
            while self.current().is_none() && self.request_fetch() {
                let _ = attempts.changed().await;
            }
        };
        let _ = tokio::time::timeout(DEMAND_TIMEOUT, fetched).await;
        self.current()
    }

    /// Returns a value that was fetched after `used`, and requests a fetch if there is none. Concurrent callers share
    /// one fetch, and the rate of fetches is limited.
    pub async fn fetch_newer_than(&self, used: &Arc<T>) -> Option<Arc<T>> {
        let newer = || self.current().filter(|current| !Arc::ptr_eq(current, used));
        let mut attempts = self.attempts.subscribe();
        if newer().is_none() && self.request_fetch() {
            // A timeout and a failure have the same result: there is no newer value.
            let _ = tokio::time::timeout(DEMAND_TIMEOUT, attempts.changed()).await;
        }
        newer()
    }

    /// True if a fetch that began within the last [`ON_DEMAND`] has succeeded, or one succeeds now. After a requested fetch has
    /// failed, no other is requested for that time.
    pub async fn is_source_reachable(&self) -> bool {
        let is_recent = || self.held.borrow().as_ref().is_some_and(|held| self.age(held.fetched) < ON_DEMAND);
        let mut attempts = self.attempts.subscribe();
        if !is_recent() && self.request_fetch() {
            let _ = tokio::time::timeout(DEMAND_TIMEOUT, attempts.changed()).await;
        }
        is_recent()
    }

    /// Requests a fetch unless the rate limit forbids it. Returns true if a fetch is in progress or requested. The first
    /// fetch and periodic fetches don't count towards the limit, since their values may be outdated a moment later.
    fn request_fetch(&self) -> bool {
        let now = self.clock.monotonic();
        let mut requests = self.requests();
        let is_limited = requests.last.is_some_and(|last| now.duration_since(last) < ON_DEMAND);
        if !requests.fetching && !is_limited {
            *requests = FetchRequests { last: Some(now), fetching: true };
            self.requested.notify_one();
        }
        requests.fetching
    }

    fn requests(&self) -> MutexGuard<'_, FetchRequests> {
        self.requests.lock().expect("no code that holds this lock panics")
    }
}

/// Returns the time until the next periodic fetch.
fn interval(every: Duration, fresh_for: Option<Duration>) -> Duration {
    fresh_for.map_or(every, |fresh_for| fresh_for.max(SHORTEST_INTERVAL).min(every))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use rstest::rstest;

    use super::*;
    use crate::clock::manual::ManualClock;

    const HOUR: Duration = Duration::from_secs(3600);
    const MAX_AGE: Duration = Duration::from_secs(2 * 3600);

    /// Counts fetches and returns their number. Fetches fail while `fails` is true.
    struct Source {
        fresh: RefreshingValue<u64>,
        fetches: AtomicU64,
        fails: std::sync::atomic::AtomicBool,
    }

    fn source(clock: &ManualClock) -> Arc<Source> {
        let fresh = RefreshingValue::new(MAX_AGE, Arc::new(clock.clone()));
        Arc::new(Source { fresh, fetches: AtomicU64::new(0), fails: false.into() })
    }

    impl Source {
        async fn fetch(&self) -> Result<FetchedValue<u64>, ()> {
            let value = self.fetches.fetch_add(1, Ordering::SeqCst) + 1;
            if self.fails.load(Ordering::SeqCst) { Err(()) } else { Ok(FetchedValue { value, fresh_for: None }) }
        }

        fn start(self: &Arc<Self>) {
            let source = Arc::clone(self);
            tokio::spawn(async move {
                source.fresh.refresh(HOUR, || source.fetch(), |(), _| {}).await;
            });
        }
    }

    #[tokio::test]
    async fn concurrent_requests_share_one_fetch_and_their_rate_is_limited() {
        let clock = ManualClock::new();
        let source = source(&clock);
        source.start();
        source.fresh.wait_for_first_attempt().await;
        let first = source.fresh.current().unwrap();
        let requests = (0..50).map(|_| source.fresh.fetch_newer_than(&first));
        let newer = futures::future::join_all(requests).await;
        assert!(newer.iter().all(|newer| newer.as_deref() == Some(&2)), "{newer:?}");

        let second = source.fresh.current().unwrap();
        assert_eq!(source.fresh.fetch_newer_than(&second).await, None);
        assert_eq!(source.fetches.load(Ordering::SeqCst), 2);
        clock.advance(ON_DEMAND);
        assert_eq!(source.fresh.fetch_newer_than(&second).await.as_deref(), Some(&3));
    }

    #[tokio::test]
    async fn the_source_is_reachable_if_a_fetch_has_just_succeeded_or_succeeds_now() {
        let clock = ManualClock::new();
        let source = source(&clock);
        source.start();
        source.fresh.wait_for_first_attempt().await;
        source.fails.store(true, Ordering::SeqCst);
        assert!(source.fresh.is_source_reachable().await);
        assert_eq!(source.fetches.load(Ordering::SeqCst), 1, "no fetch is needed");
        clock.advance(ON_DEMAND);
        assert!(!source.fresh.is_source_reachable().await);
        assert!(!source.fresh.is_source_reachable().await, "the rate of fetches is limited");
        source.fails.store(false, Ordering::SeqCst);
        clock.advance(ON_DEMAND);
        let asked = (0..50).map(|_| source.fresh.is_source_reachable());
        assert!(futures::future::join_all(asked).await.into_iter().all(|reachable| reachable));
    }

    #[tokio::test]
    async fn an_unchanged_value_is_not_replaced() {
        let source = source(&ManualClock::new());
        let kept = Arc::clone(&source);
        let same = |known: &u64, fetched: &u64| known.div_ceil(2) == fetched.div_ceil(2);
        tokio::spawn(async move {
            kept.fresh.refresh_unless_same(Duration::from_millis(1), || kept.fetch(), same, |(), _| {}).await;
        });
        let mut known = source.fresh.held.subscribe();
        let mut seen = Vec::new();
        while seen.len() < 3 {
            known.changed().await.unwrap();
            let value = *known.borrow_and_update().as_ref().unwrap().value;
            seen.extend((seen.last() != Some(&value)).then_some(value));
        }
        assert!(seen.iter().all(|number| number % 2 == 1), "every second value is unchanged: {seen:?}");
    }

    #[tokio::test]
    async fn the_last_value_stays_in_use_when_a_fetch_fails() {
        let clock = ManualClock::new();
        let source = source(&clock);
        source.start();
        source.fresh.wait_for_first_attempt().await;
        let first = source.fresh.current().unwrap();
        source.fails.store(true, Ordering::SeqCst);
        assert_eq!(source.fresh.fetch_newer_than(&first).await, None);
        assert!(source.fetches.load(Ordering::SeqCst) > 1);
        assert_eq!(source.fresh.current().as_deref(), Some(&1));
    }

    #[tokio::test]
    async fn a_value_of_the_maximum_age_is_not_used_until_it_is_fetched_again() {
        let clock = ManualClock::new();
        let source = source(&clock);
        source.start();
        source.fresh.wait_for_first_attempt().await;
        source.fails.store(true, Ordering::SeqCst);
        clock.advance(MAX_AGE - Duration::from_millis(1));
        assert_eq!(source.fresh.current().as_deref(), Some(&1));
        clock.advance(Duration::from_millis(1));
        assert_eq!((source.fresh.current(), source.fresh.last().as_deref()), (None, Some(&1)));
        assert_eq!(source.fresh.get_or_fetch().await, None);

        source.fails.store(false, Ordering::SeqCst);
        clock.advance(ON_DEMAND);
        let fetched = source.fresh.get_or_fetch().await;
        assert!(fetched.is_some_and(|fetched| *fetched > 1));
    }

    #[tokio::test]
    async fn a_fetch_of_the_same_value_renews_it() {
        let clock = ManualClock::new();
        let source = source(&clock);
        let kept = Arc::clone(&source);
        tokio::spawn(async move {
            kept.fresh.refresh_unless_same(HOUR, || kept.fetch(), |_, _| true, |(), _| {}).await;
        });
        source.fresh.wait_for_first_attempt().await;
        let first = source.fresh.current().unwrap();
        clock.advance(MAX_AGE);
        assert!(source.fresh.current().is_none());
        let renewed = source.fresh.get_or_fetch().await.expect("it was fetched again");
        assert!(Arc::ptr_eq(&first, &renewed));
    }

    #[rstest]
    #[case::undeclared(None, 3600)]
    #[case::longer(Some(86_400), 3600)]
    #[case::shorter(Some(900), 900)]
    #[case::shortest(Some(300), 300)]
    #[case::too_short(Some(10), 300)]
    #[case::zero(Some(0), 300)]
    fn a_declared_lifetime_shortens_the_interval(#[case] fresh_for: Option<u64>, #[case] expected: u64) {
        assert_eq!(interval(HOUR, fresh_for.map(Duration::from_secs)), Duration::from_secs(expected));
    }

    #[tokio::test]
    async fn without_a_value_a_caller_requests_a_fetch() {
        let clock = ManualClock::new();
        let source = source(&clock);
        source.fails.store(true, Ordering::SeqCst);
        source.start();
        source.fresh.wait_for_first_attempt().await;
        assert_eq!(source.fresh.get_or_fetch().await, None);
        source.fails.store(false, Ordering::SeqCst);
        clock.advance(ON_DEMAND);
        assert!(source.fresh.get_or_fetch().await.is_some());
    }
}
