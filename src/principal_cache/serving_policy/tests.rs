//! Tests stale serving with a manual clock and prepared results of reads.

use std::{
    future::{pending, ready},
    time::Instant,
};

use super::*;
use crate::{clock::manual::ManualClock, principal_cache::cache::RETRY_AFTER_FAILURE, store::RecordKind};

const GRACE: Duration = Duration::from_secs(60);

type TestLookupResult = Result<Option<&'static str>, LookupError>;

struct Fixture {
    clock: ManualClock,
    cache: Cache,
    shard: Shard,
    confirmed: Instant,
}

impl Fixture {
    fn new() -> Self {
        let clock = ManualClock::new();
        let confirmed = clock.monotonic();
        Self { cache: Cache::new(10, confirmed), clock, shard: Shard::all().next().unwrap(), confirmed }
    }

    fn cached(&self) -> Option<CachedValue<&'static str>> {
        Some(CachedValue { value: Some("cached"), confirmed: self.confirmed })
    }

    fn fail_a_read(&self) {
        self.cache.record_failure(self.shard, self.clock.monotonic());
    }

    async fn serve(
        &self,
        cached: Option<CachedValue<&'static str>>,
        state: SessionState,
        read: impl Future<Output = TestLookupResult>,
    ) -> Result<ServedValue<&'static str>, String> {
        let serving = ServingPolicy { cache: &self.cache, clock: &self.clock, grace: GRACE, shard: self.shard };
        serving.serve(cached, |_| state, read).await.map_err(|error| error.to_string())
    }
}

fn outage() -> TestLookupResult {
    Err(LookupError::Store(store::Error::Unavailable("it is away".into())))
}

async fn never() -> TestLookupResult {
    panic!("no read is expected")
}

#[tokio::test]
async fn a_value_within_the_consistency_bound_is_a_hit() {
    let fixture = Fixture::new();
    fixture.clock.advance(CONSISTENCY_BOUND);
    for state in [SessionState::Live, SessionState::Ended] {
        assert_eq!(fixture.serve(fixture.cached(), state, never()).await, Ok(ServedValue::Hit(Some("cached"))));
    }
    let absent = Some(CachedValue { value: None, confirmed: fixture.confirmed });
    assert_eq!(fixture.serve(absent, SessionState::Live, never()).await, Ok(ServedValue::Hit(None)));
}

#[tokio::test]
async fn everything_else_is_read() {
    let fixture = Fixture::new();
    let read = || ready(Ok(Some("read")));
    assert_eq!(fixture.serve(None, SessionState::Live, read()).await, Ok(ServedValue::Read(Some("read"))));
    assert_eq!(fixture.serve(fixture.cached(), SessionState::Idle, read()).await, Ok(ServedValue::Read(Some("read"))));
    fixture.clock.advance(CONSISTENCY_BOUND + Duration::from_millis(1));
    for state in [SessionState::Live, SessionState::Idle, SessionState::Ended] {
        assert_eq!(fixture.serve(fixture.cached(), state, read()).await, Ok(ServedValue::Read(Some("read"))));
    }
    assert_eq!(fixture.serve(fixture.cached(), SessionState::Live, ready(Ok(None))).await, Ok(ServedValue::Read(None)));
}

#[tokio::test]
async fn in_an_outage_a_live_value_is_served_within_the_grace_period() {
    let fixture = Fixture::new();
    fixture.clock.advance(GRACE);
    assert_eq!(
        fixture.serve(fixture.cached(), SessionState::Live, ready(outage())).await,
        Ok(ServedValue::Stale(Some("cached")))
    );
    for state in [SessionState::Idle, SessionState::Ended] {
        assert!(fixture.serve(fixture.cached(), state, ready(outage())).await.is_err(), "{state:?}");
    }
    assert!(fixture.serve(None, SessionState::Live, ready(outage())).await.is_err());
    fixture.clock.advance(Duration::from_millis(1));
    assert!(fixture.serve(fixture.cached(), SessionState::Live, ready(outage())).await.is_err());
}

#[tokio::test]
async fn a_value_that_becomes_too_old_during_the_read_is_not_served() {
    let fixture = Fixture::new();
    fixture.clock.advance(GRACE);
    let slow = async {
        fixture.clock.advance(Duration::from_millis(1));
        outage()
    };
    assert!(fixture.serve(fixture.cached(), SessionState::Live, slow).await.is_err());
}

#[tokio::test]
async fn too_many_reads_at_once_are_an_outage_too() {
    let fixture = Fixture::new();
    fixture.clock.advance(CONSISTENCY_BOUND * 2);
    let served = fixture.serve(fixture.cached(), SessionState::Live, ready(Err(LookupError::Overloaded))).await;
    assert_eq!(served, Ok(ServedValue::Stale(Some("cached"))));
}

#[tokio::test]
async fn an_unreadable_record_is_an_answer_and_ends_stale_serving() {
    let fixture = Fixture::new();
    fixture.clock.advance(CONSISTENCY_BOUND * 2);
    let unreadable = LookupError::Store(store::Error::Unreadable { kind: RecordKind::User, reason: "it was altered".into() });
    let served = fixture.serve(fixture.cached(), SessionState::Live, ready(Err(unreadable.clone()))).await;
    assert_eq!(served, Err(unreadable.to_string()));
}

#[tokio::test]
async fn after_a_failure_the_store_is_not_read_for_a_while() {
    let fixture = Fixture::new();
    fixture.clock.advance(CONSISTENCY_BOUND * 2);
    fixture.fail_a_read();
    assert_eq!(fixture.serve(fixture.cached(), SessionState::Live, never()).await, Ok(ServedValue::Stale(Some("cached"))));
    assert!(fixture.serve(fixture.cached(), SessionState::Ended, never()).await.is_err());
    let read = || ready(Ok(Some("read")));
    // Without a cached value the store is read anyway.
    assert_eq!(fixture.serve(None, SessionState::Live, read()).await, Ok(ServedValue::Read(Some("read"))));
    fixture.clock.advance(RETRY_AFTER_FAILURE);
    assert_eq!(fixture.serve(fixture.cached(), SessionState::Live, read()).await, Ok(ServedValue::Read(Some("read"))));
}

#[tokio::test]
async fn a_read_that_hangs_is_not_waited_for_when_a_stale_value_can_be_served() {
    let fixture = Fixture::new();
    fixture.clock.advance(CONSISTENCY_BOUND * 2);
    let served = fixture.serve(fixture.cached(), SessionState::Live, pending()).await;
    assert_eq!(served, Ok(ServedValue::Stale(Some("cached"))));
    assert!(fixture.cache.has_failed_recently(fixture.shard, fixture.clock.monotonic()), "it counts as a failure");
}

#[tokio::test]
async fn a_read_is_waited_for_as_long_as_it_takes_when_nothing_else_can_be_served() {
    let fixture = Fixture::new();
    fixture.clock.advance(CONSISTENCY_BOUND * 2);
    for cached in [None, fixture.cached()] {
        let serve = fixture.serve(cached, SessionState::Ended, pending());
        assert!(tokio::time::timeout(STALE_READ_TIMEOUT + RETRY_AFTER_FAILURE, serve).await.is_err());
    }
}

#[test]
fn hits_and_stale_answers_have_a_metric_of_their_own() {
    assert_eq!(ServedValue::Hit(Some(1)).cache_result(), Some(CacheResult::Hit));
    assert_eq!(ServedValue::Stale(Some(1)).cache_result(), Some(CacheResult::Stale));
    assert_eq!(ServedValue::Read(Some(1)).cache_result(), None);
    assert_eq!(ServedValue::Read(Some(1)).into_value(), Some(1));
}
