//! Derived keys.

use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::{listed_ids, make_manager};
use crate::support::api::{
    Auth, KEYS, call, check_key, check_key_at, create_key, get, key_status, revoke_key, rotate_key, until_key_status,
};
use crate::support::fleet::Fleet;
use crate::support::pod::Pod;
use crate::support::steps::{BOB, session_of};
use crate::support::wait::pass;

#[tokio::test(flavor = "multi_thread")]
async fn a_derived_key_ends_with_its_parent_on_every_pod() {
    let fleet = Fleet::builder().pods(3).cluster().idp().start().await;
    let session = fleet.sign_in(0).await.cookie;
    let manager = make_manager(&fleet.pods[0], Auth::Session(&session)).await;
    let child = create_key(&fleet.pods[1], Auth::Key(&manager.key), json!({"manage_keys": true})).await;
    let grandchild = create_key(&fleet.pods[2], Auth::Key(&child.key), json!({})).await;
    assert_eq!((&child.body["parent"], &grandchild.body["parent"]), (&json!(manager.id), &json!(child.id)));
    for pod in &fleet.pods {
        for key in [&manager.key, &child.key, &grandchild.key] {
            assert_eq!((key_status(pod, key).await, key_status(pod, key).await), (200, 200));
        }
    }
    // Rotating the first key can keep its derived keys.
    let kept = json!({"keep_derived": true});
    let again = rotate_key(&fleet.pods[0], Auth::Key(&manager.key), &manager.id, kept).await.into_key();
    until_key_status(&fleet.pods[2], &manager.key, 401).await;
    assert_eq!(key_status(&fleet.pods[2], &grandchild.key).await, 200);

    assert_eq!(revoke_key(&fleet.pods[1], Auth::Key(&again.key), &manager.id).await.status(), 200);
    for pod in &fleet.pods {
        for key in [&again.key, &child.key, &grandchild.key] {
            until_key_status(pod, key, 401).await;
        }
    }
    assert!(listed_ids(&fleet.pods[0], Auth::Session(&session)).await.is_empty());
}

/// The secret of a key has leaked: an attacker has derived keys from it, also for another user and from a derived key.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_without_a_grace_period_ends_all_derived_keys_on_every_pod() {
    let fleet = Fleet::builder().pods(3).cluster().idp().start().await;
    let (session, bob) = (fleet.sign_in(0).await.cookie, session_of(&fleet.signed_in(BOB).await));
    let bob = get(&fleet.pods[0], Auth::Session(&bob), "/sso/session").await["user_id"].clone();
    let leaked = make_manager(&fleet.pods[0], Auth::Session(&session)).await;
    let child = create_key(&fleet.pods[1], Auth::Key(&leaked.key), json!({"manage_keys": true})).await;
    let grandchild = create_key(&fleet.pods[2], Auth::Key(&child.key), json!({})).await;
    let of_bob = create_key(&fleet.pods[2], Auth::Key(&child.key), json!({"user_id": bob})).await;
    let derived = [&child, &grandchild, &of_bob];
    let statuses = async |pod: &Pod| join_all(derived.iter().map(|key| key_status(pod, &key.key))).await;
    for (by_whom, rotation) in [
        (Auth::Session(&session), json!({"overlap": "1h"})),
        (Auth::Session(&session), json!({"overlap": "1h", "keep_derived": true})),
        (Auth::Session(&session), json!({"keep_derived": true})),
    ] {
        rotate_key(&fleet.pods[0], by_whom, &leaked.id, rotation.clone()).await.into_key();
        for pod in &fleet.pods {
            // Cached on every pod, with their ancestors.
            for _ in 0..2 {
                assert_eq!(statuses(pod).await, [200; 3], "{rotation}");
            }
        }
    }
    let again = rotate_key(&fleet.pods[0], Auth::Session(&session), &leaked.id, json!({})).await.into_key();
    assert_eq!(statuses(&fleet.pods[0]).await, [401; 3], "at once on the pod that rotated it");
    for pod in &fleet.pods {
        for key in derived {
            until_key_status(pod, &key.key, 401).await;
        }
        assert_eq!(key_status(pod, &again.key).await, 200);
    }
    assert_eq!(listed_ids(&fleet.pods[1], Auth::Session(&session)).await, [leaked.id]);
    let anew = create_key(&fleet.pods[1], Auth::Key(&again.key), json!({})).await;
    for pod in &fleet.pods {
        assert_eq!(key_status(pod, &anew.key).await, 200, "a key of the new generation");
    }
}

/// An attacker derives keys on two pods without pause while the owner rotates the leaked key on the third.
#[tokio::test(flavor = "multi_thread")]
async fn no_key_that_is_derived_during_a_rotation_outlives_it() {
    let fleet = Fleet::builder().pods(3).cluster().idp().yaml("keys: {max_per_user: 1000}\n").start().await;
    let session = fleet.sign_in(0).await.cookie;
    let mut outlived = Vec::new();
    for _ in 0..5 {
        let leaked = make_manager(&fleet.pods[0], Auth::Session(&session)).await;
        let derive = async |pod: &Pod| {
            let mut derived = Vec::new();
            loop {
                let answer = call(pod, Auth::Key(&leaked.key), Method::POST, KEYS, Some(json!({}))).await;
                match answer.status() {
                    201 => derived.push(answer.into_key()),
                    503 => {}
                    _ => return derived,
                }
            }
        };
        let rotate = async {
            pass(Duration::from_millis(150)).await;
            rotate_key(&fleet.pods[2], Auth::Session(&session), &leaked.id, json!({})).await.into_key()
        };
        let (one, two, again) = tokio::join!(derive(&fleet.pods[0]), derive(&fleet.pods[1]), rotate);
        assert!(!one.is_empty() && !two.is_empty(), "nothing was derived");
        outlived.extend(one.into_iter().chain(two));
        assert_eq!(key_status(&fleet.pods[2], &again.key).await, 200);
    }
    for pod in &fleet.pods {
        for key in &outlived {
            until_key_status(pod, &key.key, 401).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_rotates_a_key_and_keeps_derived_keys_if_the_box_is_ticked() {
    let fleet = Fleet::builder().idp().start().await;
    let pod = fleet.pod(0);
    let browser = fleet.sign_in(0).await;
    let key = make_manager(pod, Auth::Session(&browser.cookie)).await;
    let derived = create_key(pod, Auth::Key(&key.key), json!({})).await;
    let mut secret = key.key;
    for (fields, old, of_derived) in
        [(&[("overlap", "1h")][..], 200, 200), (&[("keep_derived", "true")], 401, 200), (&[], 401, 401)]
    {
        let page = browser.agent.get(&pod.public("/vestibule/keys")).await;
        let form =
            page.forms().into_iter().find(|form| form.fields.iter().any(|(name, value)| name == "token_id" && *value == key.id));
        let rotated = browser.agent.submit(&form.expect("a form"), &[&[("action", "regenerate")], fields].concat()).await;
        assert_eq!(rotated.status, 200, "{}", rotated.body);
        let shown = rotated.body.split_once("<code class=\"secret\">").and_then(|(_, rest)| rest.split_once("</code>"));
        let new = shown.expect("the new secret").0.to_owned();
        assert_eq!((key_status(pod, &secret).await, key_status(pod, &derived.key).await), (old, of_derived), "{fields:?}");
        assert_eq!(key_status(pod, &new).await, 200);
        secret = new;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_derived_key_never_exceeds_its_parent() {
    let fleet = Fleet::builder().pods(2).standalone().idp().start().await;
    let [pod, other] = &fleet.pods[..] else { panic!("two pods") };
    let session = fleet.sign_in(0).await.cookie;
    let limits = json!({"manage_keys": true, "user_role": "team", "teams": ["research"], "paths": ["/v1/**"], "duration": "1h"});
    let manager = create_key(pod, Auth::Session(&session), limits).await;
    let wider = json!({"user_role": "proxy_admin", "teams": ["data"], "paths": ["/**"], "duration": "30d"});
    let child = create_key(other, Auth::Key(&manager.key), wider).await;
    assert_eq!(child.body["expires"], manager.body["expires"]);
    let passed = check_key_at(pod, &child.key, "/v1/x").await;
    assert_eq!((passed.one("x-auth-request-role"), passed.one("x-auth-request-groups")), ("team", ""));
    assert_eq!(check_key(pod, &child.key).await.status, 403, "the paths of its parent apply");
    let plain = create_key(other, Auth::Key(&manager.key), json!({})).await;
    let passed = check_key_at(pod, &plain.key, "/v1/x").await;
    assert_eq!((passed.one("x-auth-request-role"), passed.one("x-auth-request-groups")), ("team", "research"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_manages_itself_and_its_derived_keys_only() {
    let fleet = Fleet::builder().standalone().idp().start().await;
    let (pod, session) = (&fleet.pods[0], fleet.sign_in(0).await.cookie);
    let plain = create_key(pod, Auth::Session(&session), json!({})).await;
    for (method, path) in
        [(Method::POST, KEYS.to_owned()), (Method::GET, KEYS.to_owned()), (Method::DELETE, format!("{KEYS}/{}", plain.id))]
    {
        call(pod, Auth::Key(&plain.key), method, &path, None).await.assert(403, "access_denied");
    }
    // This key does not have the role of an administrator.
    let manager = create_key(pod, Auth::Session(&session), json!({"manage_keys": true, "user_role": "team"})).await;
    let child = create_key(pod, Auth::Key(&manager.key), json!({})).await;
    assert_eq!(listed_ids(pod, Auth::Key(&manager.key)).await, [manager.id.clone(), child.id.clone()]);
    revoke_key(pod, Auth::Key(&manager.key), &plain.id).await.assert(404, "not_found");
    rotate_key(pod, Auth::Key(&manager.key), &plain.id, json!({})).await.assert(404, "not_found");
    assert_eq!(key_status(pod, &plain.key).await, 200);
    assert_eq!(revoke_key(pod, Auth::Key(&manager.key), &child.id).await.status(), 200);
}
