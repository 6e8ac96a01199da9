//! A pod that is killed under load, and an outage of the store: no gateway answers that a caller is not signed in.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;

use super::{Caller, GatewayFleet, JSON, assert_no_internal_headers, is_from_upstream};
use crate::support::fleet::Fleet;
use crate::support::gateway::RunningGateway;
use crate::support::wait;

const CLIENTS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);
/// The time of the load before and after the pod is killed.
const LOAD: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_pod_and_an_outage_of_the_store_sign_nobody_out() {
    let mut shared = GatewayFleet::start(Fleet::builder().pods(3).own_cluster().heavy()).await;
    kill_a_pod_under_load(&mut shared).await;
    for node in &mut shared.fleet.cluster_mut().nodes {
        node.kill9();
    }
    wait::until("the store outage to be detected", PATIENCE, async || {
        let to = &shared.fleet.pods[1];
        let answer = crate::support::api::key_status(to, &crate::support::steps::unknown_key()).await;
        (answer == 503).then_some(())
    })
    .await;
    shared.gateways.each(async |to| assert_outage(&shared, to).await).await;
}

async fn kill_a_pod_under_load(shared: &mut GatewayFleet) {
    let ended = AtomicBool::new(false);
    // The gateways and the pods are separate fields, so that a pod can be killed while requests are sent.
    let GatewayFleet { gateways, fleet, user, key, .. } = shared;
    let credentials = [("Cookie", user.clone()), ("Authorization", format!("Bearer {}", key.key))];
    let load = gateways.each(async |to| {
        let clients = (0..CLIENTS).map(|number| send_until(to, &credentials[number % credentials.len()], &ended));
        let statuses = join_all(clients).await.into_iter().flatten();
        let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
        statuses.for_each(|status| *counts.entry(status).or_default() += 1);
        eprintln!("{:?} with a pod killed: {counts:?}", to.gateway);
        let refused: usize = [302, 401, 403].iter().filter_map(|status| counts.get(status)).sum();
        assert_eq!(refused, 0, "{:?}: {counts:?}", to.gateway);
        let (passed, all) = (counts.get(&200).copied().unwrap_or_default(), counts.values().sum::<usize>());
        assert!(passed > 50 && all - passed <= all / 10, "{:?}: {counts:?}", to.gateway);
    });
    let kill = async {
        wait::pass(LOAD).await;
        fleet.pods[0].kill9();
        wait::pass(LOAD).await;
        ended.store(true, Ordering::Relaxed);
    };
    tokio::join!(load, kill);
}

/// The statuses of requests that are sent one after another; 0 if the connection was closed without an answer.
async fn send_until(to: &RunningGateway, (name, value): &(&str, String), ended: &AtomicBool) -> Vec<u16> {
    let request = format!("GET /v1/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{name}: {value}\r\n\r\n");
    let mut statuses = Vec::new();
    while !ended.load(Ordering::Relaxed) {
        let answer = crate::support::raw_http::send_bytes_to(to.address, request.as_bytes()).await;
        statuses.push(answer.map_or(0, |answer| answer.status));
    }
    statuses
}

async fn assert_outage(shared: &GatewayFleet, to: &RunningGateway) {
    // Callers whom the pods know are served, and open paths need no store.
    for (target, caller) in [("/v1/x", Caller::User), ("/v1/x", Caller::Key), ("/open/x", Caller::Anonymous)] {
        let answer = shared.send(to, ("GET", target), caller, &[JSON]).await;
        assert!(is_from_upstream(&answer), "{:?}: {target} {caller:?}: {answer:?}", to.gateway);
    }
    let answer = shared.send(to, ("GET", "/v1/x"), Caller::UnknownKey, &[JSON]).await;
    let context = format!("{:?}: {answer:?}", to.gateway);
    assert_eq!(answer.status, 503, "{context}");
    assert!(answer.one("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0), "{context}");
    assert_eq!(answer.json()["error"], "temporarily_unavailable", "{context}");
    assert_no_internal_headers(&answer, &context);
    let answer = shared.send(to, ("GET", "/v1/x"), Caller::Anonymous, &[JSON]).await;
    assert_eq!(answer.status, 401, "{:?}: a request without a credential needs no store: {answer:?}", to.gateway);
}
