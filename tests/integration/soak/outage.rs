//! The whole of Redis away: known people are served for the grace, then nobody can say; and all works again when it is back.

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

/// Of an outage: how long it is, and how long known people are served in it.
fn outage() -> (Duration, Duration) {
    let seconds = Duration::from_secs;
    let size = Size::wanted();
    (size.lasting(seconds(60), seconds(9)), size.lasting(seconds(30), seconds(6)))
}

fn settings(grace: Duration) -> String {
    format!("cache: {{revocation_grace: {}s}}\n", grace.as_secs())
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_away_and_back_logs_nobody_out_and_needs_no_restart() {
    let ((away, grace), share) = (outage(), Size::wanted().of(LOGINS) / 2);
    let mut redis = Cluster::start_persistent().await;
    let fleet = builder().pods(3).store_at(redis.url()).yaml(settings(grace)).start().await;
    let ledger = Arc::new(Ledger::new(&format!("Redis away for {away:?}, served for {grace:?}")).with_grace(grace));
    let residents = fleet.cached_users().await;
    let known = residents[0].session.clone();
    let load = Load::start(&fleet, &ledger, &residents);
    load.go_on_for(share).await;

    ledger.phase("Redis away");
    ledger.excuse(Excuse::StoreAway);
    let gone = kill(&mut redis);
    pass((grace - CONSISTENCY_BOUND).saturating_sub(gone.from.elapsed())).await;
    ledger.phase("the grace nearly over");
    ledger.excuse(Excuse::GraceOver);
    pass(grace.saturating_sub(gone.until.elapsed())).await;
    for pod in &fleet.pods {
        assert_eq!(
            known.status_on(&fleet.http, pod).await,
            503,
            "{:?} after Redis went, known people are served no longer",
            gone.until.elapsed()
        );
        assert!(pod.is_ready().await, "readiness followed the store");
    }
    pass(away.saturating_sub(gone.until.elapsed())).await;

    ledger.phase("Redis back");
    redis.restart_all().await;
    println!("every pod proven {:.1?} after Redis was whole", fleet.until_proven().await);
    ledger.no_longer(Excuse::StoreAway);
    ledger.no_longer(Excuse::GraceOver);
    load.go_on_for(share).await;
    load.end().await;
    fleet.tell().await;

    assert!(ledger.unavailable(Kind::Session) > 0, "nobody was refused for an outage longer than the grace");
    assert!(ledger.suspects().is_empty(), "{:?}", ledger.suspects());
    ledger.settle();
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_back_empty_logs_everybody_out_and_lets_everybody_in_again() {
    let ((away, grace), share) = (outage(), Size::wanted().of(LOGINS) / 2);
    let mut redis = Cluster::start().await;
    let fleet = builder().pods(3).store_at(redis.url()).yaml(settings(grace)).start().await;
    let ledger = Arc::new(Ledger::new("before Redis is emptied"));
    let residents = fleet.cached_users().await;
    let load = Load::start(&fleet, &ledger, &residents);
    load.go_on_for(share).await;
    load.end().await;
    ledger.settle();

    let gone = kill(&mut redis);
    while_away(&fleet, &residents, &gone, (grace, away)).await;
    redis.restart_all().await;
    let back = Instant::now();
    let served = join_all(fleet.pods.iter().map(|pod| until_nobody_is_known(&fleet.http, pod, &residents, back))).await;
    println!("emptied: every pod refuses everybody {:.1?} after Redis was whole", back.elapsed());
    println!("checks that passed after that, of each pod: {served:?}");

    fleet.until_proven().await;
    let ledger = Arc::new(Ledger::new("after Redis was emptied"));
    let load = Load::start(&fleet, &ledger, &fleet.cached_users().await);
    load.go_on_for(share).await;
    load.end().await;
    fleet.tell().await;
    ledger.settle();
    for pod in &fleet.pods {
        for credential in residents.iter().flat_map(|resident| [&resident.session, &resident.key]) {
            assert_eq!(credential.status_on(&fleet.http, pod).await, 401, "somebody of before came back");
        }
    }
}

/// Redis went between these two: what was asked before the first was answered, and nothing after the second.
struct Gone {
    from: Instant,
    until: Instant,
}

fn kill(redis: &mut Cluster) -> Gone {
    let from = Instant::now();
    redis.kill_all();
    Gone { from, until: Instant::now() }
}

/// Known people are served within the grace, and nobody can say of them after it; at no time are they signed out.
async fn while_away(fleet: &Fleet, residents: &[CachedUser], gone: &Gone, (grace, away): (Duration, Duration)) {
    let (mut served, mut unavailable) = (0, 0);
    while gone.until.elapsed() < away {
        for (pod, resident) in fleet.pods.iter().flat_map(|pod| residents.iter().map(move |resident| (pod, resident))) {
            for credential in [&resident.session, &resident.key] {
                let began = gone.until.elapsed();
                match credential.status_on(&fleet.http, pod).await {
                    200 if began <= grace => served += 1,
                    503 if gone.from.elapsed() + CONSISTENCY_BOUND >= grace => unavailable += 1,
                    other => panic!("{other}, {began:?} after Redis went"),
                }
            }
        }
        pass(BETWEEN_ROUNDS).await;
    }
    println!("Redis away: {served} checks were served within {grace:?}, then {unavailable} times nobody could say");
    assert!(served > 0 && unavailable > 0);
}

/// How many checks of this pod passed that began after Redis was back; later than the bound there is none.
async fn until_nobody_is_known(http: &reqwest::Client, pod: &Pod, residents: &[CachedUser], back: Instant) -> usize {
    let mut served = 0;
    until("everybody to be refused", PATIENCE, async || {
        let mut refused = 0;
        let credentials: Vec<&Credential> = residents.iter().flat_map(|resident| [&resident.session, &resident.key]).collect();
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
