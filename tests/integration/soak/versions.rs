//! Pods of the first version that are replaced one by one by the present one, and back: nobody notices.

use std::sync::Arc;

use super::Size;
use super::ledger::{Excuse, Ledger};
use super::load::Load;
use super::users::builder;
use crate::support::fleet::Fleet;
use crate::support::pod::built_binary;
use crate::support::redis::Cluster;
use crate::support::versions;

const LOGINS: usize = 800;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the first version: `make test-versions` builds it"]
async fn versions_that_replace_each_other_pod_by_pod_log_nobody_out() {
    let first = versions::first();
    let share = Size::wanted().of(LOGINS) / 8;
    let redis = Cluster::start().await;
    let mut fleet = builder().pods(3).store_at(redis.url()).config(|pod| pod.binary.clone_from(&first)).start().await;
    let ledger = Arc::new(Ledger::new("the first version replaced by the present one, and back"));
    let residents = fleet.cached_users().await;
    let load = Load::start(&fleet, &ledger, &residents);
    load.go_on_for(share).await;
    let (old, new) = (version(&fleet, 0).await, built_binary());
    for (way, binary) in [("replaced", new.as_path()), ("taken back", first.as_path())] {
        for pod in 0..fleet.pods.len() {
            ledger.phase(&format!("pod {pod} {way}"));
            ledger.excuse(Excuse::PodGone);
            fleet.pods[pod].run(binary);
            fleet.replace(pod).await;
            ledger.no_longer(Excuse::PodGone);
            assert_eq!(version(&fleet, pod).await == old, binary == first, "it is the other one now");
            load.go_on_for(share).await;
        }
    }
    load.end().await;
    fleet.tell().await;
    assert!(ledger.suspects().is_empty(), "{:?}", ledger.suspects());
    ledger.settle();
}

async fn version(fleet: &Fleet, pod: usize) -> String {
    let metrics = fleet.pods[pod].metrics().await;
    let line = metrics.lines().find(|line| line.starts_with("vestibule_build_info{")).expect("every version tells it");
    line.to_owned()
}
