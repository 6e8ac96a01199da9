//! A primary behind Sentinel that is killed or hangs: no session ends, and the pods connect to the new primary.

use std::sync::Arc;

use rstest::rstest;
use tokio::time::Instant;

use super::Size;
use super::ledger::{Excuse, Ledger};
use super::load::Load;
use super::redis::{FailedPrimary, assert_lost_by_redis};
use super::users::builder;
use crate::support::redis::{Node, Sentinel};
use crate::support::resp::Reply;

const LOGINS: usize = 600;

#[rstest]
#[case::killed("the primary killed", Node::kill9)]
#[case::stopped("the primary stopped", Node::stop)]
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_primary_behind_sentinel_ends_no_session(#[case] what: &str, #[case] fault: fn(&mut Node)) {
    let share = Size::from_environment().of(LOGINS) / 3;
    let mut redis = Sentinel::start().await;
    let fleet = builder()
        .pods(3)
        .store_at(redis.url())
        .config(|pod| {
            // The pods leave a hanging primary after three commands without an answer.
            pod.store.retain(|line| !line.starts_with("command_timeout"));
        })
        .start()
        .await;
    let ledger = Arc::new(Ledger::new(&format!("Sentinel: {what}")));
    let cached_users = fleet.cached_users().await;
    let load = Load::start(&fleet, &ledger, &cached_users);
    load.wait_for_logins(share).await;

    ledger.phase(what);
    ledger.excuse(Excuse::StoreAway);
    let (old, since) = (redis.primary().await, Instant::now());
    fault(&mut redis.nodes[old]);
    let new = redis.wait_for_failover(old).await;
    let failed_over = since.elapsed();
    println!(
        "{what}: failed over in {failed_over:.1?}, every pod verified its cache {:.1?} later",
        fleet.until_cache_verified().await
    );
    ledger.end_excuse(Excuse::StoreAway);
    load.wait_for_logins(share).await;

    ledger.phase("the old primary back");
    redis.nodes[old].cont();
    if !redis.nodes[old].is_running() {
        redis.nodes[old].restart().await;
    }
    load.wait_for_logins(share).await;
    load.end().await;
    fleet.print_statistics().await;

    let is_there = async |key: &str| redis.nodes[new].call(&["EXISTS", key]).await == Reply::Int(1);
    let failed = FailedPrimary { at: since, slots: vec![(0, u16::MAX)] };
    assert_lost_by_redis(&fleet, &ledger, &[failed], is_there).await;
    ledger.print_and_assert();
}
