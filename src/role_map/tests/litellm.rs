//! Tests LiteLLM's section and pinned grants.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::principal::PinnedGrant;

const DOCUMENT: &str = r#"
version: 1
rules:
  - {claim: groups, match: auditors, role: proxy_admin_viewer}
litellm_jwtauth:
  roles_jwt_field: resource_access.litellm.roles
  team_ids_jwt_field: groups
  jwt_litellm_role_map:
    - {jwt_role: "guest*", litellm_role: customer}
    - {jwt_role: "admin?", litellm_role: proxy_admin}
    - {jwt_role: 'CORP\dev', litellm_role: internal_user}
"#;

fn with_roles(roles: Value, groups: Value) -> IdentityClaims {
    identity_of("corp", json!({"resource_access": {"litellm": {"roles": roles}}, "groups": groups}))
}

#[rstest]
#[case::none(json!([]), json!([]), "internal_user_viewer", "default_role")]
#[case::its_only(json!(["admin1"]), json!([]), "proxy_admin", "litellm_jwtauth.jwt_litellm_role_map[1]")]
#[case::first_match_not_highest(json!(["admin1", "guest"]), json!([]), "customer", "litellm_jwtauth.jwt_litellm_role_map[0]")]
#[case::backslash_is_a_character(json!("CORP\\dev"), json!([]), "internal_user", "litellm_jwtauth.jwt_litellm_role_map[2]")]
#[case::competes_with_rules(json!("guest"), json!(["auditors"]), "proxy_admin_viewer", "rules[0]")]
#[case::wins_over_rules(json!("admin1"), json!(["auditors"]), "proxy_admin", "litellm_jwtauth.jwt_litellm_role_map[1]")]
fn the_first_mapping_counts_and_competes_with_the_rules(
    #[case] roles: Value,
    #[case] groups: Value,
    #[case] role: &str,
    #[case] rule: &str,
) {
    let grant = evaluate(DOCUMENT, &[with_roles(roles, groups)]);
    assert_eq!(role_of(&grant), (role, rule));
}

#[rstest]
#[case::shadowed(json!(["admin1", "guest"]), 1, "litellm_jwtauth.jwt_litellm_role_map[0] matches too and comes before it")]
#[case::value(json!("operator"), 1, r#"resource_access.litellm.roles has "operator", and none matches "admin?""#)]
#[case::case(json!("Admin1"), 1, r#"resource_access.litellm.roles has "Admin1", which "admin?" matches except for upper and lower case"#)]
#[case::it_counted(json!("admin1"), 1, "")]
#[case::nothing_in_common(Value::Null, 1, "")]
fn a_mapping_that_nearly_matches_is_explained(#[case] roles: Value, #[case] place: usize, #[case] expected: &str) {
    let explanation = RoleMap::parse(DOCUMENT).unwrap().explain(&[with_roles(roles, json!([]))]);
    let name = format!("litellm_jwtauth.jwt_litellm_role_map[{place}]");
    let miss = explanation.near_misses.iter().find(|miss| miss.rule.as_str() == name);
    assert_eq!(miss.map_or("", |miss| miss.reason.as_str()), expected, "{explanation:?}");
}

#[test]
fn the_first_match_is_found_for_each_identity() {
    let guest = with_roles(json!("guest"), json!(["g1"]));
    let admin = with_roles(json!("admin2"), json!(["g2"]));
    let grant = evaluate(DOCUMENT, &[guest, admin]);
    assert_eq!(role_of(&grant).0, "proxy_admin");
    assert_eq!(teams_of(&grant), ["g1", "g2"]);
}

#[rstest]
#[case::map_alone(
    "{jwt_litellm_role_map: [{jwt_role: a, litellm_role: team}]}",
    "litellm_jwtauth.jwt_litellm_role_map (line 2): needs `roles_jwt_field`"
)]
#[case::field_alone("{roles_jwt_field: a}", "litellm_jwtauth.roles_jwt_field (line 2): needs `jwt_litellm_role_map`")]
#[case::role(
    "{roles_jwt_field: a, jwt_litellm_role_map: [{jwt_role: a, litellm_role: king}]}",
    "litellm_jwtauth.jwt_litellm_role_map[0].litellm_role (line 2): role `king` is not"
)]
#[case::set(
    "{roles_jwt_field: a, jwt_litellm_role_map: [{jwt_role: 'a[bc]', litellm_role: team}]}",
    "litellm_jwtauth.jwt_litellm_role_map[0].jwt_role (line 2): the pattern has a set"
)]
#[case::empty_map("{roles_jwt_field: a, jwt_litellm_role_map: []}", "litellm_jwtauth.jwt_litellm_role_map (line 2): is empty")]
#[case::path("{team_ids_jwt_field: a..b}", "litellm_jwtauth.team_ids_jwt_field (line 2): the claim's path has an empty step")]
fn mistakes_are_reported_with_field_and_line(#[case] section: &str, #[case] expected: &str) {
    let Err(error) = RoleMap::parse(&format!("version: 1\nlitellm_jwtauth: {section}")) else { panic!("the section is invalid") };
    assert!(error.to_string().starts_with(expected), "{error}");
}

#[test]
fn the_section_must_name_its_provider_if_there_are_several() {
    let map = RoleMap::parse(DOCUMENT).unwrap();
    assert!(map.check_configured(&providers(&["corp"])).is_ok());
    let shown = map.check_configured(&providers(&["corp", "partner"])).unwrap_err().to_string();
    let names: Vec<_> = shown.lines().filter_map(|line| line.split(" (line").next()).collect();
    assert_eq!(names, ["rules[0].provider", "litellm_jwtauth.provider"], "{shown}");
}

#[test]
fn a_pinned_grant_stays_if_the_document_says_so_and_still_lists_the_role() {
    let unsynced = DOCUMENT.replace("  team_ids", "  sync_user_role_and_teams: false\n  team_ids");
    let (synced, unsynced) = (RoleMap::parse(DOCUMENT).unwrap(), RoleMap::parse(&unsynced).unwrap());
    let guest = [with_roles(json!("guest"), json!(["g1"]))];
    let first = unsynced.evaluate(&guest);
    assert_eq!(synced.pin(&first), None);
    let pinned = unsynced.pin(&first).unwrap();
    let admin = [with_roles(json!("admin1"), json!(["g2"]))];
    assert_eq!(unsynced.grant(&admin, Some(&pinned)), first);
    assert_eq!(role_of(&synced.grant(&admin, Some(&pinned))).0, "proxy_admin");
    let gone = PinnedGrant { role: Role::new("emperor"), ..pinned };
    assert_eq!(role_of(&unsynced.grant(&admin, Some(&gone))).0, "proxy_admin");
}

#[test]
fn nothing_is_pinned_without_a_role() {
    let map = RoleMap::parse("{version: 1, default_role: none, litellm_jwtauth: {sync_user_role_and_teams: false}}").unwrap();
    assert_eq!(map.pin(&map.evaluate(&[])), None);
}
