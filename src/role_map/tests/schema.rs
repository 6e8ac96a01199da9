//! Tests that the JSON Schema and the parser accept the same documents.

use rstest::rstest;
use serde_json::Value;

use super::*;

fn schema_accepts(document: &str) -> bool {
    let schema: Value = serde_json::from_str(schema()).expect("the schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("the schema is a schema");
    let document: Value = serde_saphyr::from_str(document).expect("the tables hold YAML");
    validator.is_valid(&document)
}

#[rstest]
#[case::smallest("{version: 1}")]
#[case::all_fields(
    "{version: 1, roles: [a, b], default_role: a, delegate: [b], missing_source: refuse, rules: [{provider: p, source: access_token, claim: 'x[].y', split: space, match: 'a*', ignore_case: true, role: b}], teams: [{provider: p, claim: g, match: 'x*', strip: x, map: {a: b}, source: userinfo, split: comma, ignore_case: false}], access: [{hosts: [a.example.com], paths: [/x/**], methods: [GET], allow: signed_in, roles: [a], teams: [t], credentials: [session, key, token], read: [session], identity_headers: {encoding: percent}}], litellm_jwtauth: {provider: p, roles_jwt_field: r, team_ids_jwt_field: t, sync_user_role_and_teams: false, jwt_litellm_role_map: [{jwt_role: x, litellm_role: a}]}}"
)]
#[case::scalars("{version: 1, rules: [{claim: staff, match: true, role: team}, {claim: level, match: 3, role: team}]}")]
#[case::all("{version: 1, rules: [{role: team, all: [{claim: a, match: b}]}]}")]
#[case::no_role_by_default("{version: 1, default_role: none}")]
#[case::map_alone("{version: 1, teams: [{claim: g, map: {1: a}}]}")]
#[case::object_keys(
    "{version: 1, rules: [{claim: 'roles.{}', match: a, role: team}], teams: [{claim: 'o.*.groups[]', match: a}]}"
)]
#[case::splits(
    "{version: 1, rules: [{claim: a, match: b, role: team, split: semicolon}, {claim: a, match: b, role: team, split: pipe}, {claim: a, match: b, role: team, split: json}, {claim: a, match: b, role: team, split: brackets}]}"
)]
#[case::capture(
    "{version: 1, teams: [{claim: g, capture: 'CN={team},OU=Groups,*', match: 'CN=llm-*', strip: llm-, map: {a: b}}]}"
)]
#[case::routes("{version: 1, routes: {data: {teams: [data science]}, ops-1: {roles: [team, proxy_admin]}}}")]
#[case::no_access("{version: 1, access: []}")]
fn a_valid_document_is_accepted_by_both(#[case] document: &str) {
    RoleMap::parse(document).unwrap();
    assert!(schema_accepts(document));
}

#[rstest]
#[case::no_version("{rules: []}")]
#[case::other_version("{version: 2}")]
#[case::unknown_field("{version: 1, rule: []}")]
#[case::no_roles("{version: 1, roles: []}")]
#[case::role_name("{version: 1, roles: [internal_user_viewer, 'a,b']}")]
#[case::role_none("{version: 1, roles: [internal_user_viewer, none]}")]
#[case::role_twice("{version: 1, roles: [internal_user_viewer, a, a]}")]
#[case::null("{version: 1, default_role: null}")]
#[case::missing_source("{version: 1, missing_source: deny}")]
#[case::rule_without_role("{version: 1, rules: [{claim: a, match: b}]}")]
#[case::rule_without_claim("{version: 1, rules: [{match: b, role: team}]}")]
#[case::rule_with_both("{version: 1, rules: [{claim: a, match: b, role: team, all: [{claim: a, match: b}]}]}")]
#[case::all_empty("{version: 1, rules: [{role: team, all: []}]}")]
#[case::all_with_role("{version: 1, rules: [{role: team, all: [{claim: a, match: b, role: team}]}]}")]
#[case::source("{version: 1, rules: [{claim: a, match: b, role: team, source: idtoken}]}")]
#[case::split("{version: 1, rules: [{claim: a, match: b, role: team, split: tab}]}")]
#[case::team_without_match("{version: 1, teams: [{claim: a}]}")]
#[case::strip_empty("{version: 1, teams: [{claim: a, match: b, strip: ''}]}")]
#[case::capture_without_team("{version: 1, teams: [{claim: a, capture: 'CN=*'}]}")]
#[case::map_empty("{version: 1, teams: [{claim: a, map: {}}]}")]
#[case::allow("{version: 1, access: [{allow: all}]}")]
#[case::paths_empty("{version: 1, access: [{paths: []}]}")]
#[case::path("{version: 1, access: [{paths: [x]}]}")]
#[case::beside_anyone("{version: 1, access: [{allow: anyone, roles: [team]}]}")]
#[case::credential("{version: 1, access: [{credentials: [cookie]}]}")]
#[case::encoding("{version: 1, access: [{identity_headers: {encoding: latin1}}]}")]
#[case::no_encoding("{version: 1, access: [{identity_headers: {}}]}")]
#[case::encoding_beside_nobody("{version: 1, access: [{allow: nobody, identity_headers: {encoding: utf8}}]}")]
#[case::route_name("{version: 1, routes: {Data: {roles: [team]}}}")]
#[case::route_without_restriction("{version: 1, routes: {data: {}}}")]
#[case::route_with_an_empty_list("{version: 1, routes: {data: {roles: []}}}")]
#[case::route_with_another_field("{version: 1, routes: {data: {roles: [team], paths: [/x]}}}")]
#[case::litellm_half("{version: 1, litellm_jwtauth: {roles_jwt_field: a}}")]
#[case::litellm_unknown("{version: 1, litellm_jwtauth: {admin_jwt_scope: a}}")]
fn an_invalid_document_is_rejected_by_both(#[case] document: &str) {
    assert!(RoleMap::parse(document).is_err());
    assert!(!schema_accepts(document));
}
