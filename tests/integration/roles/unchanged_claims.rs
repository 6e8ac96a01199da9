//! A login with unchanged claims does not write the user's record.

use serde_json::json;

use super::grant_after_login;
use crate::support::fleet::Fleet;
use crate::support::pod::PodOptions;
use crate::support::redis::{Node, Options, Standalone};
use crate::support::steps::BOB;

/// The stored records of a kind. Encryption uses a new nonce, so a rewritten record always differs.
async fn records(node: &Node, kind: &str) -> Vec<(String, Vec<Vec<u8>>)> {
    let named = node.dump().await.into_iter().map(|(key, value)| (String::from_utf8_lossy(&key).into_owned(), value));
    let word = format!(":{kind}:");
    let mut records: Vec<_> = named.filter(|(key, _)| key.contains(&word)).collect();
    records.sort();
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn the_users_record_is_written_only_if_a_claim_has_changed() {
    let redis = Standalone::start(Options::default()).await;
    let with_redis = |pod: &mut PodOptions| pod.store = vec![format!("url: {}", redis.url())];
    let fleet = Fleet::builder().idp().config(with_redis).start().await;
    let commits = async || fleet.pod(0).metric("vestibule_store_commands_total", &["operation=\"commit\""]).await;

    grant_after_login(&fleet, BOB).await;
    let (first, before) = (records(&redis.node, "user").await, commits().await);
    assert_eq!(first.len(), 1, "one user has signed in");
    grant_after_login(&fleet, BOB).await;
    assert_eq!(records(&redis.node, "user").await, first, "the tokens are new and the claims are unchanged");
    assert_eq!(records(&redis.node, "identity").await.len(), 1);
    assert_eq!(records(&redis.node, "session").await.len(), 2, "a session is opened each time");
    assert_eq!(
        commits().await - before,
        4.0,
        "the login flow created and consumed, the index of the provider's session, the session"
    );

    fleet.idp().set_claims("bob", json!({"preferred_username": "bob", "groups": ["/engineering/other"]})).await;
    grant_after_login(&fleet, BOB).await;
    let changed = records(&redis.node, "user").await;
    assert_eq!((changed.len(), changed[0].0 == first[0].0), (1, true), "the same user");
    assert_ne!(changed[0].1, first[0].1, "a claim has changed");
    grant_after_login(&fleet, BOB).await;
    assert_eq!(records(&redis.node, "user").await, changed);
}
