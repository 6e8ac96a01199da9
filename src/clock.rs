//! Provides the time. No other module reads the system's clocks.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// A source of time.
///
/// Wall time is for values that other pods and users read, such as an expiry. Monotonic time is for bounds that must hold
/// even if the wall clock jumps, such as the age of a cache entry or a lease.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;
    fn monotonic(&self) -> Instant;
}

/// Returns the time between `then` and `now`. Zero if `then` is in the future, which another pod's clock can cause.
pub fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

/// The machine's clocks.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    fn monotonic(&self) -> Instant {
        Instant::now()
    }
}

/// A clock that a test advances.
#[cfg(test)]
pub(crate) mod manual {
    use std::{
        sync::{Arc, Mutex},
        time::{Duration, Instant},
    };

    use jiff::Timestamp;

    use super::{Clock, SystemClock};

    #[derive(Clone)]
    pub(crate) struct ManualClock {
        start: (Timestamp, Instant),
        passed: Arc<Mutex<Duration>>,
    }

    impl ManualClock {
        pub(crate) fn new() -> Self {
            Self { start: (SystemClock.now(), SystemClock.monotonic()), passed: Arc::default() }
        }

        pub(crate) fn advance(&self, by: Duration) {
            *self.passed.lock().unwrap() += by;
        }
    }

    impl Clock for ManualClock {
        fn now(&self) -> Timestamp {
            self.start.0 + *self.passed.lock().unwrap()
        }

        fn monotonic(&self) -> Instant {
            self.start.1 + *self.passed.lock().unwrap()
        }
    }
}
