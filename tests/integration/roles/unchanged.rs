//! A login that brings nothing new writes nothing to the person's record.

use serde_json::json;

use super::granted_anew;
use crate::support::fleet::Fleet;
use crate::support::pod::PodOptions;
use crate::support::redis::{Node, Options, Standalone};
use crate::support::steps::BOB;

/// The records of a kind as they lie in the store. Sealing takes a fresh nonce, so that a record that is
/// written again is another one, whatever it says.
async fn records(node: &Node, kind: &str) -> Vec<(String, Vec<Vec<u8>>)> {
    let named = node.dump().await.into_iter().map(|(key, value)| (String::from_utf8_lossy(&key).into_owned(), value));
    let word = format!(":{kind}:");
    let mut records: Vec<_> = named.filter(|(key, _)| key.contains(&word)).collect();
    records.sort();
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_is_written_when_a_claim_has_changed_and_not_otherwise() {
    let redis = Standalone::start(Options::default()).await;
    let with_redis = |pod: &mut PodOptions| pod.store = vec![format!("url: {}", redis.url())];
    let fleet = Fleet::builder().idp().config(with_redis).start().await;
    let commits = async || fleet.pod(0).metric("vestibule_store_commands_total", &["operation=\"commit\""]).await;

    granted_anew(&fleet, BOB).await;
    let (first, before) = (records(&redis.node, "user").await, commits().await);
    assert_eq!(first.len(), 1, "one person has signed in");
    granted_anew(&fleet, BOB).await;
    assert_eq!(records(&redis.node, "user").await, first, "tokens are new and the person is not");
    assert_eq!(records(&redis.node, "identity").await.len(), 1);
    assert_eq!(records(&redis.node, "session").await.len(), 2, "a session is opened each time");
    assert_eq!(commits().await - before, 3.0, "the login begun, the login taken, the session");

    fleet.idp().set_claims("bob", json!({"preferred_username": "bob", "groups": ["/engineering/other"]})).await;
    granted_anew(&fleet, BOB).await;
    let changed = records(&redis.node, "user").await;
    assert_eq!((changed.len(), changed[0].0 == first[0].0), (1, true), "the same person");
    assert_ne!(changed[0].1, first[0].1, "a claim has changed");
    granted_anew(&fleet, BOB).await;
    assert_eq!(records(&redis.node, "user").await, changed);
}
