//! How often one client address may do, on one pod, what costs something and proves nothing.

use std::{
    net::{IpAddr, Ipv6Addr},
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

use crate::clock::Clock;

/// Addresses, each with an activity, that are counted at once; the one that was heard of the longest ago is forgotten for another.
const MOST_COUNTED: u64 = 50_000;

/// After so long without a request all that may be saved up is there again.
const FULL_AFTER: Duration = Duration::from_secs(60);

/// What is counted, each by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activity {
    LoginStart,
    Callback,
    Claim,
    UnknownCredential,
}

impl Activity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LoginStart => "login_start",
            Self::Callback => "callback",
            Self::Claim => "claim",
            Self::UnknownCredential => "unknown_credential",
        }
    }
}

/// Times a minute, and as many at once; 0 sets no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerMinute {
    pub login_starts: u32,
    pub callbacks: u32,
    pub claims: u32,
    pub unknown_credentials: u32,
}

/// It may be done again after so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    pub retry_after: Duration,
}

pub struct RateLimits {
    per_minute: PerMinute,
    clock: Ticks,
    buckets: Cache<(Activity, IpAddr), Arc<Bucket>>,
}

type Bucket = RateLimiter<NotKeyed, InMemoryState, Ticks, NoOpMiddleware<Instant>>;

impl RateLimits {
    pub fn new(per_minute: PerMinute, clock: Arc<dyn Clock>) -> Self {
        let buckets =
            Cache::builder().max_capacity(MOST_COUNTED).eviction_policy(EvictionPolicy::lru()).time_to_idle(FULL_AFTER).build();
        Self { per_minute, clock: Ticks(clock), buckets }
    }

    /// Counts one time more.
    pub fn spend(&self, activity: Activity, address: IpAddr) -> Result<(), Exceeded> {
        let Some(quota) = self.quota(activity) else { return Ok(()) };
        let make = || Arc::new(RateLimiter::direct_with_clock(quota, self.clock.clone()));
        let bucket = self.buckets.get_with((activity, network_of(address)), make);
        bucket.check().map_err(|not_until| Exceeded { retry_after: not_until.wait_time_from(self.clock.now()) })
    }

    fn quota(&self, activity: Activity) -> Option<Quota> {
        let times = match activity {
            Activity::LoginStart => self.per_minute.login_starts,
            Activity::Callback => self.per_minute.callbacks,
            Activity::Claim => self.per_minute.claims,
            Activity::UnknownCredential => self.per_minute.unknown_credentials,
        };
        NonZeroU32::new(times).map(Quota::per_minute)
    }
}

/// Whoever has one IPv6 address has 2^64 of them.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

/// The crate's monotonic clock, as the rate limiter reads one.
#[derive(Clone)]
struct Ticks(Arc<dyn Clock>);

impl governor::clock::Clock for Ticks {
    type Instant = Instant;

    fn now(&self) -> Instant {
        self.0.monotonic()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::manual::ManualClock;

    const PER_MINUTE: PerMinute = PerMinute { login_starts: 6, callbacks: 2, claims: 0, unknown_credentials: 1 };

    fn limits(clock: &ManualClock) -> RateLimits {
        RateLimits::new(PER_MINUTE, Arc::new(clock.clone()))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many in a row are let through.
    fn let_through(limits: &RateLimits, activity: Activity, from: &str) -> usize {
        (0..20).take_while(|_| limits.spend(activity, address(from)).is_ok()).count()
    }

    #[test]
    fn an_address_has_a_minutes_worth_at_once_and_then_one_after_the_other() {
        let clock = ManualClock::new();
        let limits = limits(&clock);
        assert_eq!(let_through(&limits, Activity::LoginStart, "192.0.2.1"), 6);
        let exceeded = limits.spend(Activity::LoginStart, address("192.0.2.1")).unwrap_err();
        assert_eq!(exceeded.retry_after, Duration::from_secs(10));
        clock.advance(Duration::from_secs(10));
        assert_eq!(let_through(&limits, Activity::LoginStart, "192.0.2.1"), 1);
        clock.advance(Duration::from_secs(60));
        assert_eq!(let_through(&limits, Activity::LoginStart, "192.0.2.1"), 6);
    }

    #[test]
    fn every_activity_and_every_network_is_counted_by_itself() {
        let limits = limits(&ManualClock::new());
        assert_eq!(let_through(&limits, Activity::Callback, "2001:db8::1"), 2);
        assert_eq!(let_through(&limits, Activity::Callback, "2001:db8::2"), 0, "somebody's other address");
        assert_eq!(let_through(&limits, Activity::Callback, "2001:db8:0:1::1"), 2);
        assert_eq!(let_through(&limits, Activity::Callback, "::ffff:192.0.2.1"), 2);
        assert_eq!(let_through(&limits, Activity::Callback, "192.0.2.1"), 0, "the same in the other notation");
        assert_eq!(let_through(&limits, Activity::UnknownCredential, "2001:db8::1"), 1);
    }

    #[test]
    fn zero_sets_no_limit() {
        assert_eq!(let_through(&limits(&ManualClock::new()), Activity::Claim, "192.0.2.1"), 20);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_who_comes_then_is_counted_all_the_same() {
        let limits = limits(&ManualClock::new());
        let most = u32::try_from(MOST_COUNTED).unwrap();
        for number in (0..most).chain(0..2 * most) {
            let _ = limits.spend(Activity::Callback, IpAddr::from(number.to_be_bytes()));
        }
        limits.buckets.run_pending_tasks();
        assert!(limits.buckets.entry_count() <= MOST_COUNTED, "{}", limits.buckets.entry_count());
        assert_eq!(let_through(&limits, Activity::Callback, "203.0.113.1"), 2);
    }
}
