//! Derived keys.

use reqwest::Method;
use serde_json::json;

use super::{listed_ids, make_manager};
use crate::support::api::{
    Auth, KEYS, call, check_key, check_key_at, create_key, key_status, regenerate_key, revoke_key, until_key_status,
};
use crate::support::fleet::Fleet;

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
    // Regenerating the first key does not affect its derived keys.
    let again = regenerate_key(&fleet.pods[0], Auth::Key(&manager.key), &manager.id, json!({})).await.into_key();
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
    regenerate_key(pod, Auth::Key(&manager.key), &plain.id, json!({})).await.assert(404, "not_found");
    assert_eq!(key_status(pod, &plain.key).await, 200);
    assert_eq!(revoke_key(pod, Auth::Key(&manager.key), &child.id).await.status(), 200);
}
