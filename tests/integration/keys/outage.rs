//! While the store is unavailable, cached keys pass for the grace period, no key is created, and no key is called unknown.

use serde_json::json;
use tokio::time::Instant;

use super::PATIENCE;
use crate::support::api::{Auth, KEYS, call, create_key, key_status};
use crate::support::fleet::Fleet;
use crate::support::proxy::FaultProxy;
use crate::support::redis::{Options, Standalone};
use crate::support::wait::until;

#[tokio::test(flavor = "multi_thread")]
async fn in_an_outage_cached_keys_pass_uncached_keys_get_503_and_no_key_is_created() {
    let redis = Standalone::start(Options::default()).await;
    let proxy = FaultProxy::start(redis.node.port()).await;
    let fleet = Fleet::builder().stores([redis.url(), proxy.url()]).idp().yaml("cache: {revocation_grace: 1h}\n").start().await;
    let session = fleet.sign_in(0).await.cookie;
    let [known, unknown] = [(); 2].map(|()| create_key(&fleet.pods[0], Auth::Session(&session), json!({})));
    let (known, unknown) = (known.await, unknown.await);
    let pod = &fleet.pods[1];
    fleet.warm(1, &session).await;
    until("the key to be cached", PATIENCE, async || {
        let hits = pod.metric("vestibule_cache_lookups_total", &["\"key\"", "\"hit\""]).await;
        assert_eq!(key_status(pod, &known.key).await, 200);
        (pod.metric("vestibule_cache_lookups_total", &["\"key\"", "\"hit\""]).await > hits).then_some(())
    })
    .await;

    proxy.refuse();
    let since = Instant::now();
    until("cached entries to be stale", PATIENCE, async || {
        assert_eq!((key_status(pod, &known.key).await, fleet.status(1, &session).await), (200, 200), "{:?}", since.elapsed());
        (pod.metric("vestibule_cache_lookups_total", &["\"key\"", "\"stale\""]).await > 0.0).then_some(())
    })
    .await;
    assert_eq!(key_status(pod, &unknown.key).await, 503, "unknown is not unauthenticated");
    assert_eq!(key_status(pod, "sk-1234").await, 401, "a malformed key needs no store");
    let refused = call(pod, Auth::Session(&session), reqwest::Method::POST, KEYS, Some(json!({}))).await;
    assert_eq!(refused.status(), 503, "{refused:?}");
    assert!(["temporarily_unavailable", "outcome_unknown"].contains(&refused.json()["error"].as_str().expect("a code")));

    proxy.resume();
    until("the unknown key to be accepted", PATIENCE, async || (key_status(pod, &unknown.key).await == 200).then_some(())).await;
    until("keys to be created again", PATIENCE, async || {
        let reply = call(pod, Auth::Session(&session), reqwest::Method::POST, KEYS, Some(json!({}))).await;
        (reply.status() == 201).then_some(())
    })
    .await;
}
