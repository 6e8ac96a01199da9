//! Restrictions of a key apply to all keys that are derived from it, on every pod.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{PATIENCE, list, make_manager};
use crate::support::api::{ApiKey, Auth, KEYS, call, check_key, check_key_at, create_key, get, key_status};
use crate::support::fleet::Fleet;
use crate::support::pod::{Pod, until_everywhere};
use crate::support::steps::{BOB, session_of};
use crate::support::wait::until;

const MANY: &str = "keys: {max_per_user: 2000}\n";

async fn restrict(pod: &Pod, by: Auth<'_>, key: &ApiKey, body: Value) {
    let restricted = call(pod, by, Method::PATCH, &format!("{KEYS}/{}", key.id), Some(body)).await;
    assert_eq!(restricted.status(), 200, "{restricted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restriction_of_any_ancestor_applies_on_every_pod_to_derived_keys_of_any_owner() {
    let fleet = Fleet::builder().pods(3).cluster().idp().start().await;
    let (session, bob) = (fleet.sign_in(0).await.cookie, session_of(&fleet.signed_in(BOB).await));
    let bob_id = get(&fleet.pods[0], Auth::Session(&bob), "/sso/session").await["user_id"].clone();
    let by = Auth::Session(&session);
    let top = create_key(&fleet.pods[0], by, json!({"manage_keys": true, "manage_people": true})).await;
    let child = create_key(&fleet.pods[1], Auth::Key(&top.key), json!({"manage_keys": true, "manage_people": true})).await;
    let grandchild = create_key(&fleet.pods[2], Auth::Key(&child.key), json!({})).await;
    let of_bob = create_key(&fleet.pods[0], Auth::Key(&child.key), json!({"user_id": bob_id})).await;
    let derived = [&child, &grandchild, &of_bob];
    let statuses = async |pod: &Pod| join_all(derived.iter().map(|key| key_status(pod, &key.key))).await;
    for pod in &fleet.pods {
        for _ in 0..2 {
            assert_eq!(statuses(pod).await, [200; 3]);
        }
    }
    get(&fleet.pods[1], Auth::Key(&child.key), "/vestibule/api/people").await;

    restrict(&fleet.pods[1], by, &top, json!({"paths": ["/v1/**"]})).await;
    assert_eq!(statuses(&fleet.pods[1]).await, [403; 3], "at once on the pod that restricted it");
    until_everywhere(&fleet.pods, "403 outside /v1", PATIENCE, async |pod| statuses(pod).await == [403; 3]).await;
    let managing = call(&fleet.pods[1], Auth::Key(&child.key), Method::GET, "/vestibule/api/people", None).await;
    managing.assert(403, "access_denied");
    for pod in &fleet.pods {
        for key in derived {
            assert_eq!(check_key_at(pod, &key.key, "/v1/chat").await.status, 200);
        }
    }

    restrict(&fleet.pods[2], by, &child, json!({"user_role": "customer", "teams": []})).await;
    let is_restricted = async |pod: &Pod| {
        let mut roles = Vec::new();
        for key in derived {
            let answer = check_key_at(pod, &key.key, "/v1/chat").await;
            roles.push((answer.one("x-auth-request-role").to_owned(), answer.one("x-auth-request-groups").to_owned()));
        }
        roles.iter().all(|(role, groups)| role == "customer" && groups.is_empty())
    };
    until_everywhere(&fleet.pods, "the role customer", PATIENCE, is_restricted).await;
    assert_ne!(check_key_at(&fleet.pods[0], &top.key, "/v1/x").await.one("x-auth-request-role"), "customer", "not the ancestor");

    for by in [by, Auth::Session(&bob)] {
        let listed = list(&fleet.pods[0], by, "").await;
        for key in listed["keys"].as_array().expect("a list").iter().filter(|key| key["token_id"] != json!(top.id)) {
            assert_eq!((&key["user_role"], &key["paths"]), (&json!("customer"), &json!(["/v1/**"])), "{key}");
        }
    }
}

/// A leaked key derives keys without pause, by both routes and on two pods, while its owner restricts it on the third.
#[tokio::test(flavor = "multi_thread")]
async fn no_key_that_is_derived_during_a_restriction_is_unrestricted() {
    let fleet = Fleet::builder().pods(3).cluster().idp().yaml(MANY).start().await;
    let session = fleet.sign_in(0).await.cookie;
    let (mut derived, mut for_applications) = (Vec::new(), 0);
    for _ in 0..5 {
        let leaked = make_manager(&fleet.pods[0], Auth::Session(&session)).await;
        let attack = Attack { leaked: &leaked.key, number: AtomicUsize::new(0), ended: AtomicBool::new(false) };
        let owner = async {
            until("keys to be derived", PATIENCE, async || (attack.number.load(SeqCst) >= 15).then_some(())).await;
            restrict(&fleet.pods[2], Auth::Session(&session), &leaked, json!({"paths": ["/nowhere/**"]})).await;
            let before = attack.number.load(SeqCst);
            until("more keys to be derived", PATIENCE, async || (attack.number.load(SeqCst) > before).then_some(())).await;
            attack.ended.store(true, SeqCst);
        };
        let (by_json, by_application, ()) =
            tokio::join!(attack.derive_by_json(&fleet.pods[0]), attack.derive_for_application(&fleet.pods[1]), owner);
        for_applications += by_application.len();
        derived.extend(by_json.into_iter().chain(by_application));
    }
    assert!(for_applications > 0);
    println!("{} keys were derived", derived.len());
    for pod in &fleet.pods {
        for key in &derived {
            assert_eq!(check_key(pod, key).await.status, 403, "one of {} keys is not restricted", derived.len());
            assert_eq!(check_key_at(pod, key, "/nowhere/x").await.status, 200, "it is alive");
        }
    }
}

struct Attack<'a> {
    leaked: &'a str,
    /// The number of derived keys.
    number: AtomicUsize,
    ended: AtomicBool,
}

impl Attack<'_> {
    async fn derive_by_json(&self, pod: &Pod) -> Vec<String> {
        self.derive(pod, Method::POST, KEYS, "key").await
    }

    /// The first ten requests get a key, since an application has no more within a minute.
    async fn derive_for_application(&self, pod: &Pod) -> Vec<String> {
        self.derive(pod, Method::GET, "/sso/key/generate?response_type=oauth_token", "access_token").await
    }

    async fn derive(&self, pod: &Pod, method: Method, path: &str, field: &str) -> Vec<String> {
        let mut derived = Vec::new();
        while !self.ended.load(SeqCst) {
            let body = (method == Method::POST).then(|| json!({}));
            let answer = call(pod, Auth::Key(self.leaked), method.clone(), path, body).await;
            match answer.status() {
                200 | 201 => derived.push(answer.json()[field].as_str().expect("a key").to_owned()),
                403 | 503 => continue,
                other => panic!("{other}: {answer:?}"),
            }
            self.number.fetch_add(1, SeqCst);
        }
        derived
    }
}
