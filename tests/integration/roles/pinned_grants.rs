//! `sync_user_role_and_teams: false`: the grant of the first login is kept.

use serde_json::json;

use super::{edit_and_wait, grant_after_login, granted, with_map};
use crate::support::agent::Agent;
use crate::support::steps::{ALICE, BOB, sign_in};

const STAYS: &str = r#"version: 1
litellm_jwtauth:
  roles_jwt_field: resource_access.litellm.roles
  team_ids_jwt_field: groups
  sync_user_role_and_teams: false
  jwt_litellm_role_map:
    - {jwt_role: "llm-admin*", litellm_role: proxy_admin}
    - {jwt_role: "llm-*", litellm_role: internal_user}
"#;

fn follows() -> String {
    STAYS.replace("sync_user_role_and_teams: false", "sync_user_role_and_teams: true")
}

fn owned(role: &str, teams: &str) -> (String, String) {
    (role.to_owned(), teams.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_kept_from_the_first_login_until_the_map_follows_the_claims() {
    let fleet = with_map(STAYS, |_| ()).await;
    let session = sign_in(fleet.idp(), &Agent::new(), fleet.pod(0), ALICE).await;
    let first = owned("proxy_admin", "/engineering/platform,/teams/research");
    assert_eq!(granted(fleet.pod(0), &session).await, first);

    fleet.idp().set_access_token_claims("alice", json!({"resource_access": {"litellm": {"roles": ["llm-user"]}}})).await;
    fleet.idp().set_claims("alice", json!({"preferred_username": "alice", "groups": ["moved"]})).await;
    assert_eq!(grant_after_login(&fleet, ALICE).await, first, "after another login");
    assert_eq!(granted(fleet.pod(0), &session).await, first);

    edit_and_wait(fleet.pod(0), &follows()).await;
    let now = owned("internal_user", "moved");
    assert_eq!(granted(fleet.pod(0), &session).await, now, "at once, by the claims of the last login");
    fleet.idp().set_access_token_claims("alice", json!({})).await;
    assert_eq!(grant_after_login(&fleet, ALICE).await, owned("internal_user_viewer", "moved"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_signed_in_while_grants_followed_claims_is_pinned_at_the_next_login() {
    let fleet = with_map(&follows(), |_| ()).await;
    let session = sign_in(fleet.idp(), &Agent::new(), fleet.pod(0), BOB).await;
    assert_eq!(granted(fleet.pod(0), &session).await.0, "internal_user");
    edit_and_wait(fleet.pod(0), STAYS).await;
    fleet.idp().set_access_token_claims("bob", json!({"resource_access": {"litellm": {"roles": ["llm-admins"]}}})).await;
    assert_eq!(grant_after_login(&fleet, BOB).await.0, "proxy_admin", "nothing was pinned before");
    fleet.idp().set_access_token_claims("bob", json!({})).await;
    assert_eq!(grant_after_login(&fleet, BOB).await.0, "proxy_admin");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_role_that_is_no_longer_listed_is_replaced_by_the_claims() {
    let fleet = with_map(STAYS, |_| ()).await;
    let session = sign_in(fleet.idp(), &Agent::new(), fleet.pod(0), ALICE).await;
    let without = STAYS
        .replace("version: 1\n", "version: 1\nroles: [internal_user, internal_user_viewer]\n")
        .replace("    - {jwt_role: \"llm-admin*\", litellm_role: proxy_admin}\n", "");
    edit_and_wait(fleet.pod(0), &without).await;
    assert_eq!(granted(fleet.pod(0), &session).await.0, "internal_user", "by her claims: llm-admins is llm-*");
}
