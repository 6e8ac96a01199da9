//! Keys that make keys.

use reqwest::Method;
use serde_json::json;

use super::{By, KEYS, call, check, check_at, listed_ids, make, make_manager, regenerate, revoke, status, until_status};
use crate::cache::site::Site;
use crate::support::redis::{Cluster, Options, Standalone};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_dies_with_the_one_that_made_it_on_every_pod() {
    let redis = Cluster::start().await;
    let site = Site::start(&[redis.url(), redis.url(), redis.url()], "").await;
    let session = site.sign_in(0).await.cookie;
    let manager = make_manager(&site.pods[0], By::Page(&session)).await;
    let child = make(&site.pods[1], By::Key(&manager.key), json!({"manage_keys": true})).await;
    let grandchild = make(&site.pods[2], By::Key(&child.key), json!({})).await;
    assert_eq!((&child.body["parent"], &grandchild.body["parent"]), (&json!(manager.id), &json!(child.id)));
    for pod in &site.pods {
        for key in [&manager.key, &child.key, &grandchild.key] {
            assert_eq!((status(pod, key).await, status(pod, key).await), (200, 200));
        }
    }
    // A new secret for the first one changes nothing for the others.
    let again = regenerate(&site.pods[0], By::Key(&manager.key), &manager.id, json!({})).await.made();
    until_status(&site.pods[2], &manager.key, 401).await;
    assert_eq!(status(&site.pods[2], &grandchild.key).await, 200);

    assert_eq!(revoke(&site.pods[1], By::Key(&again.key), &manager.id).await.status, 200);
    for pod in &site.pods {
        for key in [&again.key, &child.key, &grandchild.key] {
            until_status(pod, key, 401).await;
        }
    }
    assert!(listed_ids(&site.pods[0], By::Page(&session)).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_key_makes_never_exceeds_it() {
    let redis = Standalone::start(Options::default()).await;
    let site = Site::start(&[redis.url(), redis.url()], "").await;
    let [pod, other] = &site.pods[..] else { panic!("two pods") };
    let session = site.sign_in(0).await.cookie;
    let limits = json!({"manage_keys": true, "user_role": "team", "teams": ["research"], "paths": ["/v1/**"], "duration": "1h"});
    let manager = make(pod, By::Page(&session), limits).await;
    let wider = json!({"user_role": "proxy_admin", "teams": ["data"], "paths": ["/**"], "duration": "30d"});
    let child = make(other, By::Key(&manager.key), wider).await;
    assert_eq!(child.body["expires"], manager.body["expires"]);
    let passed = check_at(pod, &child.key, "/v1/x").await;
    assert_eq!((passed.one("x-auth-request-role"), passed.one("x-auth-request-groups")), ("team", ""));
    assert_eq!(check(pod, &child.key).await.status, 403, "its maker's paths hold for it");
    let plain = make(other, By::Key(&manager.key), json!({})).await;
    let passed = check_at(pod, &plain.key, "/v1/x").await;
    assert_eq!((passed.one("x-auth-request-role"), passed.one("x-auth-request-groups")), ("team", "research"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_manages_itself_and_what_it_made_and_no_other() {
    let redis = Standalone::start(Options::default()).await;
    let site = Site::start(&[redis.url()], "").await;
    let (pod, session) = (&site.pods[0], site.sign_in(0).await.cookie);
    let plain = make(pod, By::Page(&session), json!({})).await;
    for (method, path) in
        [(Method::POST, KEYS.to_owned()), (Method::GET, KEYS.to_owned()), (Method::DELETE, format!("{KEYS}/{}", plain.id))]
    {
        call(pod, By::Key(&plain.key), method, &path, None).await.assert(403, "access_denied");
    }
    // Her role is no administrator's by this key.
    let manager = make(pod, By::Page(&session), json!({"manage_keys": true, "user_role": "team"})).await;
    let child = make(pod, By::Key(&manager.key), json!({})).await;
    assert_eq!(listed_ids(pod, By::Key(&manager.key)).await, [manager.id.clone(), child.id.clone()]);
    revoke(pod, By::Key(&manager.key), &plain.id).await.assert(404, "not_found");
    regenerate(pod, By::Key(&manager.key), &plain.id, json!({})).await.assert(404, "not_found");
    assert_eq!(status(pod, &plain.key).await, 200);
    assert_eq!(revoke(pod, By::Key(&manager.key), &child.id).await.status, 200);
}
