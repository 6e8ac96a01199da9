//! Calls that the API refuses, and their error codes.

use reqwest::Method;
use serde_json::json;

use super::{PATIENCE, list, listed_ids, make_manager};
use crate::support::agent::Agent;
use crate::support::api::{
    ApiResponse, Auth, KEYS, call, check_key, create_key, key_status, revoke_key, rotate_key, send, until_key_status,
};
use crate::support::fleet::Fleet;
use crate::support::pod::Pod;
use crate::support::steps::{self, ALICE, BOB, CAROL, TestUser, session_of};
use crate::support::wait::until;

const NOBODY: &str = "00000000-0000-7000-8000-000000000001";

async fn session(fleet: &Fleet, user: TestUser) -> String {
    session_of(&fleet.signed_in(user).await)
}

/// A POST to the keys with a session cookie and these headers.
async fn post(pod: &Pod, session: &str, headers: &[(&str, &str)], body: &str) -> ApiResponse {
    let cookie = format!("vestibule={session}");
    let all = [&[("cookie", cookie.as_str())], headers].concat();
    send(pod, Method::POST, KEYS, &all, Some(body.to_owned())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_cookie_requests_of_other_sites_and_without_origin_change_nothing() {
    let fleet = Fleet::shared().await;
    let (pod, session) = (&fleet.pods[0], session(fleet, BOB).await);
    let key = create_key(pod, Auth::Session(&session), json!({})).await;
    let json = ("content-type", "application/json");
    let origin = fleet.url("");
    let foreign: [&[(&str, &str)]; 8] = [
        &[json],
        &[json, ("sec-fetch-site", "cross-site")],
        &[json, ("sec-fetch-site", "same-site")],
        &[json, ("sec-fetch-site", "none")],
        &[json, ("origin", "https://evil.example")],
        &[json, ("origin", "null")],
        &[json, ("origin", &origin), ("sec-fetch-site", "cross-site")],
        &[("content-type", "text/plain"), ("sec-fetch-site", "cross-site")],
    ];
    for headers in foreign {
        post(pod, &session, headers, "{}").await.assert(403, "access_denied");
        let cookie = format!("vestibule={session}");
        let all = [&[("cookie", cookie.as_str())], headers].concat();
        let one = format!("{KEYS}/{}", key.id);
        send(pod, Method::DELETE, &one, &all, None).await.assert(403, "access_denied");
        send(pod, Method::POST, &format!("{one}/regenerate"), &all, Some("{}".into())).await.assert(403, "access_denied");
    }
    assert_eq!(key_status(pod, &key.key).await, 200, "neither revoked nor rotated");
    let created_key = post(pod, &session, &[json, ("origin", &origin)], "{}").await.into_key();
    assert!(created_key.body["key"].is_string(), "our own page in a browser without Sec-Fetch-Site");
    let preflight =
        send(pod, Method::OPTIONS, KEYS, &[("origin", "https://evil.example"), ("access-control-request-method", "POST")], None)
            .await;
    assert!(
        preflight.status() == 405 && !preflight.headers().keys().any(|name| name.as_str().starts_with("access-control")),
        "{preflight:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_field_of_a_body_is_validated() {
    let fleet = Fleet::shared().await;
    let (pod, session) = (&fleet.pods[1], session(fleet, BOB).await);
    let same = ("sec-fetch-site", "same-origin");
    let json = ("content-type", "application/json; charset=utf-8");
    for (body, named) in [
        (r#"{"alias": "x"}"#, "no field alias."),
        (r#"{"key_alias": ""}"#, "key_alias must"),
        (r#"{"key_alias": "a\nb"}"#, "key_alias must"),
        (r#"{"key_alias": 7}"#, "key_alias must be a string"),
        (r#"{"duration": "forever"}"#, "duration must"),
        (r#"{"duration": 30}"#, "duration must be a string"),
        (r#"{"duration": "400d"}"#, "duration must"),
        (r#"{"duration": "0s"}"#, "duration must"),
        (r#"{"user_role": "king"}"#, "user_role must"),
        (r#"{"teams": "research"}"#, "teams must be a list"),
        (r#"{"teams": ["a,b"]}"#, "teams must"),
        (r#"{"paths": ["v1"]}"#, "paths must"),
        (r#"{"manage_keys": "yes"}"#, "manage_keys must be true or false"),
        ("[]", "one JSON object"),
        ("{", "one JSON object"),
    ] {
        let reply = post(pod, &session, &[same, json], body).await;
        reply.assert(400, "invalid_request");
        let description = reply.json()["error_description"].as_str().expect("a sentence").to_owned();
        assert!(description.contains(named), "{body}: {description}");
    }
    post(pod, &session, &[same, ("content-type", "text/plain")], "{}").await.assert(415, "invalid_request");
    post(pod, &session, &[same], "{}").await.assert(415, "invalid_request");
    let large = format!(r#"{{"key_alias": "{}"}}"#, "x".repeat(17 << 10));
    post(pod, &session, &[same, json], &large).await.assert(413, "invalid_request");
    for query in ["?limit=0", "?limit=101", "?limit=x", "?after=x", "?limit=5&limit=6", "?page=2"] {
        call(pod, Auth::Session(&session), Method::GET, &format!("{KEYS}{query}"), None).await.assert(400, "invalid_request");
    }
    let overlap = json!({"overlap": "8d"});
    let key = create_key(pod, Auth::Session(&session), json!({"key_alias": "ünïcödé 🔑", "duration": null})).await;
    assert_eq!(key.body["key_alias"], "ünïcödé 🔑");
    rotate_key(pod, Auth::Session(&session), &key.id, overlap).await.assert(400, "invalid_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_methods_are_answered_in_json() {
    let fleet = Fleet::shared().await;
    let (pod, session) = (&fleet.pods[2], session(fleet, BOB).await);
    for (method, path, status) in [
        (Method::PUT, KEYS.to_owned(), 405),
        (Method::GET, format!("{KEYS}/{NOBODY}"), 405),
        (Method::GET, format!("{KEYS}/{NOBODY}/regenerate"), 405),
        (Method::GET, "/vestibule/api/nothing".to_owned(), 404),
        (Method::DELETE, format!("{KEYS}/{NOBODY}"), 404),
        (Method::DELETE, format!("{KEYS}/not-an-id"), 404),
        (Method::POST, format!("{KEYS}/{NOBODY}/regenerate"), 404),
        (Method::POST, format!("{KEYS}/{NOBODY}/regenerate"), 415),
    ] {
        let body = (status == 404 && method == Method::POST).then(|| json!({}));
        let reply = call(pod, Auth::Session(&session), method.clone(), &path, body).await;
        assert_eq!(reply.status(), status, "{method} {path}: {reply:?}");
        assert!(reply.json()["error"].is_string() && (status != 405 || reply.headers().contains_key("allow")), "{reply:?}");
        assert_eq!(reply.headers()["cache-control"], "no-store", "{reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_valid_credential_the_api_answers_401() {
    let fleet = Fleet::shared().await;
    let (pod, session) = (&fleet.pods[0], session(fleet, BOB).await);
    let reply = send(pod, Method::GET, KEYS, &[], None).await;
    reply.assert(401, "login_required");
    assert!(reply.headers().contains_key("www-authenticate"));
    let cookie = format!("vestibule={session}");
    for headers in [
        [("cookie", "vestibule=made-up"), ("accept", "*/*")],
        [("cookie", &cookie), ("authorization", "Bearer sk-made-up")],
        [("cookie", &cookie), ("x-api-key", "something")],
    ] {
        let reply = send(pod, Method::GET, KEYS, &headers, None).await;
        reply.assert(401, "invalid_token");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_administrators_manage_the_keys_of_other_users() {
    let fleet = Fleet::shared().await;
    let pod = &fleet.pods[0];
    let (alice, bob, carol) = tokio::join!(session(fleet, ALICE), session(fleet, BOB), session(fleet, CAROL));
    let carols = create_key(pod, Auth::Session(&carol), json!({"key_alias": "carol's own"})).await;
    let user = carols.body["user_id"].as_str().expect("an owner").to_owned();
    let of_carol = format!("?user_id={user}&limit=100");

    call(pod, Auth::Session(&bob), Method::GET, &format!("{KEYS}{of_carol}"), None).await.assert(403, "access_denied");
    call(pod, Auth::Session(&bob), Method::POST, KEYS, Some(json!({"user_id": user}))).await.assert(403, "access_denied");
    revoke_key(pod, Auth::Session(&bob), &carols.id).await.assert(404, "not_found");
    rotate_key(pod, Auth::Session(&bob), &carols.id, json!({})).await.assert(404, "not_found");

    let listed = list(&fleet.pods[1], Auth::Session(&alice), &of_carol).await;
    assert!(listed["keys"].as_array().expect("a list").iter().any(|key| key["key_alias"] == "carol's own"), "{listed}");
    let for_carol = create_key(&fleet.pods[1], Auth::Session(&alice), json!({"user_id": user})).await;
    assert_eq!(
        (for_carol.body["user_id"].as_str(), for_carol.body["user_role"].as_str()),
        (Some(user.as_str()), Some("proxy_admin"))
    );
    let passed = check_key(&fleet.pods[2], &for_carol.key).await;
    assert_eq!(passed.one("x-auth-request-role"), "internal_user_viewer", "the key belongs to carol");
    for id in [&carols.id, &for_carol.id] {
        assert_eq!(revoke_key(&fleet.pods[2], Auth::Session(&alice), id).await.status(), 200);
    }
    call(pod, Auth::Session(&alice), Method::POST, KEYS, Some(json!({"user_id": NOBODY}))).await.assert(404, "not_found");

    // The same with an API key. Its revocation also revokes keys that it created for other users, in any shard.
    let manager = make_manager(pod, Auth::Session(&alice)).await;
    let child = create_key(pod, Auth::Key(&manager.key), json!({"user_id": user})).await;
    assert_eq!(key_status(&fleet.pods[1], &child.key).await, 200);
    assert_eq!(revoke_key(pod, Auth::Session(&alice), &manager.id).await.status(), 200);
    for pod in &fleet.pods {
        until_key_status(pod, &child.key, 401).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_only_shown_after_a_recent_sign_in() {
    let fleet = Fleet::builder().standalone().idp().yaml("keys: {sign_in_within: 10s}\n").start().await;
    let (pod, old) = (&fleet.pods[0], fleet.sign_in(0).await.cookie);
    let manager = make_manager(pod, Auth::Session(&old)).await;
    let other = create_key(pod, Auth::Session(&old), json!({})).await;
    let stale = async || {
        let reply = rotate_key(pod, Auth::Session(&old), &other.id, json!({})).await;
        (reply.status() != 200).then_some(reply)
    };
    until("the sign-in to be stale", PATIENCE, stale).await.assert(401, "insufficient_user_authentication");
    let reply = call(pod, Auth::Session(&old), Method::POST, KEYS, Some(json!({}))).await;
    reply.assert(401, "insufficient_user_authentication");
    assert!(reply.headers()["www-authenticate"].to_str().expect("ASCII").contains("insufficient_user_authentication"));
    assert!(listed_ids(pod, Auth::Session(&old)).await.contains(&manager.id), "listing needs no recent sign-in");
    create_key(pod, Auth::Key(&manager.key), json!({})).await;
    assert_eq!(revoke_key(pod, Auth::Session(&old), &manager.id).await.status(), 200, "revoking needs no recent sign-in");
    create_key(pod, Auth::Session(&fleet.sign_in(0).await.cookie), json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn administrator_roles_and_the_longest_grace_period_are_configurable() {
    let keys = "admin_roles: [internal_user]\nkeys: {overlap_max: 1h, default_duration: 2h, max_duration: 3h}\n";
    let fleet = Fleet::builder().idp().config(|pod| pod.further = keys.to_owned()).start().await;
    let [alice, bob, carol] = [(); 3].map(|()| Agent::new());
    for (agent, user) in [(&alice, ALICE), (&bob, BOB), (&carol, CAROL)] {
        steps::sign_in(fleet.idp(), agent, fleet.pod(0), user).await;
    }
    let (alice, bob, carol) = (session_of(&alice), session_of(&bob), session_of(&carol));
    let (pod, of_carol) = (fleet.pod(0), create_key(fleet.pod(0), Auth::Session(&carol), json!({})).await);
    let user = of_carol.body["user_id"].as_str().expect("an owner");
    let by_bob = call(pod, Auth::Session(&bob), Method::GET, &format!("{KEYS}?user_id={user}"), None).await;
    assert_eq!(by_bob.json()["keys"].as_array().map(Vec::len), Some(1), "internal_user administers here: {by_bob:?}");
    let of_bob = create_key(pod, Auth::Session(&bob), json!({})).await;
    let bobs = of_bob.body["user_id"].as_str().expect("an owner");
    call(pod, Auth::Session(&alice), Method::GET, &format!("{KEYS}?user_id={bobs}"), None).await.assert(403, "access_denied");
    for (overlap, status) in [("61m", 400), ("60m", 200)] {
        let reply = rotate_key(pod, Auth::Session(&bob), &of_carol.id, json!({"overlap": overlap})).await;
        assert_eq!(reply.status(), status, "{overlap}: {reply:?}");
    }
    let again = create_key(pod, Auth::Session(&bob), json!({"duration": "3h"})).await;
    assert!(again.body["expires"].as_str() > of_bob.body["expires"].as_str());
    call(pod, Auth::Session(&bob), Method::POST, KEYS, Some(json!({"duration": "181m"}))).await.assert(400, "invalid_request");
}
