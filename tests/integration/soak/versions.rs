//! Pods of the first version that are replaced one by one by the present one, and back: nobody notices.

use std::sync::Arc;

use super::Size;
use super::ledger::{Excuse, Ledger};
use super::load::Load;
use super::world::World;
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
    let mut world = World::start_with(&[redis.url(), redis.url(), redis.url()], |pod| pod.binary.clone_from(&first)).await;
    let ledger = Arc::new(Ledger::new("the first version replaced by the present one, and back"));
    let residents = world.residents().await;
    let load = Load::start(&world, &ledger, &residents);
    load.go_on_for(share).await;
    let (old, new) = (version(&world, 0).await, built_binary());
    for (way, binary) in [("replaced", new.as_path()), ("taken back", first.as_path())] {
        for pod in 0..world.pods.len() {
            ledger.phase(&format!("pod {pod} {way}"));
            ledger.excuse(Excuse::PodGone);
            world.pods[pod].run(binary);
            world.replace(pod).await;
            ledger.no_longer(Excuse::PodGone);
            assert_eq!(version(&world, pod).await == old, binary == first, "it is the other one now");
            load.go_on_for(share).await;
        }
    }
    load.end().await;
    world.tell().await;
    assert!(ledger.suspects().is_empty(), "{:?}", ledger.suspects());
    ledger.settle();
}

async fn version(world: &World, pod: usize) -> String {
    let metrics = world.pods[pod].metrics().await;
    let line = metrics.lines().find(|line| line.starts_with("vestibule_build_info{")).expect("every version tells it");
    line.to_owned()
}
