//! The redirect of a sign-out to the provider, as configured.

use std::collections::HashMap;

use url::Url;

use super::{assert_removes_the_session_cookie, session_status, sign_out};
use crate::support::agent::{Agent, Page};
use crate::support::fleet::Fleet;
use crate::support::steps::ALICE;

#[track_caller]
fn target(page: &Page) -> (Url, HashMap<String, String>) {
    assert_eq!(page.status, 303, "{}", page.body);
    assert_removes_the_session_cookie(page);
    let target = page.location().expect("a redirect leads somewhere");
    let query = target.query_pairs().into_owned().collect();
    (target, query)
}

fn names(query: &HashMap<String, String>) -> Vec<&str> {
    let mut names: Vec<&str> = query.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_continues_at_the_provider_without_an_id_token_and_returns() {
    let fleet = Fleet::shared().await;
    let agent = fleet.signed_in(ALICE).await;
    let (target, query) = target(&sign_out(&agent, &fleet.url("")).await);
    assert!(target.as_str().starts_with(fleet.idp().issuer()), "{target}");
    assert_eq!(names(&query), ["client_id", "logout_hint", "post_logout_redirect_uri"]);
    assert_eq!(query["client_id"], "vestibule");
    assert_eq!(query["post_logout_redirect_uri"], fleet.url("/sso/logout"));
    assert!(!query["logout_hint"].is_empty());

    let confirmation = agent.browse(target.as_str()).await;
    let back = agent.submit(&confirmation.form(), &[("logout", "yes")]).await;
    let back = agent.follow(back).await;
    assert!(back.url.as_str().starts_with(&fleet.url("/sso/logout")), "{}", back.url);
    assert!(back.body.contains("You are signed out"), "{}", back.body);

    // The provider shows its password form again.
    let login = agent.browse(&fleet.url("/ui/")).await;
    assert!(login.url.as_str().starts_with(fleet.idp().issuer()) && login.body.contains("password"), "{}", login.url);
}

/// Chromium also applies `form-action` to the redirect after a form.
#[tokio::test(flavor = "multi_thread")]
async fn form_action_permits_the_providers_logout_and_no_other_url() {
    let fleet = Fleet::shared().await;
    let agent = fleet.signed_in(ALICE).await;
    let page = agent.get(&fleet.url("/sso/logout")).await;
    let policy = page.header("content-security-policy").expect("every page has a policy").to_owned();
    let (target, _) = target(&sign_out(&agent, &fleet.url("")).await);
    let exact = target.as_str().split('?').next().unwrap_or_default();
    assert!(policy.contains(&format!("form-action 'self' {exact};")), "{policy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_logout_off_a_sign_out_does_not_redirect() {
    let fleet = Fleet::builder().idp().provider_setting("logout: off").start().await;
    let agent = fleet.signed_in(ALICE).await;
    let page = agent.get(&fleet.pod(0).public("/sso/logout")).await;
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.contains("form-action 'self';")));
    let (target, _) = target(&sign_out(&agent, &fleet.url("")).await);
    assert_eq!(target.as_str(), fleet.pod(0).public("/sso/logout"));
    let page = agent.browse(target.as_str()).await;
    assert!(page.status == 200 && page.body.contains("You are signed out"), "{}", page.body);
    assert_eq!(session_status(&agent, &fleet.url("")).await, 401);
    assert_eq!(fleet.idp().stats().await["endSession"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_is_sent_to_a_provider_that_requires_it() {
    let fleet = Fleet::builder().idp().provider_setting("logout: id_token_hint").start().await;
    let agent = fleet.signed_in(ALICE).await;
    let (target, query) = target(&sign_out(&agent, &fleet.url("")).await);
    assert!(target.as_str().starts_with(fleet.idp().issuer()), "{target}");
    assert_eq!(names(&query), ["client_id", "id_token_hint", "post_logout_redirect_uri"]);
    assert_eq!(query["id_token_hint"].split('.').count(), 3);
    let confirmation = agent.browse(target.as_str()).await;
    assert_eq!(confirmation.status, 200, "the provider accepts its own token: {}", confirmation.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn configured_parameters_are_added_to_the_usual_ones_or_replace_them() {
    let configured = "end_session_parameters: {logout_uri: 'https://llm.example.com/bye?a=b&c', client_id: pool-client}";
    let fleet = Fleet::builder().idp().provider_setting(configured).start().await;
    let agent = fleet.signed_in(ALICE).await;
    let (target, query) = target(&sign_out(&agent, &fleet.url("")).await);
    assert!(target.as_str().starts_with(fleet.idp().issuer()), "{target}");
    assert_eq!(names(&query), ["client_id", "logout_hint", "logout_uri", "post_logout_redirect_uri"]);
    assert_eq!((&*query["client_id"], &*query["logout_uri"]), ("pool-client", "https://llm.example.com/bye?a=b&c"));
    assert_eq!(target.query_pairs().count(), 4, "no parameter is sent twice: {target}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_endpoint_describes_the_session_until_it_ends() {
    let fleet = Fleet::shared().await;
    let agent = fleet.signed_in(ALICE).await;
    let url = fleet.url("/sso/session");
    let json = agent.get(&url).await.json();
    let found = ["user_email", "user_role", "provider"].map(|name| json[name].as_str().unwrap_or_default());
    assert_eq!(found, ["alice@example.com", "proxy_admin", "corp"]);
    assert_eq!(json["teams"], serde_json::json!(["research"]));
    assert!(json["user_id"].as_str().is_some_and(|id| !id.is_empty()) && json["expires"].is_string(), "{json}");

    sign_out(&agent, &fleet.url("")).await;
    for somebody in [agent, Agent::new()] {
        let page = somebody.get(&url).await;
        assert_eq!((page.status, page.json()["error"].as_str()), (401, Some("login_required")), "{}", page.body);
    }
}
