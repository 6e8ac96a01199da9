//! The sources of claims, and users whose login lacks a source.

use super::{edit_and_wait, final_page_of_login, grant_after_login, log_lines, with_map};
use crate::support::agent::Agent;
use crate::support::fleet::Fleet;
use crate::support::idp::TokenFormat;
use crate::support::pod::PodOptions;
use crate::support::steps::{ALICE, BOB, CAROL, assert_not_signed_in, assert_page, check, sign_in};

/// alice's roles are only in her access token, in a nested claim.
const NAMED: &str = r#"version: 1
roles: [proxy_admin, team, internal_user, internal_user_viewer]
rules:
  - {source: id_token, claim: resource_access.litellm.roles, match: "*", role: proxy_admin}
  - {source: userinfo, claim: resource_access.litellm.roles, match: "*", role: proxy_admin}
  - {source: access_token, claim: resource_access.litellm.roles, match: "llm-admin*", role: team}
  - {source: id_token, claim: groups, match: "/engineering/tools", role: internal_user}
"#;

const ABSENT: &str = "login without claims from a source";
const CONTACT: &str = "contact: 'Platform <support> (#access)'\n";

async fn absent(fleet: &Fleet, source: &str) -> f64 {
    let label = format!("source=\"{source}\"");
    fleet.pod(0).metric("vestibule_login_absent_sources_total", &["provider=\"corp\"", &label]).await
}

fn refusing() -> String {
    NAMED.replace("version: 1\n", "version: 1\nmissing_source: refuse\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_roles_are_only_found_in_their_source() {
    let fleet = with_map(NAMED, |_| ()).await;
    assert_eq!(grant_after_login(&fleet, ALICE).await.0, "team");
    assert_eq!(grant_after_login(&fleet, BOB).await.0, "internal_user");
    assert_eq!(absent(&fleet, "access_token").await, 0.0);
    assert!(!fleet.pod(0).log().contains(ABSENT), "{}", fleet.pod(0).log());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_claims_of_the_access_token_the_default_role_applies_and_log_and_metric_name_the_source() {
    let fleet = with_map(NAMED, |idp| idp.token_format = TokenFormat::Opaque).await;
    assert_eq!(grant_after_login(&fleet, ALICE).await.0, "internal_user_viewer");
    assert_eq!(absent(&fleet, "access_token").await, 1.0);
    assert_eq!((absent(&fleet, "id_token").await, absent(&fleet, "userinfo").await), (0.0, 0.0));
    let lines = log_lines(fleet.pod(0), &[ABSENT, "WARN"]);
    assert_eq!(lines.len(), 1, "{}", fleet.pod(0).log());
    assert!(lines[0].contains("access_token") && lines[0].contains("corp"), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_source_that_no_rule_names_is_counted_and_not_logged() {
    let any_source = "{version: 1, rules: [{claim: groups, match: /engineering/*, role: internal_user}]}";
    let fleet = with_map(any_source, |idp| idp.token_format = TokenFormat::Opaque).await;
    assert_eq!(grant_after_login(&fleet, ALICE).await.0, "internal_user");
    assert_eq!(absent(&fleet, "access_token").await, 1.0);
    assert!(!fleet.pod(0).log().contains(ABSENT), "{}", fleet.pod(0).log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_a_named_source_is_refused_if_the_map_says_refuse() {
    let adjust = |pod: &mut PodOptions| {
        pod.role_map = Some(refusing());
        pod.further.push_str(CONTACT);
    };
    let fleet = Fleet::builder().idp_with(|idp| idp.token_format = TokenFormat::Opaque).config(adjust).start().await;
    for user in [ALICE, BOB] {
        let page = final_page_of_login(&fleet, user).await;
        assert_page(&page, 403, "Your roles could not be read");
        assert_not_signed_in(&page);
        assert!(page.body.contains("(#access)") && !page.body.contains("<support>"), "{}", page.body);
    }
    assert_eq!((fleet.pod(0).logins("missing_source").await, fleet.pod(0).logins("success").await), (2.0, 0.0));
    assert_eq!(log_lines(fleet.pod(0), &["login failed", "access_token"]).len(), 2, "{}", fleet.pod(0).log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_to_refuse_applies_to_a_session_whose_login_lacked_the_source() {
    let fleet = with_map(NAMED, |idp| idp.token_format = TokenFormat::Opaque).await;
    let agent = Agent::new();
    let session = sign_in(fleet.idp(), &agent, fleet.pod(0), ALICE).await;
    edit_and_wait(fleet.pod(0), &refusing()).await;
    assert_eq!(check(&agent, fleet.pod(0), &session).await.status, 403);
    edit_and_wait(fleet.pod(0), NAMED).await;
    assert_eq!(check(&agent, fleet.pod(0), &session).await.header("x-auth-request-role"), Some("internal_user_viewer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_without_the_claim_is_not_missing() {
    let fleet = with_map(&refusing(), |_| ()).await;
    assert_eq!(grant_after_login(&fleet, CAROL).await.0, "internal_user_viewer");
    assert_eq!(fleet.pod(0).logins("missing_source").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_default_role_a_user_sees_whom_to_contact_until_a_rule_matches() {
    let adjust = |pod: &mut PodOptions| {
        pod.role_map = Some("{version: 1, default_role: none}".to_owned());
        pod.further.push_str(CONTACT);
    };
    let fleet = Fleet::builder().idp().config(adjust).start().await;
    let page = final_page_of_login(&fleet, CAROL).await;
    assert_page(&page, 403, "You have no access yet");
    assert_not_signed_in(&page);
    assert!(page.body.contains("Ask Platform") && page.body.contains("(#access)"), "{}", page.body);
    assert!(!page.body.contains("<support>"), "the operator's text is escaped: {}", page.body);
    assert_eq!((fleet.pod(0).logins("no_role").await, fleet.pod(0).logins("success").await), (1.0, 0.0));

    let named = "{version: 1, default_role: none, rules: [{claim: preferred_username, match: carol, role: customer}]}";
    edit_and_wait(fleet.pod(0), named).await;
    assert_eq!(grant_after_login(&fleet, CAROL).await.0, "customer");
}
