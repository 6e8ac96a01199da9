//! A key grants the current access of its owner within its restrictions.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use vestibule::users::User;

use super::PATIENCE;
use crate::support::api::KEYS;
use crate::support::api::{ApiKey, Auth, call, check_key, check_key_at, create_key, key_status, until_key_status};
use crate::support::fleet::{Fleet, ROLE_MAP};
use crate::support::pod::{Pod, until_everywhere};
use crate::support::records::age_user;

/// The documented bound for an edit is one second; the rest is for the load of the machine.
const BOUND: Duration = Duration::from_secs(3);

/// Two pods, alice in a browser, and a key of hers without restrictions.
struct KeyFleet {
    fleet: Fleet,
    session: String,
    key: ApiKey,
}

impl KeyFleet {
    async fn start() -> Self {
        Self::start_with("").await
    }

    /// `further` is top-level YAML of both pods.
    async fn start_with(further: &str) -> Self {
        let fleet = Fleet::builder().pods(2).standalone().idp().yaml(further).start().await;
        let session = fleet.sign_in(0).await.cookie;
        let key = create_key(&fleet.pods[0], Auth::Session(&session), json!({})).await;
        Self { fleet, session, key }
    }

    fn auth(&self) -> Auth<'_> {
        Auth::Session(&self.session)
    }

    async fn until_role(&self, key: &str, expected: &str) -> Duration {
        let what = format!("the role {expected}");
        until_everywhere(&self.fleet.pods, &what, PATIENCE, async |pod| role(pod, key).await == expected).await
    }

    /// Changes alice's record directly in the store.
    async fn change_user(&self, change: impl Fn(&mut User)) {
        let id = self.key.body["user_id"].as_str().expect("an owner");
        self.fleet.change_user(id, change).await;
    }
}

async fn role(pod: &Pod, key: &str) -> String {
    let answer = check_key(pod, key).await;
    if answer.status == 200 { answer.one("x-auth-request-role").to_owned() } else { answer.status.to_string() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_can_be_restricted_later_and_never_extended() {
    let keyed = KeyFleet::start().await;
    let restrict = async |pod: usize, by: Auth<'_>, body: Value| {
        let path = format!("{KEYS}/{}", keyed.key.id);
        call(&keyed.fleet.pods[pod], by, Method::PATCH, &path, Some(body)).await
    };
    assert_eq!(role(&keyed.fleet.pods[1], &keyed.key.key).await, "proxy_admin");
    let response = restrict(0, keyed.auth(), json!({"user_role": "team", "paths": ["/ui/**"]})).await;
    assert_eq!((response.status(), &response.json()["user_role"]), (200, &json!("team")), "{response:?}");
    keyed.until_role(&keyed.key.key, "team").await;
    assert_eq!(check_key_at(&keyed.fleet.pods[1], &keyed.key.key, "/v1/models").await.status, 403);

    for wider in [json!({"user_role": "proxy_admin"}), json!({"paths": ["/**"]}), json!({}), json!({"teams": ["research"]})] {
        assert_eq!(restrict(1, keyed.auth(), wider).await.status(), 200);
    }
    keyed.until_role(&keyed.key.key, "team").await;
    assert_eq!(check_key_at(&keyed.fleet.pods[0], &keyed.key.key, "/v1/models").await.status, 403);
    let manager = create_key(&keyed.fleet.pods[0], keyed.auth(), json!({"manage_keys": true})).await;
    let child = create_key(&keyed.fleet.pods[1], Auth::Key(&manager.key), json!({})).await;
    assert_eq!(role(&keyed.fleet.pods[0], &child.key).await, "proxy_admin");
    let path = format!("{KEYS}/{}", manager.id);
    let response = call(&keyed.fleet.pods[0], keyed.auth(), Method::PATCH, &path, Some(json!({"user_role": "customer"}))).await;
    assert_eq!(response.status(), 200, "{response:?}");
    keyed.until_role(&child.key, "customer").await;
    restrict(0, keyed.auth(), json!({"paths": []})).await.assert(400, "invalid_request");
    restrict(0, keyed.auth(), json!({"duration": "1d"})).await.assert(400, "invalid_request");
    restrict(0, Auth::Key(&keyed.key.key), json!({"user_role": "customer"})).await.assert(403, "access_denied");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_map_edit_changes_the_grants_of_keys_at_once() {
    let keyed = KeyFleet::start().await;
    let lower = create_key(&keyed.fleet.pods[0], keyed.auth(), json!({"user_role": "internal_user"})).await;
    keyed.until_role(&keyed.key.key, "proxy_admin").await;
    keyed.until_role(&lower.key, "internal_user").await;

    let edit = |document: &str| keyed.fleet.pods.iter().for_each(|pod| pod.edit_role_map(document));
    edit(&ROLE_MAP.replace("role: proxy_admin", "role: customer"));
    for key in [&keyed.key.key, &lower.key] {
        let took = keyed.until_role(key, "internal_user").await;
        println!("another rule grants the role after {took:?}");
        assert!(took < BOUND, "{took:?}");
    }
    // That role came from alice's other group; now she is a customer.
    edit(&ROLE_MAP.replace("role: proxy_admin", "role: customer").replace("/engineering/*", "/nobody/*"));
    for key in [&keyed.key.key, &lower.key] {
        assert!(keyed.until_role(key, "customer").await < BOUND, "lower than the ceiling");
    }
    // The ceiling is no longer a listed role.
    edit("version: 1\nroles: [proxy_admin, other]\ndefault_role: other\n");
    assert!(keyed.until_role(&keyed.key.key, "other").await < BOUND);
    assert!(keyed.until_role(&lower.key, "403").await < BOUND);
    edit(ROLE_MAP);
    assert!(keyed.until_role(&keyed.key.key, "proxy_admin").await < BOUND);
    assert!(keyed.until_role(&lower.key, "internal_user").await < BOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_with_changed_claims_changes_the_grants_of_keys_on_every_pod() {
    let keyed = KeyFleet::start().await;
    keyed.until_role(&keyed.key.key, "proxy_admin").await;
    keyed.fleet.idp().set_access_token_claims("alice", json!({"resource_access": {}})).await;
    keyed.fleet.idp().set_claims("alice", json!({"groups": ["/teams/data"]})).await;
    keyed.fleet.sign_in(0).await;
    let took = keyed.until_role(&keyed.key.key, "internal_user_viewer").await;
    println!("other claims are seen after {took:?}");
    assert!(took < BOUND, "{took:?}");
    assert_eq!(check_key(&keyed.fleet.pods[1], &keyed.key.key).await.one("x-auth-request-groups"), "data");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_sessions_of_a_disabled_user_are_refused_on_every_pod() {
    let keyed = KeyFleet::start().await;
    let sessions = async |expected: u16| {
        for pod in 0..2 {
            assert_eq!(keyed.fleet.status(pod, &keyed.session).await, expected);
        }
    };
    for pod in &keyed.fleet.pods {
        assert_eq!(key_status(pod, &keyed.key.key).await, 200);
    }
    keyed.change_user(|user| user.disabled = true).await;
    for pod in &keyed.fleet.pods {
        until_key_status(pod, &keyed.key.key, 401).await;
    }
    sessions(401).await;
    keyed.change_user(|user| user.disabled = false).await;
    for pod in &keyed.fleet.pods {
        until_key_status(pod, &keyed.key.key, 200).await;
    }
    sessions(200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_suspended_until_their_inactive_owner_signs_in() {
    let keyed = KeyFleet::start().await;
    let long_ago = Duration::from_secs(31 * 86_400);
    keyed.change_user(|user| age_user(user, long_ago)).await;
    for pod in &keyed.fleet.pods {
        until_key_status(pod, &keyed.key.key, 401).await;
    }
    let body = check_key(&keyed.fleet.pods[0], &keyed.key.key).await.json();
    let text = body["error_description"].as_str().unwrap_or_default();
    assert!(body["error"] == "invalid_token" && text.contains("suspended until its owner signs in"), "{body}");
    let status = keyed.fleet.status(0, &keyed.session).await;
    assert_eq!(status, 403, "the same claims are too old for a session, which has not ended");
    keyed.fleet.sign_in(1).await;
    for pod in &keyed.fleet.pods {
        until_key_status(pod, &keyed.key.key, 200).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_until_keys_are_suspended_is_configurable() {
    let keyed = KeyFleet::start_with("keys: {claims_max_age: 3h}\n").await;
    for (hours, expected) in [(2, 200), (4, 401)] {
        let ago = Duration::from_secs(hours * 3600);
        keyed.change_user(|user| age_user(user, ago)).await;
        for pod in &keyed.fleet.pods {
            until_key_status(pod, &keyed.key.key, expected).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_restricted_by_role_teams_and_paths() {
    let keyed = KeyFleet::start().await;
    let [pod, other] = &keyed.fleet.pods[..] else { panic!("two pods") };
    let all = check_key(other, &keyed.key.key).await;
    assert!(all.one("x-auth-request-groups").contains("research"), "{all:?}");
    assert_eq!(all.one("x-auth-request-key"), keyed.key.id);

    let wish = json!({"user_role": "team", "teams": ["data", "elsewhere"], "paths": ["/v1/**", "/health"], "duration": "1h"});
    let restricted_key = create_key(pod, keyed.auth(), wish).await;
    let answer = check_key_at(other, &restricted_key.key, "/v1/chat").await;
    assert_eq!((answer.one("x-auth-request-role"), answer.one("x-auth-request-groups")), ("team", ""));
    assert_eq!(answer.one("x-auth-request-user"), keyed.key.body["user_id"]);
    for (path, status) in
        [("/v1", 200), ("/health", 200), ("/ui/", 403), ("/v1/../ui", 403), ("/v1/%2e%2e/ui", 403), ("/v10", 403)]
    {
        assert_eq!(check_key_at(other, &restricted_key.key, path).await.status, status, "{path}");
    }
}
