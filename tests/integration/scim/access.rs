//! Changes by the directory take effect on the access of users at once, on every pod.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{BY_SUBJECT, Directory, PATH, ScimAnswer, TOKEN, assert_role, check, fleet, section};
use crate::support::agent::Agent;
use crate::support::api::{Auth, call, create_key, get, key_status, until_key_status};
use crate::support::fleet::Fleet;
use crate::support::http_client;
use crate::support::scratch::Scratch;
use crate::support::steps::{ALICE, BOB, CAROL, assert_not_signed_in, at, session_of, until_callback};
use crate::support::wait;

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn an_inactive_user_is_refused_at_once_and_an_active_one_signs_in_again() {
    let fleet = fleet(BY_SUBJECT).await;
    let directory = Directory::of(&fleet);
    let id = directory.create_user("alice@example.com", "alice").await;
    let agent = fleet.signed_in(ALICE).await;
    let session = session_of(&agent);
    let key = create_key(fleet.pod(0), Auth::Session(&session), json!({})).await.key;
    for pod in 0..3 {
        fleet.warm(pod, &session).await;
        assert_eq!(key_status(fleet.pod(pod), &key).await, 200);
    }
    let since = Instant::now();
    let answer = directory.patch(&format!("/Users/{id}"), json!([{"op": "Replace", "path": "active", "value": "False"}])).await;
    assert_eq!(answer.status, 200);
    for pod in 0..3 {
        fleet.refused(pod, &session, since).await.assert_within_bound("a deactivation by SCIM");
        until_key_status(fleet.pod(pod), &key, 401).await;
    }
    let agent = Agent::new();
    let callback = until_callback(fleet.idp(), &agent, fleet.pod(1), "/", ALICE).await;
    let page = agent.get(&at(fleet.pod(1), &callback)).await;
    assert_eq!(page.status, 403);
    assert_not_signed_in(&page);
    directory.set_active(&id, true).await;
    let again = session_of(&fleet.signed_in(ALICE).await);
    assert_eq!((fleet.passing(&again).await, fleet.passing(&session).await), (3, 0));
    assert_eq!(key_status(fleet.pod(2), &key).await, 401, "the keys have ended");
    let logged = |event: &str| fleet.pods.iter().map(|pod| pod.log().matches(event).count()).sum::<usize>();
    assert_eq!((logged("scim user created"), logged("scim user disabled"), logged("scim user enabled")), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_roles_and_teams_on_every_pod_until_they_are_removed() {
    let fleet = fleet(BY_SUBJECT).await;
    let directory = Directory::of(&fleet);
    let session = session_of(&fleet.signed_in(ALICE).await);
    assert_role(&fleet, &session, "internal_user_viewer").await;
    let alice = directory.create_user("alice@example.com", "alice").await;
    let bob = directory.create_user("bob@example.com", "bob").await;
    let group = directory.create_group("eng-tools", &[&alice, &bob]).await;
    let team = directory.create_group("team-blue", &[&alice]).await;
    assert_role(&fleet, &session, "internal_user").await;
    for pod in &fleet.pods {
        assert_eq!(check(pod, &session).await, (200, "internal_user".to_owned(), "blue".to_owned()));
    }
    let of_bob = session_of(&fleet.signed_in(BOB).await);
    assert_role(&fleet, &of_bob, "internal_user").await;
    let rename = json!([{"op": "Replace", "path": "displayName", "value": "Admins"}]);
    assert_eq!(directory.patch(&format!("/Groups/{group}"), rename).await.status, 204);
    assert_role(&fleet, &session, "proxy_admin").await;
    let remove = json!([{"op": "Remove", "path": "members", "value": [{"value": alice}]}]);
    assert_eq!(directory.patch(&format!("/Groups/{group}"), remove).await.status, 204);
    assert_role(&fleet, &session, "internal_user_viewer").await;
    assert_role(&fleet, &of_bob, "proxy_admin").await;
    assert_eq!(directory.send(Method::DELETE, &format!("/Groups/{group}"), None).await.status, 204);
    assert_eq!(directory.send(Method::DELETE, &format!("/Groups/{team}"), None).await.status, 204);
    assert_role(&fleet, &of_bob, "internal_user_viewer").await;
    for pod in &fleet.pods {
        assert_eq!(check(pod, &session).await.2, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_see_provisioned_users_and_cannot_enable_those_that_the_directory_disabled() {
    let fleet = fleet(BY_SUBJECT).await;
    let directory = Directory::of(&fleet);
    let alice = directory.create_user("alice@example.com", "alice").await;
    directory.create_group("Admins", &[&alice]).await;
    let session = session_of(&fleet.signed_in(ALICE).await);
    let (pod, admin) = (fleet.pod(0), Auth::Session(&session));
    let carol = directory.create_user("carol@example.com", "carol").await;
    let listed = get(pod, admin, "/vestibule/api/people").await;
    let found = listed["people"].as_array().expect("a list").iter().find(|known| known["user_id"] == json!(carol));
    let found = found.unwrap_or_else(|| panic!("{listed}"));
    assert_eq!(
        (&found["preferred_username"], &found["disabled"], &found["last_sign_in"]),
        (&json!("carol@example.com"), &json!(false), &Value::Null)
    );
    assert_eq!(found["scim"], json!({"id": carol, "active": true}));
    directory.set_active(&carol, false).await;
    let path = |action: &str| format!("/vestibule/api/people/{carol}/{action}");
    let post = async |action: &str| call(pod, admin, Method::POST, &path(action), Some(json!({}))).await;
    post("enable").await.assert(409, "access_denied");
    // Each of both refuses by itself.
    assert_eq!(post("disable").await.status(), 200);
    directory.set_active(&carol, true).await;
    let agent = Agent::new();
    let callback = until_callback(fleet.idp(), &agent, fleet.pod(1), "/", CAROL).await;
    assert_eq!(agent.get(&at(fleet.pod(1), &callback)).await.status, 403);
    assert_eq!(post("enable").await.json()["disabled"], json!(false));
    fleet.signed_in(CAROL).await;
    // The directory acts on administrators as well.
    let since = Instant::now();
    assert_eq!(directory.send(Method::DELETE, &format!("/Users/{alice}"), None).await.status, 204);
    for pod in 0..3 {
        fleet.refused(pod, &session, since).await.assert_within_bound("a deletion by SCIM");
    }
    assert_eq!(directory.get(&format!("/Users/{alice}")).await.status, 404);
    let deleted: usize = fleet.pods.iter().map(|pod| pod.log().matches("scim user deleted").count()).sum();
    assert_eq!(deleted, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_off_by_default_and_its_tokens_rotate() {
    let shared = Fleet::shared().await;
    let answer = http_client().get(shared.url(&format!("{PATH}/Users"))).bearer_auth(TOKEN).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 404);
    let scratch = Scratch::new("scim");
    let file = scratch.write("tokens", &format!("{TOKEN}\n"));
    let yaml = section(BY_SUBJECT).replace(&format!("token: {TOKEN}"), &format!("token_file: {}", file.display()));
    let fleet = Fleet::builder().idp().yaml(yaml).start().await;
    let new = "another-scim-token-0123456789abcdefghij";
    let status = async |token: &str| {
        let directory = Directory { token: token.to_owned(), ..Directory::at(fleet.pod(0)) };
        directory.get("/Users").await.status
    };
    assert_eq!((status(TOKEN).await, status(new).await), (200, 401));
    for (tokens, old_status, new_status) in [(format!("{TOKEN}\n{new}\n"), 200, 200), (format!("{new}\n"), 401, 200)] {
        scratch.write("tokens", &tokens);
        wait::until("the tokens to be read again", PATIENCE, async || {
            ((status(TOKEN).await, status(new).await) == (old_status, new_status)).then_some(())
        })
        .await;
    }
    scratch.write("tokens", "short");
    wait::until("the rejection", PATIENCE, async || fleet.pod(0).log().contains("scim tokens rejected").then_some(())).await;
    assert_eq!(status(new).await, 200);
    let twice = http_client().get(fleet.pod(0).public(&format!("{PATH}/Users"))).bearer_auth(new).bearer_auth(new);
    assert_eq!(ScimAnswer::of(twice.send().await.expect("an answer")).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_an_address_are_limited_with_any_token() {
    let yaml = format!("{}trusted_proxies: [127.0.0.0/8]\nrate_limits: {{scim: 2}}\n", section(BY_SUBJECT));
    let fleet = Fleet::builder().idp().yaml(yaml).start().await;
    for (number, token) in ["wrong", TOKEN, TOKEN].into_iter().enumerate() {
        let request = http_client().get(fleet.pod(0).public(&format!("{PATH}/Users"))).bearer_auth(token);
        let answer = request.header("x-forwarded-for", "192.0.2.1").send().await.expect("an answer");
        let answer = ScimAnswer::of(answer).await;
        assert_eq!(answer.status, [401, 200, 429][number]);
        assert_eq!(answer.header("retry-after").is_some(), number == 2);
    }
}
