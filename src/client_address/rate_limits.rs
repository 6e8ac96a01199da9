//! Limits the requests per minute and client address on endpoints that need no authentication.

use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use governor::{
    Quota, RateLimiter,
    clock::Clock as _,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use moka::{policy::EvictionPolicy, sync::Cache};

use super::{ClientAddress, ClientNetwork};
use crate::clock::Clock;

/// Pairs of activity and address that are counted at a time. Beyond them, the least recently used pair is dropped.
const MAX_BUCKETS: u64 = 50_000;

/// A bucket without requests is full again after this time, so that it can be dropped.
const FULL_AFTER: Duration = Duration::from_secs(60);

/// A kind of request with a limit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activity {
    LoginStart,
    Callback,
    Onboarding,
    UnknownCredential,
    BackchannelLogout,
    Scim,
}

impl Activity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LoginStart => "login_start",
            Self::Callback => "callback",
            Self::Onboarding => "claim",
            Self::UnknownCredential => "unknown_credential",
            Self::BackchannelLogout => "backchannel_logout",
            Self::Scim => "scim",
        }
    }
}

/// Requests per minute, and the size of a burst. 0 sets no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestsPerMinute {
    pub login_starts: u32,
    pub callbacks: u32,
    pub onboarding: u32,
    pub unknown_credentials: u32,
    pub backchannel_logouts: u32,
    pub scim: u32,
}

/// The client address has no requests left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimitError {
    /// Time until the next request is allowed.
    pub retry_after: Duration,
}

pub struct RateLimits {
    per_minute: RequestsPerMinute,
    clock: MonotonicClock,
    buckets: Cache<(Activity, ClientNetwork), Arc<Bucket>>,
}

type Bucket = RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<Instant>>;

impl RateLimits {
    pub fn new(per_minute: RequestsPerMinute, clock: Arc<dyn Clock>) -> Self {
        let buckets =
            Cache::builder().max_capacity(MAX_BUCKETS).eviction_policy(EvictionPolicy::lru()).time_to_idle(FULL_AFTER).build();
        Self { per_minute, clock: MonotonicClock(clock), buckets }
    }

    /// Counts one request.
    pub fn spend(&self, activity: Activity, address: ClientAddress) -> Result<(), RateLimitError> {
        let Some(quota) = self.quota(activity) else { return Ok(()) };
        let make = || Arc::new(RateLimiter::direct_with_clock(quota, self.clock.clone()));
        let bucket = self.buckets.get_with((activity, address.network()), make);
        bucket.check().map_err(|not_until| RateLimitError { retry_after: not_until.wait_time_from(self.clock.now()) })
    }

    fn quota(&self, activity: Activity) -> Option<Quota> {
        let times = match activity {
            Activity::LoginStart => self.per_minute.login_starts,
            Activity::Callback => self.per_minute.callbacks,
            Activity::Onboarding => self.per_minute.onboarding,
            Activity::UnknownCredential => self.per_minute.unknown_credentials,
            Activity::BackchannelLogout => self.per_minute.backchannel_logouts,
            Activity::Scim => self.per_minute.scim,
        };
        NonZeroU32::new(times).map(Quota::per_minute)
    }
}

/// Adapts the crate's monotonic clock to the rate limiter's trait.
#[derive(Clone)]
struct MonotonicClock(Arc<dyn Clock>);

impl governor::clock::Clock for MonotonicClock {
    type Instant = Instant;

    fn now(&self) -> Instant {
        self.0.monotonic()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::clock::manual::ManualClock;

    const PER_MINUTE: RequestsPerMinute = RequestsPerMinute {
        login_starts: 6,
        callbacks: 2,
        onboarding: 0,
        unknown_credentials: 1,
        backchannel_logouts: 3,
        scim: 4,
    };

    fn limits(clock: &ManualClock) -> RateLimits {
        RateLimits::new(PER_MINUTE, Arc::new(clock.clone()))
    }

    fn address(text: &str) -> ClientAddress {
        text.parse::<IpAddr>().unwrap().into()
    }

    /// Counts the requests in a row that are allowed.
    fn count_allowed(limits: &RateLimits, activity: Activity, from: &str) -> usize {
        (0..20).take_while(|_| limits.spend(activity, address(from)).is_ok()).count()
    }

    #[test]
    fn an_address_has_a_burst_of_one_minute_and_then_a_steady_rate() {
        let clock = ManualClock::new();
        let limits = limits(&clock);
        assert_eq!(count_allowed(&limits, Activity::LoginStart, "192.0.2.1"), 6);
        let exceeded = limits.spend(Activity::LoginStart, address("192.0.2.1")).unwrap_err();
        assert_eq!(exceeded.retry_after, Duration::from_secs(10));
        clock.advance(Duration::from_secs(10));
        assert_eq!(count_allowed(&limits, Activity::LoginStart, "192.0.2.1"), 1);
        clock.advance(Duration::from_secs(60));
        assert_eq!(count_allowed(&limits, Activity::LoginStart, "192.0.2.1"), 6);
    }

    #[test]
    fn activities_and_networks_are_counted_separately() {
        let limits = limits(&ManualClock::new());
        assert_eq!(count_allowed(&limits, Activity::Callback, "2001:db8::1"), 2);
        assert_eq!(count_allowed(&limits, Activity::Callback, "2001:db8::2"), 0, "another address of the same /64");
        assert_eq!(count_allowed(&limits, Activity::Callback, "2001:db8:0:1::1"), 2);
        assert_eq!(count_allowed(&limits, Activity::Callback, "::ffff:192.0.2.1"), 2);
        assert_eq!(count_allowed(&limits, Activity::Callback, "192.0.2.1"), 0, "the same address in the other notation");
        assert_eq!(count_allowed(&limits, Activity::UnknownCredential, "2001:db8::1"), 1);
    }

    #[test]
    fn zero_sets_no_limit() {
        assert_eq!(count_allowed(&limits(&ManualClock::new()), Activity::Onboarding, "192.0.2.1"), 20);
    }

    #[test]
    fn the_number_of_buckets_is_bounded_and_new_addresses_are_still_counted() {
        let limits = limits(&ManualClock::new());
        let most = u32::try_from(MAX_BUCKETS).unwrap();
        for number in (0..most).chain(0..2 * most) {
            let _ = limits.spend(Activity::Callback, IpAddr::from(number.to_be_bytes()).into());
        }
        limits.buckets.run_pending_tasks();
        assert!(limits.buckets.entry_count() <= MAX_BUCKETS, "{}", limits.buckets.entry_count());
        assert_eq!(count_allowed(&limits, Activity::Callback, "203.0.113.1"), 2);
    }
}
