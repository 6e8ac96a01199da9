//! A store that does not answer is not the absence of users: a directory would create them again.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{BY_SUBJECT, Directory, USER, assert_role, builder};
use crate::support::redis::{Options, Standalone};
use crate::support::steps::{ALICE, BOB, session_of};
use crate::support::wait;

const PATIENCE: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_store_is_answered_with_503_and_requests_can_be_repeated() {
    let redis = Standalone::start(Options::default()).await;
    let port = redis.node.port();
    let fleet = builder(BY_SUBJECT).idp().store_at(redis.url()).start().await;
    let directory = Directory::at(fleet.pod(0));
    let user = directory.create_user("ada@example.com", "x-1").await;
    let group = directory.create_group("eng-tools", &[&user]).await;
    drop(redis);
    let new = json!({"schemas": [USER], "userName": "bob@example.com", "externalId": "x-2"});
    let active = json!({"Operations": [{"op": "replace", "value": {"active": false}}]});
    let members = json!({"Operations": [{"op": "add", "path": "members", "value": [{"value": user}]}]});
    let requests = [
        (Method::GET, format!("/Users/{user}"), None),
        (Method::GET, "/Users?filter=userName eq \"ada@example.com\"".to_owned(), None),
        (Method::GET, "/Users".to_owned(), None),
        (Method::POST, "/Users".to_owned(), Some(new.clone())),
        (Method::PATCH, format!("/Users/{user}"), Some(active)),
        (Method::DELETE, format!("/Users/{user}"), None),
        (Method::GET, format!("/Groups/{group}"), None),
        (Method::PATCH, format!("/Groups/{group}"), Some(members.clone())),
        (Method::POST, "/Groups".to_owned(), Some(json!({"displayName": "eng-more"}))),
    ];
    let answers = requests.map(|(method, path, body)| {
        let directory = &directory;
        async move { (path.clone(), directory.send(method, &path, body).await) }
    });
    for (path, answer) in futures::future::join_all(answers).await {
        assert_eq!(answer.status, 503, "{path}: {answer:?}");
        assert!(answer.header("retry-after").is_some(), "{path}: {answer:?}");
    }
    // The store comes back empty, as after a failure without persistence.
    let _redis = Standalone::start(Options { port: Some(port), ..Options::default() }).await;
    wait::until("the store", PATIENCE, async || (directory.get("/Users").await.status == 200).then_some(())).await;
    let bob = directory.send(Method::POST, "/Users", Some(new)).await.id(201);
    let group = directory.create_group("eng-tools", &[&bob]).await;
    for _ in 0..2 {
        assert_eq!(directory.patch(&format!("/Groups/{group}"), members["Operations"].clone()).await.status, 204);
    }
    assert_eq!(directory.get(&format!("/Groups/{group}")).await.body["members"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_refuses_new_users_and_takes_access_away() {
    let redis = Standalone::start(Options::default()).await;
    let fleet = builder(BY_SUBJECT).idp().store_at(redis.url()).start().await;
    let directory = Directory::at(fleet.pod(0));
    let [alice, bob] = [("alice@example.com", "alice"), ("bob@example.com", "bob")];
    let (alice, bob) = (directory.create_user(alice.0, alice.1).await, directory.create_user(bob.0, bob.1).await);
    let group = directory.create_group("eng-tools", &[&alice, &bob]).await;
    let team = directory.create_group("team-blue", &[&alice, &bob]).await;
    let (of_alice, of_bob) = (session_of(&fleet.signed_in(ALICE).await), session_of(&fleet.signed_in(BOB).await));
    redis.node.call(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let new = json!({"schemas": [USER], "userName": "carol@example.com", "externalId": "carol"});
    let members = json!([{"op": "add", "path": "members", "value": [{"value": alice}]}]);
    let refused = [
        directory.send(Method::POST, "/Users", Some(new.clone())).await,
        directory.send(Method::POST, "/Groups", Some(json!({"displayName": "eng-more"}))).await,
        directory.patch(&format!("/Users/{alice}"), json!([{"op": "add", "path": "title", "value": "x"}])).await,
        directory.patch(&format!("/Groups/{group}"), members).await,
    ];
    for answer in refused {
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.header("retry-after").is_some() && answer.body["detail"].is_string(), "{answer:?}");
    }
    let remove = json!([{"op": "remove", "path": format!("members[value eq \"{bob}\"]")}]);
    assert_eq!(directory.patch(&format!("/Groups/{group}"), remove).await.status, 204);
    assert_eq!(directory.send(Method::DELETE, &format!("/Groups/{team}"), None).await.status, 204);
    assert_role(&fleet, &of_bob, "internal_user_viewer").await;
    directory.set_active(&alice, false).await;
    assert_eq!(fleet.passing(&of_alice).await, 0);
    assert_eq!(directory.send(Method::DELETE, &format!("/Users/{bob}"), None).await.status, 204);
    assert_eq!(fleet.passing(&of_bob).await, 0);
    redis.node.call(&["CONFIG", "SET", "maxmemory", "0"]).await;
    directory.send(Method::POST, "/Users", Some(new)).await.id(201);
}
