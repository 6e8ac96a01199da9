//! A primary behind Sentinel that is killed or hangs: nobody is logged out, and the pods find the new one.

use std::sync::Arc;

use rstest::rstest;
use tokio::time::Instant;

use super::Size;
use super::ledger::{Excuse, Ledger};
use super::load::Load;
use super::redis::{Failed, assert_lost_by_redis};
use super::users::builder;
use crate::support::redis::{Node, Sentinel};
use crate::support::resp::Reply;

const LOGINS: usize = 600;

#[rstest]
#[case::killed("the primary killed", Node::kill9)]
#[case::stopped("the primary stopped", Node::stop)]
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_behind_sentinel_that_fails_logs_nobody_out(#[case] what: &str, #[case] fault: fn(&mut Node)) {
    let share = Size::wanted().of(LOGINS) / 3;
    let mut redis = Sentinel::start().await;
    let fleet = builder()
        .pods(3)
        .store_at(redis.url())
        .config(|pod| {
            // A primary that hangs is left after three commands that it doesn't answer.
            pod.store.retain(|line| !line.starts_with("command_timeout"));
        })
        .start()
        .await;
    let ledger = Arc::new(Ledger::new(&format!("Sentinel: {what}")));
    let residents = fleet.cached_users().await;
    let load = Load::start(&fleet, &ledger, &residents);
    load.go_on_for(share).await;

    ledger.phase(what);
    ledger.excuse(Excuse::StoreAway);
    let (old, since) = (redis.primary().await, Instant::now());
    fault(&mut redis.nodes[old]);
    let new = redis.wait_for_failover(old).await;
    let failed_over = since.elapsed();
    println!("{what}: failed over in {failed_over:.1?}, every pod proven {:.1?} later", fleet.until_proven().await);
    ledger.no_longer(Excuse::StoreAway);
    load.go_on_for(share).await;

    ledger.phase("the old primary back");
    redis.nodes[old].cont();
    if !redis.nodes[old].is_running() {
        redis.nodes[old].restart().await;
    }
    load.go_on_for(share).await;
    load.end().await;
    fleet.tell().await;

    let is_there = async |key: &str| redis.nodes[new].call(&["EXISTS", key]).await == Reply::Int(1);
    let failed = Failed { at: since, slots: vec![(0, u16::MAX)] };
    assert_lost_by_redis(&fleet, &ledger, &[failed], is_there).await;
    ledger.settle();
}
