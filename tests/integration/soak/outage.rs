//! An outage of all of Redis: cached users are served for the grace period, then checks get 503, and all works again
//! afterwards.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;
use vestibule::principal_cache::CONSISTENCY_BOUND;

use super::Size;
use super::ledger::{Excuse, Kind, Ledger};
use super::load::Load;
use super::users::{CachedUser, PATIENCE, builder};
use super::visitor::Credential;
use crate::support::fleet::Fleet;
use crate::support::pod::Pod;
use crate::support::redis::Cluster;
use crate::support::wait::{pass, until};

const LOGINS: usize = 400;
const BETWEEN_ROUNDS: Duration = Duration::from_millis(200);

/// The durations of the outage and of the grace period.
fn outage() -> (Duration, Duration) {
    let seconds = Duration::from_secs;
    let size = Size::from_environment();
    (size.duration(seconds(60), seconds(9)), size.duration(seconds(30), seconds(6)))
}

fn settings(grace: Duration) -> String {
    format!("cache: {{revocation_grace: {}s}}\n", grace.as_secs())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_redis_ends_no_session_and_needs_no_restart() {
    let ((away, grace), share) = (outage(), Size::from_environment().of(LOGINS) / 2);
    let mut redis = Cluster::start_persistent().await;
    let fleet = builder().pods(3).store_at(redis.url()).yaml(settings(grace)).start().await;
    let ledger = Arc::new(Ledger::new(&format!("Redis away for {away:?}, served for {grace:?}")).with_grace(grace));
    let cached_users = fleet.cached_users().await;
    let known = cached_users[0].session.clone();
    let load = Load::start(&fleet, &ledger, &cached_users);
    load.wait_for_logins(share).await;

    ledger.phase("Redis away");
    ledger.excuse(Excuse::StoreAway);
    let outage_start = kill(&mut redis);
    pass((grace - CONSISTENCY_BOUND).saturating_sub(outage_start.from.elapsed())).await;
    ledger.phase("the grace nearly over");
    ledger.excuse(Excuse::GraceOver);
    pass(grace.saturating_sub(outage_start.until.elapsed())).await;
    for pod in &fleet.pods {
        assert_eq!(
            known.status_on(&fleet.http, pod).await,
            503,
            "{:?} after Redis went, cached users are no longer served",
            outage_start.until.elapsed()
        );
        assert!(pod.is_ready().await, "readiness followed the store");
    }
    pass(away.saturating_sub(outage_start.until.elapsed())).await;

    ledger.phase("Redis back");
    redis.restart_all().await;
    println!("every pod verified its cache {:.1?} after Redis was complete", fleet.until_cache_verified().await);
    ledger.end_excuse(Excuse::StoreAway);
    ledger.end_excuse(Excuse::GraceOver);
    load.wait_for_logins(share).await;
    load.end().await;
    fleet.print_statistics().await;

    assert!(ledger.unavailable(Kind::Session) > 0, "no check got 503 in an outage longer than the grace period");
    assert!(ledger.suspects().is_empty(), "{:?}", ledger.suspects());
    ledger.print_and_assert();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_redis_ends_all_sessions_and_users_can_sign_in_again() {
    let ((away, grace), share) = (outage(), Size::from_environment().of(LOGINS) / 2);
    let mut redis = Cluster::start().await;
    let fleet = builder().pods(3).store_at(redis.url()).yaml(settings(grace)).start().await;
    let ledger = Arc::new(Ledger::new("before Redis is emptied"));
    let cached_users = fleet.cached_users().await;
    let load = Load::start(&fleet, &ledger, &cached_users);
    load.wait_for_logins(share).await;
    load.end().await;
    ledger.print_and_assert();

    let outage_start = kill(&mut redis);
    assert_served_for_the_grace_period(&fleet, &cached_users, &outage_start, (grace, away)).await;
    redis.restart_all().await;
    let back = Instant::now();
    let served =
        join_all(fleet.pods.iter().map(|pod| checks_that_passed_after_the_outage(&fleet.http, pod, &cached_users, back))).await;
    println!("emptied: every pod refuses all old sessions {:.1?} after Redis was complete", back.elapsed());
    println!("checks that passed after that, of each pod: {served:?}");

    fleet.until_cache_verified().await;
    let ledger = Arc::new(Ledger::new("after Redis was emptied"));
    let load = Load::start(&fleet, &ledger, &fleet.cached_users().await);
    load.wait_for_logins(share).await;
    load.end().await;
    fleet.print_statistics().await;
    ledger.print_and_assert();
    for pod in &fleet.pods {
        for credential in cached_users.iter().flat_map(|cached_user| [&cached_user.session, &cached_user.key]) {
            assert_eq!(credential.status_on(&fleet.http, pod).await, 401, "a session from before the outage was served");
        }
    }
}

/// The interval of the outage's start: earlier commands were answered, and later ones were not.
struct OutageStart {
    from: Instant,
    until: Instant,
}

fn kill(redis: &mut Cluster) -> OutageStart {
    let from = Instant::now();
    redis.kill_all();
    OutageStart { from, until: Instant::now() }
}

/// Cached users are served within the grace period and get 503 after it; they are never signed out.
async fn assert_served_for_the_grace_period(
    fleet: &Fleet,
    cached_users: &[CachedUser],
    start: &OutageStart,
    (grace, away): (Duration, Duration),
) {
    let (mut served, mut unavailable) = (0, 0);
    while start.until.elapsed() < away {
        for (pod, cached_user) in fleet.pods.iter().flat_map(|pod| cached_users.iter().map(move |cached_user| (pod, cached_user)))
        {
            for credential in [&cached_user.session, &cached_user.key] {
                let began = start.until.elapsed();
                match credential.status_on(&fleet.http, pod).await {
                    200 if began <= grace => served += 1,
                    503 if start.from.elapsed() + CONSISTENCY_BOUND >= grace => unavailable += 1,
                    other => panic!("{other}, {began:?} after Redis went"),
                }
            }
        }
        pass(BETWEEN_ROUNDS).await;
    }
    println!("Redis away: {served} checks were served within {grace:?}, then {unavailable} got 503");
    assert!(served > 0 && unavailable > 0);
}

/// The number of checks that passed on this pod after Redis was back; none passes later than the bound.
async fn checks_that_passed_after_the_outage(
    http: &reqwest::Client,
    pod: &Pod,
    cached_users: &[CachedUser],
    back: Instant,
) -> usize {
    let mut served = 0;
    until("all users to be refused", PATIENCE, async || {
        let mut refused = 0;
        let credentials: Vec<&Credential> =
            cached_users.iter().flat_map(|cached_user| [&cached_user.session, &cached_user.key]).collect();
        for credential in &credentials {
            let began = back.elapsed();
            match credential.status_on(http, pod).await {
                200 => {
                    assert!(began <= CONSISTENCY_BOUND, "served {began:?} after the store was back, and empty");
                    served += 1;
                }
                401 => refused += 1,
                503 => {}
                other => panic!("{other}"),
            }
        }
        (refused == credentials.len()).then_some(())
    })
    .await;
    served
}
