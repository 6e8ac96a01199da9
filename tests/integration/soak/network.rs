//! Network faults between the pods and each node of the cluster: slow replies, partial replies, a cut invalidation channel.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use rstest::rstest;

use super::Size;
use super::ledger::{Excuse, Ledger};
use super::load::Load;
use super::users::builder;
use crate::support::pod::Pod;
use crate::support::proxy::FaultProxy;
use crate::support::redis::Cluster;
use crate::support::wait::pass;

const LOGINS: usize = 400;
const SLOW: Duration = Duration::from_millis(200);
const SLOWER: Duration = Duration::from_secs(2);
const AWAY: Option<Excuse> = Some(Excuse::StoreAway);

/// Even with slow commands, a check is answered before the gateway's timeout.
#[rstest]
#[case::slow("replies 200 ms late", "command_timeout: 1s", |proxy: &FaultProxy| proxy.delay(SLOW), None)]
#[case::not_waited_for("replies 2 s late", "command_timeout: 1s", |proxy: &FaultProxy| proxy.delay(SLOWER), AWAY)]
#[case::waited_for("replies 2 s late, that are waited for", "command_timeout: 5s", |proxy: &FaultProxy| proxy.delay(SLOWER), AWAY)]
#[case::never("no replies, that are waited for", "command_timeout: 10s", FaultProxy::stall, AWAY)]
#[case::half("half replies", "command_timeout: 1s", FaultProxy::halve_next_replies, AWAY)]
#[tokio::test(flavor = "multi_thread")]
async fn slow_and_incomplete_replies_of_redis_end_no_session(
    #[case] what: &str,
    #[case] command_timeout: &str,
    #[case] fault: fn(&FaultProxy),
    #[case] excuse: Option<Excuse>,
) {
    let size = Size::from_environment();
    let (lasts, share) = (size.duration(Duration::from_secs(20), Duration::from_secs(8)), size.of(LOGINS) / 4);
    let redis = Cluster::start_behind_proxies().await;
    let fleet = builder()
        .pods(3)
        .store_at(redis.url())
        .config(|pod| {
            pod.store = vec![format!("url: {}", redis.url()), command_timeout.to_owned()];
        })
        .start()
        .await;
    let ledger = Arc::new(Ledger::new(&format!("{what}, {command_timeout}")));
    let cached_users = fleet.cached_users().await;
    let load = Load::start(&fleet, &ledger, &cached_users);
    load.wait_for_logins(share).await;

    ledger.phase(what);
    excuse.into_iter().for_each(|excuse| ledger.excuse(excuse));
    redis.proxies.iter().for_each(fault);
    pass(lasts).await;
    ledger.phase(&format!("{what} no longer"));
    redis.proxies.iter().for_each(FaultProxy::resume);
    println!("{what}: every pod verified its cache {:.1?} after the end", fleet.until_cache_verified().await);
    excuse.into_iter().for_each(|excuse| ledger.end_excuse(excuse));
    load.wait_for_logins(share).await;
    load.end().await;
    fleet.print_statistics().await;
    assert!(ledger.suspects().is_empty(), "{:?}", ledger.suspects());
    ledger.print_and_assert();
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_without_the_invalidation_channel_refuse_ended_sessions_within_the_bound() {
    let share = Size::from_environment().of(LOGINS);
    let redis = Cluster::start_behind_proxies().await;
    let fleet = builder().pods(3).store_at(redis.url()).start().await;
    let ledger = Arc::new(Ledger::new("pods that receive no invalidation messages"));
    let cached_users = fleet.cached_users().await;
    let load = Load::start(&fleet, &ledger, &cached_users);
    load.wait_for_logins(share / 4).await;
    ledger.phase("the invalidation channel cut");
    let flushed = async |pod: &Pod| pod.metric("vestibule_cache_flushes_total", &[]).await;
    let before = join_all(fleet.pods.iter().map(flushed)).await;
    redis.proxies.iter().for_each(FaultProxy::cut_channel_to_client);
    load.wait_for_logins(share / 2).await;
    ledger.phase("the invalidation channel restored");
    redis.proxies.iter().for_each(FaultProxy::heal_channel);
    load.wait_for_logins(share / 4).await;
    load.end().await;
    fleet.print_statistics().await;
    assert!(ledger.suspects().is_empty(), "{:?}", ledger.suspects());
    for (pod, before) in fleet.pods.iter().zip(before) {
        assert!(flushed(pod).await > before, "{} never detected the missed messages", pod.log());
    }
    ledger.print_and_assert();
}
