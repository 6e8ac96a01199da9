//! Pods that are killed, stopped, restarted and replaced one by one: no login fails, and no session ends.

use std::sync::Arc;
use std::time::Duration;

use super::Size;
use super::ledger::{Excuse, Kind, Ledger};
use super::load::Load;
use super::users::builder;
use crate::support::redis::Cluster;
use crate::support::wait::pass;

/// A part of these is spent in each fault.
const LOGINS: usize = 2000;

#[tokio::test(flavor = "multi_thread")]
async fn killed_stopped_and_replaced_pods_lose_no_login_and_end_no_session() {
    let size = Size::from_environment();
    let redis = Cluster::start().await;
    let mut fleet = builder().pods(3).store_at(redis.url()).start().await;
    let ledger = Arc::new(Ledger::new("pods killed, stopped and replaced"));
    let cached_users = fleet.cached_users().await;
    let load = Load::start(&fleet, &ledger, &cached_users);
    let share = size.of(LOGINS) / 8;
    load.wait_for_logins(share).await;

    ledger.phase("a pod killed");
    ledger.excuse(Excuse::PodGone);
    fleet.pods[0].kill9();
    load.wait_for_logins(share).await;
    ledger.phase("and started again");
    fleet.pods[0].restart().await;
    ledger.end_excuse(Excuse::PodGone);
    load.wait_for_logins(share).await;

    ledger.phase("a pod stopped");
    ledger.excuse(Excuse::PodGone);
    fleet.pods[1].process().stop();
    pass(size.duration(Duration::from_secs(15), Duration::from_secs(6))).await;
    ledger.phase("and continued");
    fleet.pods[1].process().cont();
    ledger.end_excuse(Excuse::PodGone);
    load.wait_for_logins(share).await;

    for pod in 0..fleet.pods.len() {
        ledger.phase(&format!("pod {pod} replaced"));
        ledger.excuse(Excuse::PodGone);
        fleet.replace(pod).await;
        ledger.end_excuse(Excuse::PodGone);
        load.wait_for_logins(share).await;
    }
    load.wait_for_logins(size.of(LOGINS).saturating_sub(load.logins())).await;
    load.end().await;
    fleet.print_statistics().await;

    assert!(ledger.right(Kind::Login) >= size.of(LOGINS), "{} logins", ledger.right(Kind::Login));
    assert!(ledger.suspects().is_empty(), "logged out: {:?}", ledger.suspects());
    ledger.print_and_assert();
}
