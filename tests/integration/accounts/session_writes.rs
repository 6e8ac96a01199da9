//! Without `api.session_writes`, a session creates no credential and no right by JSON, and can still read and revoke access.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::agent::Agent;
use crate::support::api::{Auth, KEYS, call, create_key, get, revoke_key, rotate_key, send};
use crate::support::fleet::Fleet;
use crate::support::local_accounts::{OTHER_PASSWORD, PASSWORD, accept_invitation_with, sign_in_with_json};
use crate::support::pod::PodOptions;
use crate::support::steps::BINDING;

const BOB: &str = "bob@example.com";

#[tokio::test(flavor = "multi_thread")]
async fn a_session_revokes_by_json_and_grants_nothing() {
    let without_session_writes = |pod: &mut PodOptions| pod.session_writes = false;
    let fleet = Fleet::builder().pods(3).cluster().idp().local_accounts().config(without_session_writes).start().await;
    let (admin, bob) = (fleet.create_user("admin@example.com", "proxy_admin").await, fleet.create_user(BOB, "team").await);
    let (pod, session) = (fleet.pod(0), admin.auth());
    let key = page_key(&fleet, &admin.cookie).await;
    let own = create_key(pod, Auth::Key(&key), json!({"key_alias": "derived"})).await;

    let grants: [(Method, String, Value); 7] = [
        (Method::POST, KEYS.to_owned(), json!({})),
        (Method::POST, format!("{KEYS}/{}/regenerate", own.id), json!({})),
        (Method::POST, "/vestibule/api/invitations".to_owned(), json!({"user_email": BOB, "user_role": "team"})),
        (Method::POST, "/vestibule/api/identities".to_owned(), json!({"provider": "corp"})),
        (Method::POST, format!("/vestibule/api/people/{}/enable", bob.id), json!({})),
        // A disabled user who is deleted can sign in as a new user.
        (Method::DELETE, format!("/vestibule/api/people/{}", bob.id), json!({})),
        (
            Method::POST,
            "/vestibule/api/password".to_owned(),
            json!({"current_password": PASSWORD, "new_password": OTHER_PASSWORD}),
        ),
    ];
    let origin = fleet.url("");
    let cookie = format!("vestibule={}", admin.cookie);
    let variants: [&[(&str, &str)]; 5] = [
        &[],
        &[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
        &[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
        &[("sec-fetch-site", "none")],
        &[("origin", &origin)],
    ];
    for (method, path, body) in &grants {
        for variant in variants {
            let headers = [&[("cookie", cookie.as_str()), ("content-type", "application/json")][..], variant].concat();
            let refused = send(pod, method.clone(), path, &headers, Some(body.to_string())).await;
            refused.assert(403, "session_not_allowed");
        }
    }
    // A script could sign the user in to another account.
    for variant in &variants[1..] {
        let refused = sign_in_with_json(pod, BOB, PASSWORD, variant).await;
        assert_eq!(refused.cookie("vestibule"), None);
        refused.assert(403, "session_not_allowed");
    }
    let link = fleet.invite("eve@example.com", "team");
    for variant in &variants[1..] {
        let refused = accept_invitation_with(pod, &link, PASSWORD, variant).await;
        assert_eq!(refused.cookie("vestibule"), None);
        refused.assert(403, "session_not_allowed");
    }
    assert_eq!(accept_invitation_with(pod, &link, PASSWORD, variants[0]).await.status(), 200, "a program");
    assert_eq!(sign_in_with_json(pod, BOB, PASSWORD, variants[0]).await.status(), 200, "a program");

    assert_eq!(get(pod, session, KEYS).await["keys"].as_array().expect("a list").len(), 2, "no further key");
    let restricted = call(pod, session, Method::PATCH, &format!("{KEYS}/{}", own.id), Some(json!({"paths": ["/v1/**"]}))).await;
    assert_eq!(restricted.status(), 200, "{restricted:?}");
    assert_eq!(revoke_key(pod, session, &own.id).await.status(), 200);
    let disabled = call(pod, session, Method::POST, &format!("/vestibule/api/people/{}/disable", bob.id), Some(json!({}))).await;
    assert_eq!(disabled.status(), 200, "{disabled:?}");
    let sessions = call(pod, session, Method::DELETE, "/vestibule/api/sessions", None).await;
    assert_eq!(sessions.status(), 200, "{sessions:?}");

    // Keys are not affected.
    let again = create_key(pod, Auth::Key(&key), json!({})).await;
    assert_eq!(rotate_key(pod, Auth::Key(&key), &again.id, json!({})).await.status(), 200);
    let enabled = call(pod, Auth::Key(&key), Method::POST, &format!("/vestibule/api/people/{}/enable", bob.id), None).await;
    assert_eq!(enabled.status(), 200, "{enabled:?}");
    let deleted = call(pod, Auth::Key(&key), Method::DELETE, &format!("/vestibule/api/people/{}", bob.id), None).await;
    assert_eq!(deleted.status(), 200, "{deleted:?}");
}

/// Creates a key that manages keys and users, with the form of the page.
async fn page_key(fleet: &Fleet, session: &str) -> String {
    let agent = Agent::new();
    agent.set_cookie("localhost", &format!("vestibule={session}; Path=/"));
    let form = agent.get(&fleet.pod(1).public("/vestibule/keys")).await.form();
    let fields = [("action", "make"), ("key_alias", "page"), ("duration", "1d"), ("manage_keys", "on"), ("manage_people", "on")];
    let created = agent.submit(&form, &fields).await;
    assert_eq!(created.status, 200, "{}", created.body);
    let (_, rest) = created.body.split_once("sk-").expect("the page shows the key");
    let secret: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || ['-', '_'].contains(c)).collect();
    let again = agent.submit(&form, &fields).await;
    assert!(again.status == 403 && again.body.contains("This form was already sent"), "{}", again.body);
    format!("sk-{secret}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_sent_to_every_pod_at_once_is_accepted_once() {
    let fleet = Fleet::builder().pods(3).cluster().idp().local_accounts().start().await;
    let admin = fleet.create_user("admin@example.com", "proxy_admin").await;
    let agent = Agent::new();
    agent.set_cookie("localhost", &format!("vestibule={}; Path=/", admin.cookie));
    let form = agent.get(&fleet.pod(0).public("/vestibule/keys")).await.form();
    let fields: Vec<(&str, &str)> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let fields = [&fields[..], &[("action", "make"), ("key_alias", "once"), ("duration", "1d")]].concat();
    let fields: Vec<(&str, &str)> = fields.into_iter().filter(|(name, value)| *name == "csrf" || !value.is_empty()).collect();
    let posts = fleet.pods.iter().map(async |pod| agent.post(&pod.public("/vestibule/keys"), &fields).await.status);
    let mut statuses = futures::future::join_all(posts).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403, 403]);
    assert_eq!(fleet.metric("vestibule_key_changes_total", &[r#"change="made""#]).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_script_reads_a_form_that_replaces_the_session_or_sends_one_of_another_browser() {
    let fleet = Fleet::builder().pods(3).cluster().idp().local_accounts().start().await;
    let (bob, eve) = (fleet.create_user(BOB, "team").await, fleet.create_user("eve@example.com", "team").await);
    let link = fleet.invite("mallory@example.com", "team");
    let login = fleet.pod(0).public("/sso/login");
    let pages =
        [login.clone(), fleet.pod(1).public("/sso/callback"), fleet.pod(2).public(&format!("/onboarding?invite_link={link}"))];
    let victim = Agent::new();
    victim.set_cookie("localhost", &format!("vestibule={}; Path=/", bob.cookie));
    for url in &pages {
        for headers in [
            [("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
            [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
        ] {
            let page = victim.get_with(url, &headers).await;
            assert!(page.status == 403 && !page.body.contains("csrf"), "{url}: {headers:?}: {}", page.body);
        }
    }
    let scripted = victim.post_with(&login, &[("user_email", "eve@example.com")], &[("sec-fetch-mode", "cors")]).await;
    assert!(scripted.status == 403 && !scripted.body.contains("csrf"), "{}", scripted.body);

    // A script can set the cookie that the form of another browser is bound to.
    let other = Agent::new();
    let form = other.get(&login).await.form();
    let binding = other.cookie("localhost", BINDING).expect("the form is bound to the browser");
    victim.set_cookie("localhost", &format!("{BINDING}={}; Path=/", binding.value));
    let fields = [("user_email", "eve@example.com"), ("password", PASSWORD)];
    assert_eq!(victim.submit(&form, &fields).await.status, 403);
    assert_eq!(victim.cookie("localhost", "vestibule").expect("a session").value, bob.cookie);
    let own = victim.get(&login).await.form();
    assert_eq!(victim.submit(&own, &fields).await.status, 303);
    let session = victim.cookie("localhost", "vestibule").expect("a session").value;
    assert!(session != bob.cookie && session != eve.cookie);
    assert_eq!(other.submit(&form, &fields).await.status, 303, "the other browser itself");
}
