//! Administrators' actions on users take effect on every pod; users link identities.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::agent::Agent;
use crate::support::api::{ApiResponse, Auth, call, create_key, get, key_status, post};
use crate::support::fleet::Fleet;
use crate::support::local_accounts::{LocalUser, PASSWORD, accept_invitation, link_callback, link_in, sign_in_with_json};
use crate::support::steps::{at, session_of};
use crate::support::wait::until;

const ADMIN: &str = "admin@example.com";
const ADA: &str = "ada@example.com";
/// Invalidation messages take milliseconds. Without them the consistency bound applies, plus the load of the machine.
const AT_ONCE: Duration = Duration::from_secs(10);

async fn fleet_with_users() -> (Fleet, LocalUser, LocalUser) {
    let fleet = Fleet::builder().pods(3).cluster().idp().local_accounts().start().await;
    let admin = fleet.create_user(ADMIN, "proxy_admin").await;
    let ada = fleet.create_user(ADA, "internal_user").await;
    (fleet, admin, ada)
}

async fn act(fleet: &Fleet, by: Auth<'_>, method: Method, path: &str) -> ApiResponse {
    let body = (method == Method::POST).then(|| json!({}));
    call(fleet.pod(0), by, method, &format!("/vestibule/api/people/{path}"), body).await
}

async fn get_user(fleet: &Fleet, by: Auth<'_>, id: &str) -> Value {
    get(fleet.pod(2), by, &format!("/vestibule/api/people/{id}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn disabling_a_user_revokes_all_credentials_on_every_pod_for_good() {
    let (fleet, admin, ada) = fleet_with_users().await;
    let key = create_key(fleet.pod(1), ada.auth(), json!({"key_alias": "mine"})).await;
    assert_eq!(fleet.passing(&ada.cookie).await, 3);
    for pod in &fleet.pods {
        assert_eq!(key_status(pod, &key.key).await, 200);
    }
    let disabled = act(&fleet, admin.auth(), Method::POST, &format!("{}/disable", ada.id)).await;
    assert_eq!((disabled.status(), &disabled.json()["disabled"]), (200, &json!(true)), "{disabled:?}");
    let has_ended = async || (fleet.passing(&ada.cookie).await == 0).then_some(());
    until("her session to end everywhere", AT_ONCE, has_ended).await;
    for pod in &fleet.pods {
        until("her key to end everywhere", AT_ONCE, async || (key_status(pod, &key.key).await == 401).then_some(())).await;
    }
    sign_in_with_json(fleet.pod(1), ADA, PASSWORD, &[]).await.assert(403, "access_denied");
    sign_in_with_json(fleet.pod(1), ADA, "not-her-password-at-all", &[]).await.assert(401, "invalid_grant");
    let invited = json!({"user_email": ADA, "user_role": "team"});
    post(fleet.pod(0), admin.auth(), "/vestibule/api/invitations", invited).await.assert(409, "access_denied");

    assert_eq!(act(&fleet, admin.auth(), Method::POST, &format!("{}/enable", ada.id)).await.status(), 200);
    assert_eq!(sign_in_with_json(fleet.pod(1), ADA, PASSWORD, &[]).await.status(), 200);
    assert_eq!(fleet.passing(&ada.cookie).await, 0, "ended sessions stay ended");
    for pod in &fleet.pods {
        assert_eq!(key_status(pod, &key.key).await, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_user_cannot_sign_in_through_the_provider() {
    let fleet = Fleet::builder().pods(3).cluster().idp().local_accounts().start().await;
    let admin = fleet.create_user(ADMIN, "proxy_admin").await;
    let alice = fleet.sign_in(1).await;
    let id = get(fleet.pod(0), Auth::Session(&alice.cookie), "/sso/session").await["user_id"].as_str().unwrap().to_owned();
    assert_eq!(get_user(&fleet, admin.auth(), &id).await["identities"][0]["provider"], "corp");
    // The role map makes alice a proxy_admin too, and administrators of the same role may manage each other.
    assert_eq!(act(&fleet, admin.auth(), Method::POST, &format!("{id}/disable")).await.status(), 200);
    until("her session to end", AT_ONCE, async || (fleet.passing(&alice.cookie).await == 0).then_some(())).await;
    let agent = Agent::new();
    let callback = fleet.callback(2, &agent).await;
    let page = agent.get(&callback).await;
    assert_eq!(page.status, 403, "{}", page.body);
    assert!(page.body.contains("Your account is disabled"), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_ends_sessions_and_deletes_users() {
    let (fleet, admin, ada) = fleet_with_users().await;
    let key = create_key(fleet.pod(1), ada.auth(), json!({"key_alias": "mine"})).await;
    assert_eq!(act(&fleet, admin.auth(), Method::DELETE, &format!("{}/sessions", ada.id)).await.status(), 200);
    until("her session to end", AT_ONCE, async || (fleet.passing(&ada.cookie).await == 0).then_some(())).await;
    assert_eq!(key_status(fleet.pod(0), &key.key).await, 200, "keys do not end with sessions");
    let again = sign_in_with_json(fleet.pod(0), ADA, PASSWORD, &[]).await.cookie("vestibule").expect("a session");
    assert_eq!(act(&fleet, admin.auth(), Method::DELETE, &ada.id).await.status(), 200);
    until("her session to end", AT_ONCE, async || (fleet.passing(&again).await == 0).then_some(())).await;
    for pod in &fleet.pods {
        until("her key to end", AT_ONCE, async || (key_status(pod, &key.key).await == 401).then_some(())).await;
    }
    sign_in_with_json(fleet.pod(1), ADA, PASSWORD, &[]).await.assert(401, "invalid_grant");
    act(&fleet, admin.auth(), Method::GET, &ada.id).await.assert(404, "not_found");
    let remaining: Vec<String> = names(&fleet).await.into_iter().filter(|name| name.contains(&ada.id)).collect();
    assert!(remaining.iter().all(|name| name.contains(":keys_of:")), "{remaining:?}");
    let new_user = fleet.create_user(ADA, "team").await;
    assert_ne!(new_user.id, ada.id);
}

async fn names(fleet: &Fleet) -> Vec<String> {
    let mut names = Vec::new();
    for node in &fleet.cluster().nodes {
        names.extend(node.keys().await.into_iter().map(|name| String::from_utf8(name).expect("our keys are text")));
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn only_administrators_manage_users_and_none_manages_a_user_of_a_higher_role() {
    let fleet =
        Fleet::builder().pods(3).cluster().idp().local_accounts().yaml("admin_roles: [proxy_admin, org_admin]\n").start().await;
    let admin = fleet.create_user(ADMIN, "proxy_admin").await;
    let lower = fleet.create_user("org@example.com", "org_admin").await;
    let ada = fleet.create_user(ADA, "internal_user").await;
    for path in ["people", "invitations", "role-map"] {
        let reply = call(fleet.pod(0), ada.auth(), Method::GET, &format!("/vestibule/api/{path}"), None).await;
        reply.assert(403, "access_denied");
        let page = Agent::new()
            .get_with(&fleet.pod(0).public(&format!("/vestibule/{path}")), &[("cookie", &format!("vestibule={}", ada.cookie))])
            .await;
        assert_eq!(page.status, 403, "{path}");
    }
    for deed in ["disable", "enable"] {
        act(&fleet, lower.auth(), Method::POST, &format!("{}/{deed}", admin.id)).await.assert(403, "access_denied");
        act(&fleet, admin.auth(), Method::POST, &format!("{}/{deed}", admin.id)).await.assert(403, "access_denied");
        act(&fleet, ada.auth(), Method::POST, &format!("{}/{deed}", ada.id)).await.assert(403, "access_denied");
    }
    act(&fleet, lower.auth(), Method::DELETE, &admin.id).await.assert(403, "access_denied");
    let above = json!({"user_email": "new@example.com", "user_role": "proxy_admin"});
    post(fleet.pod(0), lower.auth(), "/vestibule/api/invitations", above).await.assert(403, "access_denied");
    let reset = json!({"user_email": ADMIN, "user_role": "team"});
    post(fleet.pod(0), lower.auth(), "/vestibule/api/invitations", reset).await.assert(403, "access_denied");
    assert_eq!(act(&fleet, lower.auth(), Method::POST, &format!("{}/disable", ada.id)).await.status(), 200);

    // An API key needs `manage_keys`.
    let plain = create_key(fleet.pod(0), admin.auth(), json!({"manage_keys": true})).await;
    let managing = create_key(fleet.pod(0), admin.auth(), json!({"manage_people": true})).await;
    let invitation = || json!({"user_email": "by-key@example.com", "user_role": "team"});
    post(fleet.pod(1), Auth::Key(&plain.key), "/vestibule/api/invitations", invitation()).await.assert(403, "access_denied");
    let response = post(fleet.pod(1), Auth::Key(&managing.key), "/vestibule/api/invitations", invitation()).await;
    assert_eq!(response.status(), 201, "{response:?}");
    let link = link_in(response.json()["invitation_link"].as_str().expect("a link"));
    assert_eq!(accept_invitation(fleet.pod(2), &link, PASSWORD).await.status(), 200);
    let child = create_key(fleet.pod(0), Auth::Key(&plain.key), json!({"manage_people": true})).await;
    post(fleet.pod(1), Auth::Key(&child.key), "/vestibule/api/invitations", invitation()).await.assert(403, "access_denied");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_listed_in_pages_with_role_rule_and_last_sign_in() {
    let (fleet, admin, ada) = fleet_with_users().await;
    fleet.sign_in(1).await;
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = get(fleet.pod(1), admin.auth(), &format!("/vestibule/api/people?limit=1{after}")).await;
        seen.extend(page["people"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 3);
    let of = |id: &str| seen.iter().find(|one| one["user_id"] == json!(id)).expect("they are listed").clone();
    let (admin_line, ada_line) = (of(&admin.id), of(&ada.id));
    assert_eq!((&admin_line["user_role"], &ada_line["rule"]), (&json!("proxy_admin"), &json!("local.user_role")));
    assert!(seen.iter().all(|one| one["last_sign_in"].is_string()), "{seen:?}");
    let by_email = get(fleet.pod(2), admin.auth(), "/vestibule/api/people?q=ADA%40example.com").await;
    assert_eq!(by_email["people"][0]["user_id"], json!(ada.id));
    let explained = post(fleet.pod(0), admin.auth(), "/vestibule/api/role-map/explain", json!({"user_email": ADA})).await;
    assert_eq!((&explained.json()["role"], &explained.json()["rule"]), (&json!("internal_user"), &json!("local.user_role")));
    let by_provider = json!({"user_email": "Alice@example.com"});
    let explain = async || post(fleet.pod(0), admin.auth(), "/vestibule/api/role-map/explain", by_provider.clone()).await;
    assert_eq!(explain().await.json()["role"], json!("proxy_admin"));
    fleet.create_user("alice@example.com", "team").await;
    explain().await.assert(400, "invalid_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_links_an_identity_after_signing_in_on_both_sides_and_no_identity_is_linked_by_email() {
    let (fleet, admin, ada) = fleet_with_users().await;
    let agent = Agent::new();
    agent.set_cookie("localhost", &format!("vestibule={}; Path=/", ada.cookie));
    let callback = link_callback(&fleet, &agent).await;
    // Another browser and a signed-out browser cannot link an identity.
    let other_browser = Agent::new();
    assert_eq!(other_browser.get(&at(fleet.pod(1), &callback)).await.status, 400);
    let linked = agent.get(&at(fleet.pod(1), &callback)).await;
    assert_eq!(linked.status, 303, "{}", linked.body);
    assert_eq!(linked.location().expect("back to the page").path(), "/vestibule/sign-in");
    let identities = get(fleet.pod(2), ada.auth(), "/vestibule/api/identities").await;
    assert_eq!(identities["identities"].as_array().unwrap().len(), 2, "{identities}");

    let by_provider = fleet.sign_in(2).await;
    let me = get(fleet.pod(0), Auth::Session(&by_provider.cookie), "/sso/session").await;
    assert_eq!(me["user_id"], json!(ada.id), "the provider's identity belongs to the same user");
    assert_eq!(me["user_role"], "proxy_admin", "the highest role of both identities applies");

    // The identity is linked, so no other user can link it.
    let other = Agent::new();
    other.set_cookie("localhost", &format!("vestibule={}; Path=/", admin.cookie));
    let callback = link_callback(&fleet, &other).await;
    let taken = other.get(&at(fleet.pod(1), &callback)).await;
    assert_eq!(taken.status, 409, "{}", taken.body);

    let corp = identities["identities"].as_array().unwrap().iter().find(|one| one["provider"] == "corp").unwrap().clone();
    let unlink = json!({"issuer": corp["issuer"], "subject": corp["subject"]});
    let unlinked = post(fleet.pod(1), ada.auth(), "/vestibule/api/identities/unlink", unlink).await;
    assert_eq!(unlinked.status(), 200, "{unlinked:?}");
    until("her sessions by it to end", AT_ONCE, async || (fleet.passing(&by_provider.cookie).await == 0).then_some(())).await;
    let last = json!({"issuer": "local", "subject": ADA});
    post(fleet.pod(1), ada.auth(), "/vestibule/api/identities/unlink", last).await.assert(409, "limit_reached");
    let new_user = fleet.sign_in(2).await;
    let me = get(fleet.pod(0), Auth::Session(&new_user.cookie), "/sso/session").await;
    assert_ne!(me["user_id"], json!(ada.id), "the unlinked identity is a separate user");
    let _ = session_of(&new_user.agent);
}
