//! Keys through a real nginx, in each credential header, and their caching.

use reqwest::Method;
use serde_json::json;

use super::{PATIENCE, list};
use crate::support::api::{Auth, check_key, create_key, key_status, revoke_key, send};
use crate::support::fleet::{Fleet, ROLE_MAP};
use crate::support::pod::PodOptions;
use crate::support::raw_http;
use crate::support::steps::{BOB, session_header};
use crate::support::wait::until;

const ACCESS: &str = "access:\n  - {paths: [/programs/**], credentials: [key]}\n  - {paths: [/browsers/**], credentials: [session]}\n  \
                      - {paths: [/**], allow: signed_in}\n";

/// The credential headers of the documentation, each with the prefix of its value.
const PLACES: [(&str, &str); 7] = [
    ("authorization", "Bearer "),
    ("x-api-key", ""),
    ("x-litellm-api-key", ""),
    ("x-litellm-api-key", "Bearer "),
    ("api-key", ""),
    ("x-goog-api-key", ""),
    ("ocp-apim-subscription-key", ""),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_key_passes_nginx_in_every_header_and_the_upstream_receives_only_its_id() {
    let fleet = Fleet::shared().await;
    let agent = fleet.signed_in(BOB).await;
    let cookie = session_header(&agent);
    let key = create_key(&fleet.pods[0], Auth::Session(&cookie["vestibule=".len()..]), json!({})).await;
    for (name, before) in PLACES {
        let value = format!("{before}{}", key.key);
        for _ in 0..3 {
            let answer =
                raw_http::send(fleet.nginx().port(), "GET", "/v1/models", &[("Accept", "application/json"), (name, &value)])
                    .await;
            assert_eq!(answer.status, 200, "{name}: {answer:?}");
            assert!(!answer.body.contains(&key.key), "the secret reached the upstream by {name}");
            let seen = answer.json()["headers"].clone();
            assert_eq!((&seen["x-auth-request-key"], &seen["x-auth-request-user"]), (&json!(key.id), &key.body["user_id"]));
            assert_eq!(seen["x-auth-request-role"], "internal_user");
        }
        let mut wrong = value.clone();
        wrong.pop();
        for wrong in [wrong, format!("{before}sk-1234")] {
            let headers = [("Accept", "application/json"), ("Cookie", cookie.as_str()), (name, &wrong)];
            let answer = raw_http::send(fleet.nginx().port(), "GET", "/v1/models", &headers).await;
            assert_eq!(answer.status, 401, "{name} with an invalid key does not fall back to the cookie: {answer:?}");
        }
    }
    let two = [("authorization", format!("Bearer {}", key.key)), ("x-api-key", "sk-other".to_owned())];
    let two: Vec<_> = two.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(raw_http::send(fleet.nginx().port(), "GET", "/v1/models", &two).await.status, 401, "two different ones");
    let used = list(&fleet.pods[1], Auth::Session(&cookie["vestibule=".len()..]), "?limit=100").await;
    assert!(!used.to_string().contains(&key.key[3..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn access_rules_distinguish_keys_and_sessions() {
    let with_access = |pod: &mut PodOptions| pod.role_map = Some(format!("{ROLE_MAP}{ACCESS}"));
    let fleet = Fleet::builder().pods(2).cluster().idp().nginx().config(with_access).start().await;
    let cookie = fleet.session_header(BOB).await;
    let key = create_key(&fleet.pods[0], Auth::Session(&cookie["vestibule=".len()..]), json!({})).await;
    let bearer = format!("Bearer {}", key.key);
    for (path, header, status) in [
        ("/programs/x", ("authorization", &bearer), 200),
        ("/browsers/x", ("authorization", &bearer), 403),
        ("/else", ("authorization", &bearer), 200),
        ("/programs/x", ("cookie", &cookie), 403),
        ("/browsers/x", ("cookie", &cookie), 200),
    ] {
        let headers = [("Accept", "application/json"), (header.0, header.1.as_str())];
        assert_eq!(raw_http::send(fleet.nginx().port(), "GET", path, &headers).await.status, status, "{path} by {}", header.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cached_key_checks_and_malformed_keys_cause_no_store_command() {
    let fleet = Fleet::builder().standalone().idp().start().await;
    let (pod, session) = (&fleet.pods[0], fleet.sign_in(0).await.cookie);
    let manager = create_key(pod, Auth::Session(&session), json!({"manage_keys": true})).await;
    let child = create_key(pod, Auth::Key(&manager.key), json!({})).await;
    // The first use of each key is recorded, and later ones are not.
    until("the use of both keys to be recorded", PATIENCE, async || {
        assert_eq!((key_status(pod, &manager.key).await, key_status(pod, &child.key).await), (200, 200));
        let listed = list(pod, Auth::Session(&session), "").await;
        listed["keys"].as_array()?.iter().all(|key| key["last_used"].is_string()).then_some(())
    })
    .await;
    until("checks without store commands", PATIENCE, async || {
        let before = fleet.commands(0).await;
        assert_eq!((key_status(pod, &manager.key).await, key_status(pod, &child.key).await), (200, 200));
        (fleet.commands(0).await == before).then_some(())
    })
    .await;
    let (before, hits) = (fleet.commands(0).await, pod.metric("vestibule_cache_lookups_total", &["\"key\"", "\"hit\""]).await);
    for _ in 0..200 {
        assert_eq!(key_status(pod, &manager.key).await, 200);
        assert_eq!(key_status(pod, &child.key).await, 200);
        assert_eq!(key_status(pod, &format!("{}x", manager.key)).await, 401);
        assert_eq!(key_status(pod, "sk-").await, 401);
    }
    assert_eq!(fleet.commands(0).await - before, 0.0);
    let lookups = pod.metric("vestibule_cache_lookups_total", &["\"key\"", "\"hit\""]).await - hits;
    assert_eq!(lookups, 600.0, "two keys, and the parent of one of them");
    assert_eq!(check_key(pod, &child.key).await.one("x-auth-request-key"), child.id);
    assert_eq!(revoke_key(pod, Auth::Session(&session), &manager.id).await.status(), 200);
    let answer = send(pod, Method::GET, "/vestibule/api/keys", &[("x-api-key", &child.key)], None).await;
    answer.assert(401, "invalid_token");
}
