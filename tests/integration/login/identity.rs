//! The identity of a user after a login flow: trusted claims, and stored records.

use serde_json::json;

use crate::support::agent::Agent;
use crate::support::fleet::Fleet;
use crate::support::idp::TokenFormat;
use crate::support::steps::{ALICE, BOB, CAROL, TestUser, check, sign_in};

async fn header(fleet: &Fleet, user: TestUser, name: &str) -> String {
    let agent = Agent::new();
    let session = sign_in(fleet.idp(), &agent, fleet.pod(0), user).await;
    let page = check(&agent, fleet.pod(0), &session).await;
    assert_eq!(page.status, 200, "{}", page.body);
    page.header(name).expect("every identity header is always there").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_in_the_access_token_only_are_found() {
    let fleet = Fleet::builder().idp().start().await;
    assert_eq!(header(&fleet, ALICE, "x-auth-request-role").await, "proxy_admin");
    assert_eq!(header(&fleet, BOB, "x-auth-request-role").await, "internal_user");
    assert_eq!(header(&fleet, ALICE, "x-auth-request-groups").await, "research");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opaque_access_token_has_no_claims_and_no_substitute() {
    let fleet = Fleet::builder().idp_with(|idp| idp.token_format = TokenFormat::Opaque).start().await;
    assert_eq!(header(&fleet, ALICE, "x-auth-request-role").await, "internal_user", "by her groups alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_email_address_is_passed_on_only_if_its_source_verified_it_or_the_provider_is_trusted() {
    let fleet = Fleet::builder().idp().start().await;
    assert_eq!(header(&fleet, ALICE, "x-auth-request-email").await, "alice@example.com");
    assert_eq!(header(&fleet, CAROL, "x-auth-request-email").await, "");
    let trusted = Fleet::builder().idp().provider_setting("trust_email: true").start().await;
    assert_eq!(header(&trusted, CAROL, "x-auth-request-email").await, "carol@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_in_the_formats_of_other_providers_are_read() {
    let fleet = Fleet::builder().idp().start().await;
    fleet
        .idp()
        .set_claims(
            "bob",
            json!({
                "email": "bob@example.com", "email_verified": "true", "preferred_username": "bob",
                "updated_at": "2026-01-02T03:04:05.000Z",
            }),
        )
        .await;
    assert_eq!(header(&fleet, BOB, "x-auth-request-email").await, "bob@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_flow_without_changes_writes_four_commits_and_keeps_the_user_id() {
    let fleet = Fleet::builder().idp().start().await;
    let first = header(&fleet, BOB, "x-auth-request-user").await;
    let commits = async || fleet.pod(0).metric("vestibule_store_commands_total", &["operation=\"commit\""]).await;
    let before = commits().await;
    assert_eq!(header(&fleet, BOB, "x-auth-request-user").await, first);
    // Commits: the login flow created, the login flow consumed, the index of the provider's session, the session.
    assert_eq!(commits().await - before, 4.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_equal_email_address_does_not_merge_users() {
    let fleet = Fleet::builder().idp().start().await;
    let alice = header(&fleet, ALICE, "x-auth-request-user").await;
    fleet.idp().set_claims("bob", json!({"email": "alice@example.com", "email_verified": true})).await;
    assert_ne!(header(&fleet, BOB, "x-auth-request-user").await, alice);
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_claims_at_the_next_login_change_the_grants_of_existing_sessions() {
    let fleet = Fleet::builder().idp().start().await;
    let agent = Agent::new();
    let session = sign_in(fleet.idp(), &agent, fleet.pod(0), ALICE).await;
    assert_eq!(check(&agent, fleet.pod(0), &session).await.header("x-auth-request-role"), Some("proxy_admin"));
    fleet.idp().set_access_token_claims("alice", json!({})).await;
    assert_eq!(header(&fleet, ALICE, "x-auth-request-role").await, "internal_user", "by her groups alone");
    assert_eq!(check(&agent, fleet.pod(0), &session).await.header("x-auth-request-role"), Some("internal_user"));
    let log = fleet.pod(0).log();
    assert!(log.contains("rules[0]") && log.contains("rules[1]"), "each login's line names its rule: {log}");
    assert!(!log.contains("alice@example.com"));
}
