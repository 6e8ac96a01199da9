//! What administrators do with people, on every pod at once; and identities that a person links.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{PASSWORD, Resident, Village, claim, get, link_callback, link_in, post, sign_in_by_json};
use crate::keys::{By, Reply, call, make, status};
use crate::support::agent::Agent;
use crate::support::steps::{at, session_of};
use crate::support::wait::until;

const ADMIN: &str = "admin@example.com";
const ADA: &str = "ada@example.com";
/// Notices come within milliseconds; without them it is the bound, and this machine's load comes on top.
const AT_ONCE: Duration = Duration::from_secs(10);

async fn with_people() -> (Village, Resident, Resident) {
    let village = Village::new().await;
    let admin = village.resident(ADMIN, "proxy_admin").await;
    let ada = village.resident(ADA, "internal_user").await;
    (village, admin, ada)
}

async fn act(village: &Village, by: By<'_>, method: Method, path: &str) -> Reply {
    let body = (method == Method::POST).then(|| json!({}));
    call(village.pod(0), by, method, &format!("/vestibule/api/people/{path}"), body).await
}

async fn person(village: &Village, by: By<'_>, id: &str) -> Value {
    get(village.pod(2), by, &format!("/vestibule/api/people/{id}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_disabled_has_nothing_any_more_on_any_pod_and_gets_none_of_it_back() {
    let (village, admin, ada) = with_people().await;
    let key = make(village.pod(1), ada.by(), json!({"key_alias": "mine"})).await;
    assert_eq!(village.passing(&ada.cookie).await, 3);
    for pod in &village.site.pods {
        assert_eq!(status(pod, &key.key).await, 200);
    }
    let disabled = act(&village, admin.by(), Method::POST, &format!("{}/disable", ada.id)).await;
    assert_eq!((disabled.status(), &disabled.json()["disabled"]), (200, &json!(true)), "{disabled:?}");
    let gone = async || (village.passing(&ada.cookie).await == 0).then_some(());
    until("her session to end everywhere", AT_ONCE, gone).await;
    for pod in &village.site.pods {
        until("her key to end everywhere", AT_ONCE, async || (status(pod, &key.key).await == 401).then_some(())).await;
    }
    sign_in_by_json(village.pod(1), ADA, PASSWORD, &[]).await.assert(403, "access_denied");
    sign_in_by_json(village.pod(1), ADA, "not-her-password-at-all", &[]).await.assert(401, "invalid_grant");
    let invited = json!({"user_email": ADA, "user_role": "team"});
    post(village.pod(0), admin.by(), "/vestibule/api/invitations", invited).await.assert(409, "access_denied");

    assert_eq!(act(&village, admin.by(), Method::POST, &format!("{}/enable", ada.id)).await.status(), 200);
    assert_eq!(sign_in_by_json(village.pod(1), ADA, PASSWORD, &[]).await.status(), 200);
    assert_eq!(village.passing(&ada.cookie).await, 0, "what has ended has ended");
    for pod in &village.site.pods {
        assert_eq!(status(pod, &key.key).await, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_disabled_has_no_way_in_by_the_provider_either() {
    let village = Village::new().await;
    let admin = village.resident(ADMIN, "proxy_admin").await;
    let alice = village.site.sign_in(1).await;
    let id = get(village.pod(0), By::Page(&alice.cookie), "/sso/session").await["user_id"].as_str().unwrap().to_owned();
    assert_eq!(person(&village, admin.by(), &id).await["identities"][0]["provider"], "corp");
    // Alice is a proxy_admin too, by the role map: nobody is above anybody.
    assert_eq!(act(&village, admin.by(), Method::POST, &format!("{id}/disable")).await.status(), 200);
    until("her session to end", AT_ONCE, async || (village.passing(&alice.cookie).await == 0).then_some(())).await;
    let agent = Agent::new();
    let callback = village.site.callback(2, &agent).await;
    let page = agent.get(&callback).await;
    assert_eq!(page.status, 403, "{}", page.body);
    assert!(page.body.contains("Your account is disabled"), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_ends_sessions_and_deletes() {
    let (village, admin, ada) = with_people().await;
    let key = make(village.pod(1), ada.by(), json!({"key_alias": "mine"})).await;
    assert_eq!(act(&village, admin.by(), Method::DELETE, &format!("{}/sessions", ada.id)).await.status(), 200);
    until("her session to end", AT_ONCE, async || (village.passing(&ada.cookie).await == 0).then_some(())).await;
    assert_eq!(status(village.pod(0), &key.key).await, 200, "keys are not sessions");
    let again = sign_in_by_json(village.pod(0), ADA, PASSWORD, &[]).await.cookie("vestibule").expect("a session");
    assert_eq!(act(&village, admin.by(), Method::DELETE, &ada.id).await.status(), 200);
    until("her session to end", AT_ONCE, async || (village.passing(&again).await == 0).then_some(())).await;
    for pod in &village.site.pods {
        until("her key to end", AT_ONCE, async || (status(pod, &key.key).await == 401).then_some(())).await;
    }
    sign_in_by_json(village.pod(1), ADA, PASSWORD, &[]).await.assert(401, "invalid_grant");
    act(&village, admin.by(), Method::GET, &ada.id).await.assert(404, "not_found");
    let left: Vec<String> = names(&village).await.into_iter().filter(|name| name.contains(&ada.id)).collect();
    assert!(left.iter().all(|name| name.contains(":keys_of:")), "{left:?}");
    let anew = village.resident(ADA, "team").await;
    assert_ne!(anew.id, ada.id);
}

async fn names(village: &Village) -> Vec<String> {
    let mut names = Vec::new();
    for node in &village.redis.nodes {
        names.extend(node.keys().await.into_iter().map(|name| String::from_utf8(name).expect("our keys are text")));
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_for_administrators_and_nobody_is_theirs_who_is_above_them() {
    let village = Village::with("admin_roles: [proxy_admin, org_admin]\n").await;
    let admin = village.resident(ADMIN, "proxy_admin").await;
    let lower = village.resident("org@example.com", "org_admin").await;
    let ada = village.resident(ADA, "internal_user").await;
    for path in ["people", "invitations", "role-map"] {
        let reply = call(village.pod(0), ada.by(), Method::GET, &format!("/vestibule/api/{path}"), None).await;
        reply.assert(403, "access_denied");
        let page = Agent::new()
            .get_with(&village.pod(0).public(&format!("/vestibule/{path}")), &[("cookie", &format!("vestibule={}", ada.cookie))])
            .await;
        assert_eq!(page.status, 403, "{path}");
    }
    for deed in ["disable", "enable"] {
        act(&village, lower.by(), Method::POST, &format!("{}/{deed}", admin.id)).await.assert(403, "access_denied");
        act(&village, admin.by(), Method::POST, &format!("{}/{deed}", admin.id)).await.assert(403, "access_denied");
        act(&village, ada.by(), Method::POST, &format!("{}/{deed}", ada.id)).await.assert(403, "access_denied");
    }
    act(&village, lower.by(), Method::DELETE, &admin.id).await.assert(403, "access_denied");
    let above = json!({"user_email": "new@example.com", "user_role": "proxy_admin"});
    post(village.pod(0), lower.by(), "/vestibule/api/invitations", above).await.assert(403, "access_denied");
    let reset = json!({"user_email": ADMIN, "user_role": "team"});
    post(village.pod(0), lower.by(), "/vestibule/api/invitations", reset).await.assert(403, "access_denied");
    assert_eq!(act(&village, lower.by(), Method::POST, &format!("{}/disable", ada.id)).await.status(), 200);

    // By a key it takes one that was made for it.
    let plain = make(village.pod(0), admin.by(), json!({"manage_keys": true})).await;
    let people = make(village.pod(0), admin.by(), json!({"manage_people": true})).await;
    let invitation = || json!({"user_email": "by-key@example.com", "user_role": "team"});
    post(village.pod(1), By::Key(&plain.key), "/vestibule/api/invitations", invitation()).await.assert(403, "access_denied");
    let made = post(village.pod(1), By::Key(&people.key), "/vestibule/api/invitations", invitation()).await;
    assert_eq!(made.status(), 201, "{made:?}");
    let link = link_in(made.json()["invitation_link"].as_str().expect("a link"));
    assert_eq!(claim(village.pod(2), &link, PASSWORD).await.status(), 200);
    let child = make(village.pod(0), By::Key(&plain.key), json!({"manage_people": true})).await;
    post(village.pod(1), By::Key(&child.key), "/vestibule/api/invitations", invitation()).await.assert(403, "access_denied");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_listed_page_by_page_with_role_rule_and_last_sign_in() {
    let (village, admin, ada) = with_people().await;
    village.site.sign_in(1).await;
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = get(village.pod(1), admin.by(), &format!("/vestibule/api/people?limit=1{after}")).await;
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
    let by_email = get(village.pod(2), admin.by(), "/vestibule/api/people?q=ADA%40example.com").await;
    assert_eq!(by_email["people"][0]["user_id"], json!(ada.id));
    let explained = post(village.pod(0), admin.by(), "/vestibule/api/role-map/explain", json!({"user_email": ADA})).await;
    assert_eq!((&explained.json()["role"], &explained.json()["rule"]), (&json!("internal_user"), &json!("local.user_role")));
    let by_provider = json!({"user_email": "Alice@example.com"});
    let explain = async || post(village.pod(0), admin.by(), "/vestibule/api/role-map/explain", by_provider.clone()).await;
    assert_eq!(explain().await.json()["role"], json!("proxy_admin"));
    village.resident("alice@example.com", "team").await;
    explain().await.assert(400, "invalid_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_links_an_identity_that_both_sides_have_proven_and_nothing_links_by_email() {
    let (village, admin, ada) = with_people().await;
    let agent = Agent::new();
    agent.set_cookie("localhost", &format!("vestibule={}; Path=/", ada.cookie));
    let callback = link_callback(village.pod(0), &agent).await;
    // Somebody else's browser, and one that is not signed in any more, link nothing.
    let stranger = Agent::new();
    assert_eq!(stranger.get(&at(village.pod(1), &callback)).await.status, 400);
    let linked = agent.get(&at(village.pod(1), &callback)).await;
    assert_eq!(linked.status, 303, "{}", linked.body);
    assert_eq!(linked.location().expect("back to the page").path(), "/vestibule/sign-in");
    let identities = get(village.pod(2), ada.by(), "/vestibule/api/identities").await;
    assert_eq!(identities["identities"].as_array().unwrap().len(), 2, "{identities}");

    let by_provider = village.site.sign_in(2).await;
    let me = get(village.pod(0), By::Page(&by_provider.cookie), "/sso/session").await;
    assert_eq!(me["user_id"], json!(ada.id), "the provider's identity is hers");
    assert_eq!(me["user_role"], "proxy_admin", "of both identities the highest role counts");

    // It is hers, so that nobody else links it.
    let other = Agent::new();
    other.set_cookie("localhost", &format!("vestibule={}; Path=/", admin.cookie));
    let callback = link_callback(village.pod(0), &other).await;
    let taken = other.get(&at(village.pod(1), &callback)).await;
    assert_eq!(taken.status, 409, "{}", taken.body);

    let corp = identities["identities"].as_array().unwrap().iter().find(|one| one["provider"] == "corp").unwrap().clone();
    let unlink = json!({"issuer": corp["issuer"], "subject": corp["subject"]});
    let unlinked = post(village.pod(1), ada.by(), "/vestibule/api/identities/unlink", unlink).await;
    assert_eq!(unlinked.status(), 200, "{unlinked:?}");
    until("her sessions by it to end", AT_ONCE, async || (village.passing(&by_provider.cookie).await == 0).then_some(())).await;
    let last = json!({"issuer": "local", "subject": ADA});
    post(village.pod(1), ada.by(), "/vestibule/api/identities/unlink", last).await.assert(409, "limit_reached");
    let anew = village.site.sign_in(2).await;
    let me = get(village.pod(0), By::Page(&anew.cookie), "/sso/session").await;
    assert_ne!(me["user_id"], json!(ada.id), "by now it is somebody of their own");
    let _ = session_of(&anew.agent);
}
