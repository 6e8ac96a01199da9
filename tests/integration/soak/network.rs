//! A network and clocks that go wrong between pods and Redis: slow replies, half replies, a bus that is heard no more.

use std::sync::Arc;
use std::time::Duration;

use super::Size;
use super::ledger::{Excuse, Ledger};
use super::load::Load;
use super::world::World;
use crate::support::proxy::FaultProxy;
use crate::support::redis::{Options, Standalone};
use crate::support::wait::pass;

const LOGINS: usize = 400;
const SLOW: Duration = Duration::from_millis(200);
/// Longer than a command is waited for.
const TOO_SLOW: Duration = Duration::from_secs(2);
const COMMAND_TIMEOUT: &str = "command_timeout: 1s";

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_redis_and_replies_that_stop_half_way_log_nobody_out() {
    let size = Size::wanted();
    let (lasts, share) = (size.lasting(Duration::from_secs(20), Duration::from_secs(5)), size.of(LOGINS) / 4);
    let redis = Standalone::start(Options::default()).await;
    let proxy = FaultProxy::start(redis.node.port()).await;
    let world = World::start_with(&[proxy.url(), proxy.url(), proxy.url()], |pod| {
        pod.store = vec![format!("url: {}", proxy.url()), COMMAND_TIMEOUT.to_owned()];
    })
    .await;
    let ledger = Arc::new(Ledger::new("a slow Redis, and half replies"));
    let residents = world.residents().await;
    let load = Load::start(&world, &ledger, &residents);
    load.go_on_for(share).await;

    ledger.phase("replies 200 ms late");
    proxy.delay(SLOW);
    load.go_on_for(share).await;

    for (what, fault) in
        [("replies 2 s late", (|proxy| proxy.delay(TOO_SLOW)) as fn(&FaultProxy)), ("half replies", FaultProxy::stop_half_way)]
    {
        proxy.resume();
        world.until_proven().await;
        world.see_again(&residents).await;
        ledger.phase(what);
        ledger.excuse(Excuse::StoreAway);
        fault(&proxy);
        pass(lasts).await;
        ledger.phase(&format!("{what} no longer"));
        proxy.resume();
        println!("{what}: every pod proven {:.1?} after the end", world.until_proven().await);
        ledger.no_longer(Excuse::StoreAway);
        load.go_on_for(share).await;
    }
    load.end().await;
    world.tell().await;
    assert!(ledger.suspects().is_empty(), "{:?}", ledger.suspects());
    ledger.settle();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_hears_no_notices_refuses_ended_sessions_within_the_bound() {
    let share = Size::wanted().of(LOGINS);
    let redis = Standalone::start(Options::default()).await;
    let proxy = FaultProxy::start(redis.node.port()).await;
    let world = World::start(&[redis.url(), redis.url(), proxy.url()], "").await;
    let ledger = Arc::new(Ledger::new("a pod that hears no notices"));
    let residents = world.residents().await;
    let load = Load::start(&world, &ledger, &residents);
    load.go_on_for(share / 4).await;
    ledger.phase("the bus cut towards one pod");
    proxy.cut_bus_to_client();
    load.go_on_for(share / 2).await;
    ledger.phase("the bus whole");
    proxy.heal_bus();
    load.go_on_for(share / 4).await;
    load.end().await;
    world.tell().await;
    assert!(ledger.suspects().is_empty(), "{:?}", ledger.suspects());
    let lost = world.pods[2].metric("vestibule_cache_flushes_total", &[]).await;
    assert!(lost > 0.0, "the pod never noticed that it missed something");
    ledger.settle();
}
