//! A rolling update from the first version to the current one and back: users are not affected.

use std::sync::Arc;

use super::Size;
use super::ledger::{Excuse, Ledger};
use super::load::Load;
use super::users::builder;
use crate::support::fleet::Fleet;
use crate::support::nginx::CheckUrl;
use crate::support::pod::{PodOptions, built_binary};
use crate::support::redis::Cluster;
use crate::support::versions;

const LOGINS: usize = 800;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the first version: `make test-versions` builds it"]
async fn a_rolling_update_and_rollback_end_no_session() {
    let first = versions::first();
    let share = Size::from_environment().of(LOGINS) / 8;
    let redis = Cluster::start().await;
    // The first version knows no gateway secret.
    let as_first = |pod: &mut PodOptions| (pod.binary, pod.gateway_secret) = (first.clone(), None);
    let mut fleet = builder().pods(3).store_at(redis.url()).check_url(CheckUrl::Plain).config(as_first).start().await;
    let ledger = Arc::new(Ledger::new("the first version upgraded to the current one and rolled back"));
    let cached_users = fleet.cached_users().await;
    let load = Load::start(&fleet, &ledger, &cached_users);
    load.wait_for_logins(share).await;
    let (old, new) = (version(&fleet, 0).await, built_binary());
    for (way, binary) in [("replaced", new.as_path()), ("rolled back", first.as_path())] {
        for pod in 0..fleet.pods.len() {
            ledger.phase(&format!("pod {pod} {way}"));
            ledger.excuse(Excuse::PodGone);
            fleet.pods[pod].run(binary);
            fleet.replace(pod).await;
            ledger.end_excuse(Excuse::PodGone);
            assert_eq!(version(&fleet, pod).await == old, binary == first, "the version has changed");
            load.wait_for_logins(share).await;
        }
    }
    load.end().await;
    fleet.print_statistics().await;
    assert!(ledger.suspects().is_empty(), "{:?}", ledger.suspects());
    ledger.print_and_assert();
}

async fn version(fleet: &Fleet, pod: usize) -> String {
    let metrics = fleet.pods[pod].metrics().await;
    let line = metrics.lines().find(|line| line.starts_with("vestibule_build_info{")).expect("every version has the metric");
    line.to_owned()
}
