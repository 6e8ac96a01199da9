//! Who a person is after a login: what is believed of the provider's tokens, and what is written down.

use serde_json::json;

use super::one_pod::OnePod;
use crate::support::agent::Agent;
use crate::support::idp::TokenFormat;
use crate::support::steps::{ALICE, BOB, CAROL, Person, check, sign_in};

async fn header(site: &OnePod, person: Person, name: &str) -> String {
    let agent = Agent::new();
    let session = sign_in(&site.idp, &agent, &site.pod, person).await;
    let page = check(&agent, &site.pod, &session).await;
    assert_eq!(page.status, 200, "{}", page.body);
    page.header(name).expect("every identity header is always there").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_stand_only_in_the_access_token_are_found() {
    let site = OnePod::start(|_| (), |_| ()).await;
    assert_eq!(header(&site, ALICE, "x-auth-request-role").await, "proxy_admin");
    assert_eq!(header(&site, BOB, "x-auth-request-role").await, "internal_user");
    assert_eq!(header(&site, ALICE, "x-auth-request-groups").await, "research");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opaque_access_token_has_no_claims_and_nothing_stands_in_for_them() {
    let site = OnePod::start(|idp| idp.token_format = TokenFormat::Opaque, |_| ()).await;
    assert_eq!(header(&site, ALICE, "x-auth-request-role").await, "internal_user", "by her groups alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_passed_on_only_when_its_source_says_verified_or_the_provider_is_trusted() {
    let site = OnePod::start(|_| (), |_| ()).await;
    assert_eq!(header(&site, ALICE, "x-auth-request-email").await, "alice@example.com");
    assert_eq!(header(&site, CAROL, "x-auth-request-email").await, "");
    let trusted = OnePod::start(|_| (), |pod| pod.providers[0].further.push("trust_email: true".to_owned())).await;
    assert_eq!(header(&trusted, CAROL, "x-auth-request-email").await, "carol@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_in_the_forms_of_other_providers_are_read() {
    let site = OnePod::start(|_| (), |_| ()).await;
    site.idp
        .set_claims(
            "bob",
            json!({
                "email": "bob@example.com", "email_verified": "true", "preferred_username": "bob",
                "updated_at": "2026-01-02T03:04:05.000Z",
            }),
        )
        .await;
    assert_eq!(header(&site, BOB, "x-auth-request-email").await, "bob@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_with_nothing_new_writes_three_commits_and_the_person_stays_the_same() {
    let site = OnePod::start(|_| (), |_| ()).await;
    let first = header(&site, BOB, "x-auth-request-user").await;
    let commits = async || site.pod.metric("vestibule_store_commands_total", &["operation=\"commit\""]).await;
    let before = commits().await;
    assert_eq!(header(&site, BOB, "x-auth-request-user").await, first);
    // The login begun, the login taken, the session.
    assert_eq!(commits().await - before, 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_alone_makes_nobody_the_same_person() {
    let site = OnePod::start(|_| (), |_| ()).await;
    let alice = header(&site, ALICE, "x-auth-request-user").await;
    site.idp.set_claims("bob", json!({"email": "alice@example.com", "email_verified": true})).await;
    assert_ne!(header(&site, BOB, "x-auth-request-user").await, alice);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_claims_at_the_next_login_change_what_a_living_session_may_do() {
    let site = OnePod::start(|_| (), |_| ()).await;
    let agent = Agent::new();
    let session = sign_in(&site.idp, &agent, &site.pod, ALICE).await;
    assert_eq!(check(&agent, &site.pod, &session).await.header("x-auth-request-role"), Some("proxy_admin"));
    site.idp.set_access_token_claims("alice", json!({})).await;
    assert_eq!(header(&site, ALICE, "x-auth-request-role").await, "internal_user", "by her groups alone");
    assert_eq!(check(&agent, &site.pod, &session).await.header("x-auth-request-role"), Some("internal_user"));
    let log = site.pod.log();
    assert!(log.contains("rules[0]") && log.contains("rules[1]"), "each login's line names its rule: {log}");
    assert!(!log.contains("alice@example.com"));
}
