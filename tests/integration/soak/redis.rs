//! Redis loses primaries, fails over, moves slots, and is unavailable and empty.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::Size;
use super::ledger::{Excuse, Ledger, Loss, SuspectSession};
use super::load::Load;
use super::users::{PATIENCE, builder};
use crate::support::fleet::Fleet;
use crate::support::records::session_key;
use crate::support::redis::Cluster;
use crate::support::resp::Reply;
use crate::support::wait::{timed, until};

const LOGINS: usize = 2000;
/// The replication delay of a replica when its primary was killed, with a margin for a busy machine.
const REPLICATION_DELAY: Duration = Duration::from_secs(2);
/// The maximum delay until a client receives an acknowledgment that the primary sent before it was killed.
const ACKNOWLEDGMENT_DELAY: Duration = Duration::from_secs(1);

/// A primary that failed.
pub struct FailedPrimary {
    pub at: Instant,
    /// The ranges from and to.
    pub slots: Vec<(u16, u16)>,
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_primaries_and_moved_slots_end_no_session_that_redis_kept() {
    let size = Size::from_environment();
    let mut redis = Cluster::start().await;
    let fleet = builder().pods(3).store_at(redis.url()).start().await;
    let ledger = Arc::new(Ledger::new("primaries killed, handed over and resharded"));
    let cached_users = fleet.cached_users().await;
    let load = Load::start(&fleet, &ledger, &cached_users);
    let share = size.of(LOGINS) / 6;
    load.wait_for_logins(share).await;
    let mut killed = Vec::new();

    for primary in redis.primaries().await {
        fleet.check_everywhere(&cached_users).await;
        ledger.phase(&format!("the primary of shard {} killed", killed.len()));
        ledger.excuse(Excuse::StoreAway);
        let (slots, at) = (redis.slots_of(primary).await, Instant::now());
        redis.nodes[primary].kill9();
        redis.wait_for_failover(primary).await;
        killed.push(FailedPrimary { at, slots });
        let failed_over = at.elapsed();
        println!(
            "failed over in {failed_over:.1?}, every pod verified its cache {:.1?} later",
            fleet.until_cache_verified().await
        );
        ledger.end_excuse(Excuse::StoreAway);
        load.wait_for_logins(share).await;
        redis.nodes[primary].restart().await;
        redis.wait_ok().await;
    }

    ledger.phase("a graceful failover");
    let replica = redis.a_replica().await;
    redis.nodes[replica].call(&["CLUSTER", "FAILOVER"]).await;
    until("the replica to be primary", PATIENCE, async || redis.primaries().await.contains(&replica).then_some(())).await;
    load.wait_for_logins(share).await;

    ledger.phase("slots moved to another primary");
    ledger.excuse(Excuse::StoreAway);
    let (moved, took) = timed(redis.reshard()).await;
    println!(
        "{moved} records moved in {took:.1?}, every pod verified its cache {:.1?} later",
        fleet.until_cache_verified().await
    );
    ledger.end_excuse(Excuse::StoreAway);
    load.wait_for_logins(share).await;
    load.wait_for_logins(size.of(LOGINS).saturating_sub(load.logins())).await;
    load.end().await;
    fleet.print_statistics().await;

    let is_there = async |key: &str| redis.nodes[redis.owner_of(key).await].call(&["EXISTS", key]).await == Reply::Int(1);
    assert_lost_by_redis(&fleet, &ledger, &killed, is_there).await;
    ledger.print_and_assert();
}

/// Each valid session that was refused, and each ended one that passed, is explained by a write that the promoted replica never
/// received. Prints their numbers.
pub async fn assert_lost_by_redis(
    fleet: &Fleet,
    ledger: &Ledger,
    failed: &[FailedPrimary],
    is_there: impl AsyncFn(&str) -> bool,
) {
    let mut lost = BTreeMap::new();
    for SuspectSession { cookie, loss, written } in ledger.suspects() {
        let slot = fred::util::redis_keyslot(session_key(&cookie).as_bytes());
        let lost_it = |FailedPrimary { at, slots }: &FailedPrimary| {
            let had_it = slots.iter().any(|(first, last)| (*first..=*last).contains(&slot));
            had_it && written + REPLICATION_DELAY >= *at && written <= *at + ACKNOWLEDGMENT_DELAY
        };
        assert!(failed.iter().any(lost_it), "{loss:?}: not of a primary that failed, or not then");
        assert_eq!(is_there(&session_key(&cookie)).await, loss == Loss::Ended, "{loss:?}: the store disagrees");
        lost.entry(loss).or_insert_with(BTreeSet::new).insert(cookie);
    }
    let of = |loss| lost.get(&loss).map_or(0, BTreeSet::len);
    let counted = join_all(fleet.pods.iter().map(|pod| pod.metric("vestibule_store_unreplicated_revocations_total", &[]))).await;
    let counted: f64 = counted.iter().sum();
    println!(
        "lost by Redis: {} sign-ins, {} sign-outs of {counted} that no replica confirmed",
        of(Loss::Opened),
        of(Loss::Ended)
    );
    assert!(u32::try_from(of(Loss::Ended)).is_ok_and(|ended| f64::from(ended) <= counted), "{lost:?}");
}
