//! Pods that are killed, stopped, restarted and replaced one by one: no login is lost, and nobody is logged out.

use std::sync::Arc;
use std::time::Duration;

use super::Size;
use super::ledger::{Excuse, Kind, Ledger};
use super::load::Load;
use super::users::builder;
use crate::support::redis::Cluster;
use crate::support::wait::pass;

/// Of them a part is spent in each fault.
const LOGINS: usize = 2000;

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_are_killed_stopped_and_replaced_lose_no_login_and_log_nobody_out() {
    let size = Size::wanted();
    let redis = Cluster::start().await;
    let mut fleet = builder().pods(3).store_at(redis.url()).start().await;
    let ledger = Arc::new(Ledger::new("pods killed, stopped and replaced"));
    let residents = fleet.cached_users().await;
    let load = Load::start(&fleet, &ledger, &residents);
    let share = size.of(LOGINS) / 8;
    load.go_on_for(share).await;

    ledger.phase("a pod killed");
    ledger.excuse(Excuse::PodGone);
    fleet.pods[0].kill9();
    load.go_on_for(share).await;
    ledger.phase("and started again");
    fleet.pods[0].restart().await;
    ledger.no_longer(Excuse::PodGone);
    load.go_on_for(share).await;

    ledger.phase("a pod stopped");
    ledger.excuse(Excuse::PodGone);
    fleet.pods[1].process().stop();
    pass(size.lasting(Duration::from_secs(15), Duration::from_secs(6))).await;
    ledger.phase("and continued");
    fleet.pods[1].process().cont();
    ledger.no_longer(Excuse::PodGone);
    load.go_on_for(share).await;

    for pod in 0..fleet.pods.len() {
        ledger.phase(&format!("pod {pod} replaced"));
        ledger.excuse(Excuse::PodGone);
        fleet.replace(pod).await;
        ledger.no_longer(Excuse::PodGone);
        load.go_on_for(share).await;
    }
    load.go_on_for(size.of(LOGINS).saturating_sub(load.logins())).await;
    load.end().await;
    fleet.tell().await;

    assert!(ledger.right(Kind::Login) >= size.of(LOGINS), "{} logins", ledger.right(Kind::Login));
    assert!(ledger.suspects().is_empty(), "logged out: {:?}", ledger.suspects());
    ledger.settle();
}
