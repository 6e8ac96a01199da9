//! Tests the grants of documents and the errors of invalid documents.

use rstest::rstest;
use serde_json::{Value, json};

mod access;
mod conditions;
mod directory;
mod documentation;
mod explanations;
mod litellm;
mod property;
mod schema;

use super::teams::{MAX_TEAMS, MAX_TEAMS_BYTES};
use super::*;
use crate::json::object as claims;
use crate::principal::{Claims, IdentityHeaders, Team};
use crate::yaml::Place;

fn identity_of(provider: &str, id_token: Value) -> IdentityClaims {
    IdentityClaims {
        provider: provider.into(),
        issuer: format!("https://{provider}.example.com"),
        subject: "s-1".into(),
        id_token: claims(id_token),
        ..IdentityClaims::default()
    }
}

fn evaluate(document: &str, identities: &[IdentityClaims]) -> Grant {
    let map = RoleMap::parse(document).expect("the document is valid");
    map.evaluate(identities)
}

fn role_of(grant: &Grant) -> (&str, &str) {
    (grant.role.as_ref().map_or("-", Role::as_str), grant.rule.as_ref().map_or("-", RuleName::as_str))
}

fn teams_of(grant: &Grant) -> Vec<&str> {
    grant.teams.iter().map(Team::as_str).collect()
}

const ROLES: &str = r#"
version: 1
rules:
  - {claim: groups, match: /engineering/*, role: internal_user}
  - {provider: corp, claim: resource_access.litellm.roles, match: "llm-admin*", role: proxy_admin}
  - {claim: groups, match: /engineering/leads, role: org_admin}
  - {claim: level, match: 3, role: team}
  - {claim: staff, match: true, role: proxy_admin_viewer}
  - {claim: 'https://example\.com/role', match: "?wner", role: org_admin}
  - {claim: groups, match: /guests, role: customer}
"#;

#[rstest]
#[case::no_claims(json!({}), "internal_user_viewer", "default_role")]
#[case::glob(json!({"groups": ["/engineering/a/b"]}), "internal_user", "rules[0]")]
#[case::single_text(json!({"groups": "/engineering/a"}), "internal_user", "rules[0]")]
#[case::case_matters(json!({"groups": ["/Engineering/a"]}), "internal_user_viewer", "default_role")]
#[case::later_rule_with_more_privilege(json!({"groups": ["/engineering/leads"]}), "org_admin", "rules[2]")]
#[case::order_of_values_is_ignored(json!({"groups": ["/guests", "/engineering/leads", "/engineering/a"]}), "org_admin", "rules[2]")]
#[case::nested(json!({"resource_access": {"litellm": {"roles": ["x", "llm-admins"]}}}), "proxy_admin", "rules[1]")]
#[case::nested_and_more(json!({"resource_access": {"litellm": {"roles": "llm-admin"}}, "staff": true, "level": 3}), "proxy_admin", "rules[1]")]
#[case::nested_elsewhere(json!({"litellm": {"roles": ["llm-admin"]}}), "internal_user_viewer", "default_role")]
#[case::number(json!({"level": 3}), "team", "rules[3]")]
#[case::number_as_text(json!({"level": "3"}), "team", "rules[3]")]
#[case::another_number(json!({"level": 30}), "internal_user_viewer", "default_role")]
#[case::fraction(json!({"level": 3.0}), "internal_user_viewer", "default_role")]
#[case::boolean(json!({"staff": true}), "proxy_admin_viewer", "rules[4]")]
#[case::boolean_false(json!({"staff": false}), "internal_user_viewer", "default_role")]
#[case::namespaced(json!({"https://example.com/role": "owner"}), "org_admin", "rules[5]")]
#[case::first_of_equals(json!({"https://example.com/role": "owner", "groups": ["/engineering/leads"]}), "org_admin", "rules[2]")]
#[case::less_than_the_default(json!({"groups": ["/guests"]}), "customer", "rules[6]")]
#[case::object_is_no_value(json!({"groups": {"/engineering/a": true}}), "internal_user_viewer", "default_role")]
#[case::null_is_no_value(json!({"groups": null, "level": null}), "internal_user_viewer", "default_role")]
fn the_highest_privilege_wins(#[case] id_token: Value, #[case] role: &str, #[case] rule: &str) {
    let grant = evaluate(ROLES, &[identity_of("corp", id_token)]);
    assert_eq!(role_of(&grant), (role, rule));
}

#[test]
fn a_rule_matches_only_claims_of_its_provider() {
    let admin = json!({"resource_access": {"litellm": {"roles": ["llm-admin"]}}});
    let grant = evaluate(ROLES, &[identity_of("partner", admin)]);
    assert_eq!(role_of(&grant), ("internal_user_viewer", "default_role"));
}

#[test]
fn every_identity_and_every_source_is_evaluated() {
    let mut corp = identity_of("corp", json!({}));
    corp.userinfo = Some(claims(json!({"groups": ["/guests"]})));
    let mut partner = identity_of("partner", json!({"groups": "/engineering/a"}));
    let grant = evaluate(ROLES, &[corp.clone(), partner.clone()]);
    assert_eq!(role_of(&grant), ("internal_user", "rules[0]"));
    partner.access_token = Some(claims(json!({"staff": true})));
    let grant = evaluate(ROLES, &[partner, corp]);
    assert_eq!(role_of(&grant), ("proxy_admin_viewer", "rules[4]"));
}

#[test]
fn a_dotted_claim_name_is_not_a_nested_claim() {
    let split = json!({"resource_access.litellm.roles": ["llm-admin"]});
    let grant = evaluate(ROLES, &[identity_of("corp", split)]);
    assert_eq!(role_of(&grant), ("internal_user_viewer", "default_role"));
}

#[rstest]
#[case::default("version: 1", "internal_user_viewer", "default_role")]
#[case::configured("{version: 1, default_role: customer}", "customer", "default_role")]
#[case::none("{version: 1, default_role: none}", "-", "-")]
#[case::own_list("{version: 1, roles: [boss, clerk], default_role: clerk}", "clerk", "default_role")]
fn users_without_a_matching_rule_get_the_default_role(#[case] document: &str, #[case] role: &str, #[case] rule: &str) {
    let grant = evaluate(document, &[identity_of("corp", json!({"groups": ["/engineering/a"]}))]);
    assert_eq!(role_of(&grant), (role, rule));
    assert_eq!(role_of(&evaluate(document, &[])), (role, rule));
}

#[test]
fn the_order_of_the_role_list_is_the_order_of_privilege() {
    let document = |roles: &str| {
        format!(
            "{{version: 1, default_role: none, roles: [{roles}], rules: [\
             {{claim: g, match: a, role: first}}, {{claim: g, match: b, role: second}}]}}"
        )
    };
    let both = [identity_of("corp", json!({"g": ["a", "b"]}))];
    let grant = evaluate(&document("first, second"), &both);
    assert_eq!(role_of(&grant), ("first", "rules[0]"));
    let grant = evaluate(&document("second, first"), &both);
    assert_eq!(role_of(&grant), ("second", "rules[1]"));
}

#[test]
fn the_default_map_grants_the_default_role_and_no_team() {
    let grant = RoleMap::default().evaluate(&[identity_of("corp", json!({"groups": ["a"]}))]);
    assert_eq!(role_of(&grant), ("internal_user_viewer", "default_role"));
    assert_eq!(teams_of(&grant), Vec::<&str>::new());
}

const TEAMS: &str = r#"
version: 1
teams:
  - {claim: groups, match: "/teams/*", strip: /teams/}
  - {claim: squads, match: "*"}
  - {provider: partner, claim: partner_teams, match: "p-*", strip: p-}
  - {claim: cost_centre, match: "4*", strip: "4"}
"#;

#[rstest]
#[case::nothing(json!({}), &[], 0)]
#[case::stripped(json!({"groups": ["/teams/red", "/other/blue"]}), &["red"], 0)]
#[case::sorted_once(json!({"groups": ["/teams/red", "/teams/blue", "/teams/red"], "squads": ["amber", "red"]}), &["amber", "blue", "red"], 0)]
#[case::stripped_once(json!({"groups": ["/teams//teams/x"]}), &["/teams/x"], 0)]
#[case::nothing_left(json!({"groups": ["/teams/"]}), &[], 1)]
#[case::comma(json!({"squads": ["a,b", "c"]}), &["c"], 1)]
#[case::comma_stripped_value(json!({"groups": ["/teams/a,b"]}), &[], 1)]
#[case::controls(json!({"squads": ["a\r\nX-Role: admin", "b\u{0}", "c\u{7f}", "d\u{85}", "e"]}), &["e"], 4)]
#[case::blanks_at_the_ends(json!({"squads": [" a", "b ", "\u{a0}c", "two words"]}), &["two words"], 3)]
#[case::beyond_ascii(json!({"squads": ["\u{fc}ber"]}), &["\u{fc}ber"], 0)]
#[case::numbers(json!({"cost_centre": [471, 500]}), &["71"], 0)]
#[case::same_bad_value_twice(json!({"squads": ["a,b", "a,b"]}), &[], 1)]
#[case::foreign_provider(json!({"partner_teams": ["p-x"]}), &[], 0)]
#[case::object(json!({"squads": {"a": 1}}), &[], 0)]
fn teams_have_only_names_that_a_header_can_carry(#[case] id_token: Value, #[case] teams: &[&str], #[case] dropped: u32) {
    let grant = evaluate(TEAMS, &[identity_of("corp", id_token)]);
    assert_eq!((teams_of(&grant), grant.dropped), (teams.to_vec(), dropped));
}

#[test]
fn teams_come_from_all_identities() {
    let corp = identity_of("corp", json!({"squads": "z"}));
    let partner = identity_of("partner", json!({"partner_teams": ["p-x", "p-y"]}));
    let grant = evaluate(TEAMS, &[corp, partner]);
    assert_eq!(teams_of(&grant), ["x", "y", "z"]);
}

#[test]
fn teams_are_bounded_in_number() {
    let many: Vec<_> = (0..=MAX_TEAMS).map(|n| format!("t{n:03}")).collect();
    let grant = evaluate(TEAMS, &[identity_of("corp", json!({ "squads": many }))]);
    assert_eq!((grant.teams.len(), grant.dropped), (MAX_TEAMS, 1));
    assert_eq!(grant.teams[MAX_TEAMS - 1].as_str(), "t127");
}

#[test]
fn teams_are_bounded_in_length() {
    let long: Vec<_> = (0..100).map(|n| format!("{n:0>99}")).collect();
    let grant = evaluate(TEAMS, &[identity_of("corp", json!({ "squads": long }))]);
    assert_eq!((grant.teams.len(), grant.dropped), (MAX_TEAMS_BYTES / 100, 75));
}

#[test]
fn a_team_that_is_too_long_drops_no_other_team() {
    let squads = json!({"squads": ["a".repeat(MAX_TEAMS_BYTES), "blue", "red"]});
    let grant = evaluate(TEAMS, &[identity_of("corp", squads)]);
    assert_eq!((teams_of(&grant), grant.dropped), (vec!["blue", "red"], 1));
}

#[rstest]
#[case::empty("", 1)]
#[case::no_yaml("version: 1\nrules: {", 2)]
#[case::no_version("rules: []", 1)]
#[case::version_no_number("version: one", 1)]
#[case::list("- version: 1", 1)]
#[case::tab("version: 1\n\tx: y", 1)]
#[case::two_documents("version: 1\n---\nversion: 1", 2)]
#[case::unknown_field("version: 1\nrule: []", 2)]
#[case::access_null("version: 1\n\naccess:", 3)]
#[case::duplicate_field("version: 1\nrules: []\nrules: []", 3)]
#[case::unknown_rule_field("version: 1\nrules:\n  - {claim: a, match: b, role: team, sauce: x}", 3)]
#[case::unknown_source("version: 1\nrules:\n  - {claim: a, match: b, role: team, source: x}", 3)]
#[case::unknown_split("version: 1\nrules:\n  - {claim: a, match: b, role: team, split: tab}", 3)]
#[case::unknown_team_field("version: 1\nteams:\n  - {claim: a, match: b, role: team}", 3)]
#[case::no_role("version: 1\nrules:\n  - {claim: b, match: c}", 3)]
#[case::claim_list("version: 1\nrules:\n  - {claim: [a], match: b, role: team}", 3)]
#[case::rules_null("version: 1\nrules:\n", 2)]
#[case::roles_null("version: 1\nroles: ~", 2)]
#[case::default_role_null("version: 1\ndefault_role: null", 2)]
#[case::default_role_blank("version: 1\ndefault_role:\n", 2)]
#[case::provider_null("version: 1\nrules:\n  - {claim: a, match: b, role: team, provider: }", 3)]
#[case::strip_null("version: 1\nteams:\n  - {claim: a, match: b, strip: ~}", 3)]
#[case::unquoted_star("version: 1\nrules:\n  - {claim: a, match: *x, role: team}", 3)]
#[case::merge_key("version: 1\nrules:\n  - &a {claim: a, match: b, role: team}\n  - {<<: *a, role: customer}", 4)]
#[case::tag("version: 1\ndefault_role: !secret customer", 2)]
#[case::binary("version: 1\ndefault_role: !!binary Y3VzdG9tZXI=", 2)]
#[case::alias_of_itself("version: 1\nrules: &r [*r]", 2)]
#[case::null_in_list("version: 1\nroles: [internal_user_viewer, ~]", 2)]
#[case::rule_null("version: 1\nrules: [~]", 2)]
#[case::team_null("version: 1\nteams:\n  - {claim: a, map: {x: }}", 3)]
#[case::key_null("version: 1\nteams:\n  - {claim: a, map: {~: x}}", 3)]
#[case::negative_version("version: -1", 1)]
fn an_invalid_structure_is_reported_with_its_line(#[case] document: &str, #[case] expected: u64) {
    let mistakes = RoleMap::parse(document).unwrap_err();
    let first = mistakes.iter().next().expect("an invalid document has a mistake");
    assert_eq!(first.place.line(), Some(expected), "{mistakes}");
    assert!(!first.text.is_empty() && !first.text.contains('\n'), "{mistakes}");
}

#[rstest]
#[case::version("version: 2", "version (line 1): `2` is unknown to this release; write 1")]
#[case::no_roles("version: 1\nroles: []", "roles (line 2): names no role")]
#[case::role_twice("version: 1\nroles: [internal_user_viewer, a, a]", "roles[2] (line 2): role `a` is listed twice")]
#[case::role_none("version: 1\nroles: [internal_user_viewer, none]", "roles[1] (line 2): `none` can't be")]
#[case::role_comma("version: 1\nroles:\n  - internal_user_viewer\n  - 'a,b'", "roles[1] (line 4): `a,b` can't be")]
#[case::role_blank("version: 1\nroles: [internal_user_viewer, a b]", "roles[1] (line 2): `a b` can't be")]
#[case::role_control("version: 1\nroles: [internal_user_viewer, \"a\\r\\nb\"]", "roles[1] (line 2): `a\\r\\nb` can't be")]
#[case::role_empty("version: 1\nroles: [internal_user_viewer, '']", "roles[1] (line 2): `` can't be")]
#[case::default_unlisted(
    "version: 1\ndefault_role: king",
    "default_role (line 2): role `king` is not in the list of roles: proxy_admin, "
)]
#[case::default_list_lacks_it("version: 1\nroles: [a]", "default_role (line 1): the list of roles lacks internal_user_viewer")]
#[case::rule_role(
    "version: 1\nrules:\n  - claim: a\n    match: b\n    role: king",
    "rules[0].role (line 5): role `king` is not in the list of roles"
)]
#[case::rule_role_none("version: 1\nrules: [{claim: a, match: b, role: none}]", "rules[0].role (line 2): role `none` is not")]
#[case::rule_role_case("version: 1\nrules: [{claim: a, match: b, role: Team}]", "rules[0].role (line 2): role `Team` is not")]
#[case::claim_empty(
    "version: 1\nrules: [{claim: '', match: b, role: team}]",
    "rules[0].claim (line 2): the claim's path is empty"
)]
#[case::claim_step("version: 1\nteams: [{claim: a..b, match: b}]", "teams[0].claim (line 2): the claim's path has an empty step")]
#[case::claim_bracket(
    "version: 1\nrules: [{claim: 'groups[0].name', match: b, role: team}]",
    "rules[0].claim (line 2): the claim's path has a square bracket"
)]
#[case::claim_escape(
    "version: 1\nrules: [{claim: 'a\\x', match: b, role: team}]",
    "rules[0].claim (line 2): the claim's path has a backslash"
)]
#[case::glob_empty("version: 1\nrules: [{claim: a, match: '', role: team}]", "rules[0].match (line 2): the pattern is empty")]
#[case::glob_escape("version: 1\nteams: [{claim: a, match: 'CORP\\x'}]", "teams[0].match (line 2): the pattern has a backslash")]
#[case::team_glob_empty("version: 1\nteams: [{claim: a, match: ''}]", "teams[0].match (line 2): the pattern is empty")]
#[case::provider_empty(
    "version: 1\nrules: [{claim: a, match: b, role: team, provider: ''}]",
    "rules[0].provider (line 2): is empty"
)]
#[case::no_claim("version: 1\nrules:\n  - {match: b, role: team}", "rules[0].claim (line 3): is required, unless `all`")]
#[case::no_match("version: 1\nrules:\n  - {claim: b, role: team}", "rules[0].match (line 3): is required, unless `all`")]
#[case::no_team_match("version: 1\nteams:\n  - {claim: b}", "teams[0].match (line 3): is required")]
#[case::beside_all(
    "version: 1\nrules:\n  - {role: team, claim: a, all: [{claim: a, match: b}]}",
    "rules[0].claim (line 3): stands beside `all`"
)]
#[case::all_empty("version: 1\nrules: [{role: team, all: []}]", "rules[0].all (line 2): lists no condition")]
#[case::in_all(
    "version: 1\nrules:\n  - role: team\n    all:\n      - {claim: a, match: b}\n      - {claim: a, match: ''}",
    "rules[0].all[1].match (line 6): the pattern is empty"
)]
#[case::map_empty("version: 1\nteams: [{claim: a, map: {}}]", "teams[0].map (line 2): maps no value")]
#[case::map_comma("version: 1\nteams: [{claim: a, map: {x: 'a,b'}}]", "teams[0].map.x (line 2): `a,b` can't be a team's name")]
#[case::missing_source("version: 1\nmissing_source: allow", "missing_source (line 2): must be ignore or refuse, not `allow`")]
#[case::route_role(
    "version: 1\nroutes:\n  data: {roles: [king]}",
    "routes.data.roles[0] (line 3): role `king` is not in the list"
)]
#[case::route_team(
    "version: 1\nroutes:\n  data: {teams: ['a,b']}",
    "routes.data.teams[0] (line 3): `a,b` can't be a team's name"
)]
#[case::route_name("version: 1\nroutes:\n  Data: {teams: [a]}", "routes.Data (line 3): must be 1 to 32 of the letters a-z")]
#[case::route_without_restriction(
    "version: 1\nroutes:\n  data: {}",
    "routes.data.roles (line 3): is required, unless `teams` is set"
)]
#[case::routes_as_a_list("version: 1\nroutes: [a]", "routes (line 2): must be a map")]
#[case::idle_missing_source("version: 1\nmissing_source: refuse", "missing_source (line 2): has no effect")]
#[case::strip_empty("version: 1\nteams: [{claim: a, match: b, strip: ''}]", "teams[0].strip (line 2): is empty")]
fn a_mistake_is_reported_with_field_and_line(#[case] document: &str, #[case] expected: &str) {
    let mistakes = RoleMap::parse(document).unwrap_err();
    assert_eq!(mistakes.len(), 1, "{mistakes}");
    assert!(mistakes.to_string().starts_with(expected), "{mistakes}");
}

#[test]
fn all_mistakes_are_reported_at_once_in_the_order_of_lines() {
    let document = "
version: 3
rules:
  - {claim: '', match: '', role: king}
teams:
  - {claim: a., match: x, strip: ''}
default_role: queen
";
    let mistakes = RoleMap::parse(document).unwrap_err();
    let fields: Vec<_> = mistakes.iter().map(|m| (m.path.as_str(), m.place.line().unwrap_or(0))).collect();
    assert_eq!(
        fields,
        [
            ("version", 2),
            ("rules[0].role", 4),
            ("rules[0].claim", 4),
            ("rules[0].match", 4),
            ("teams[0].strip", 6),
            ("teams[0].claim", 6),
            ("default_role", 7),
        ]
    );
    assert_eq!(mistakes.to_string().lines().count(), 7);
}

#[test]
fn structural_and_semantic_mistakes_are_reported_together() {
    let document = "
version: one
rule: []
rules:
  - {claim: [a], match: ~, role: king, sauce: x}
  - claim: a
  - none
teams: {}
teams: []
litellm_jwtauth: {roles_jwt_field: a, jwt_litellm_role_map: [{jwt_role: b}]}
";
    let mistakes = RoleMap::parse(document).unwrap_err();
    let found: Vec<_> = mistakes.iter().map(|m| (m.path.as_str(), m.place.line().unwrap_or(0))).collect();
    assert_eq!(
        found,
        [
            ("version", 2),
            ("rule", 3),
            ("rules[0].role", 5),
            ("rules[0].claim", 5),
            ("rules[0].match", 5),
            ("rules[0].sauce", 5),
            ("rules[1].role", 6),
            ("rules[1].match", 6),
            ("rules[2]", 7),
            ("teams", 8),
            ("teams", 9),
            ("litellm_jwtauth.jwt_litellm_role_map[0].litellm_role", 10),
        ],
        "{mistakes}"
    );
}

/// Claims are compared with the text of a scalar as it is written, regardless of its YAML type.
#[rstest]
#[case("0x1F", "0x1F")]
#[case("010", "010")]
#[case("1_000", "1_000")]
#[case("1.50", "1.50")]
#[case("1e3", "1e3")]
#[case("12345678901234567890123", "12345678901234567890123")]
#[case("TRUE", "TRUE")]
#[case("yes", "yes")]
#[case("2020-01-01", "2020-01-01")]
#[case("'null'", "null")]
#[case("!!str null", "null")]
#[case("! 3", "3")]
#[case("&anchor 3", "3")]
fn a_scalar_is_compared_as_it_is_written(#[case] written: &str, #[case] expected: &str) {
    let document =
        format!("version: 1\nrules: [{{claim: g, match: {written}, role: team}}]\nteams: [{{claim: {written}, match: a}}]");
    let grant = evaluate(&document, &[identity_of("corp", json!({ "g": expected }))]);
    assert_eq!(role_of(&grant).0, "team");
    let map = RoleMap::parse(&document).unwrap();
    assert_eq!(map.teams.iter().next().unwrap().condition.selector.claim.to_string(), expected);
}

#[test]
fn anchors_and_aliases_are_read() {
    let document = "
version: 1
roles: &roles [internal_user_viewer, team]
delegate: *roles
rules:
  - &rule {claim: &claim groups, match: a, role: team}
  - *rule
  - {claim: *claim, match: b, role: team}
";
    let map = RoleMap::parse(document).unwrap();
    let lines: Vec<_> = map.rules.iter().map(|rule| rule.origin.line).collect();
    assert_eq!(lines, [6, 7, 8]);
    assert_eq!(role_of(&map.evaluate(&[identity_of("corp", json!({"groups": "b"}))])), ("team", "rules[2]"));
}

#[rstest]
#[case("yes", true)]
#[case("On", true)]
#[case("TRUE", true)]
#[case("!!bool true", true)]
#[case("n", false)]
#[case("Off", false)]
fn booleans_accept_the_words_of_yaml_1_1(#[case] written: &str, #[case] ignored: bool) {
    let document = format!("{{version: 1, rules: [{{claim: g, match: A, role: team, ignore_case: {written}}}]}}");
    let grant = evaluate(&document, &[identity_of("corp", json!({"g": "a"}))]);
    assert_eq!(role_of(&grant).0 == "team", ignored);
}

/// A header separates teams by commas, so only an encoded one can carry a name with a comma.
#[rstest]
#[case::dropped("", HeaderEncoding::Utf8, &["red"], 1)]
#[case::configured("", HeaderEncoding::Percent, &["Sales, EMEA", "red"], 0)]
#[case::by_an_access_rule("access: [{identity_headers: {encoding: percent}}]", HeaderEncoding::Utf8, &["Sales, EMEA", "red"], 0)]
#[case::utf8_rule("access: [{identity_headers: {encoding: utf8}}]", HeaderEncoding::Utf8, &["red"], 1)]
fn a_team_name_with_a_comma_is_kept_if_an_upstream_can_receive_it(
    #[case] access: &str,
    #[case] configured: HeaderEncoding,
    #[case] teams: &[&str],
    #[case] dropped: u32,
) {
    let map = RoleMap::parse(&format!("version: 1\nteams: [{{claim: g, match: '*'}}]\n{access}")).unwrap();
    let map = map.with_identity_encoding(configured);
    let identities = [identity_of("corp", json!({"g": ["red", "Sales, EMEA"]}))];
    let grant = map.evaluate(&identities);
    assert_eq!((teams_of(&grant), grant.dropped), (teams.to_vec(), dropped));
    assert_eq!(map.explain(&identities).dropped_teams.len(), dropped as usize);
    assert_eq!(IdentityHeaders::default().with_grant(&grant).groups, "red", "the plain header has no part of the name");
}

#[test]
fn a_team_rule_reports_mistakes_in_its_claim_and_its_pattern() {
    let Err(error) = RoleMap::parse("version: 1\nteams: [{claim: a., match: ''}]") else { panic!("both are mistakes") };
    assert_eq!(error.to_string().matches("teams[0].").count(), 2, "{error}");
}

#[rstest]
#[case::one_provider(&["corp"], "{claim: a, match: b, role: team}", None)]
#[case::its_id(&["corp"], "{claim: a, match: b, role: team, provider: corp}", None)]
#[case::one_of_two(&["corp", "partner"], "{claim: a, match: b, role: team, provider: partner}", None)]
#[case::unknown(&["corp"], "{claim: a, match: b, role: team, provider: Corp}", Some("provider `Corp` is not configured"))]
#[case::none_configured(&[], "{claim: a, match: b, role: team, provider: corp}", Some("provider `corp` is not configured"))]
#[case::no_provider_of_two(&["corp", "partner"], "{claim: a, match: b, role: team}", Some("with several providers a rule must name one; otherwise claims of any provider would count"))]
fn rules_must_name_configured_providers(#[case] configured: &[&str], #[case] rule: &str, #[case] expected: Option<&str>) {
    let map = RoleMap::parse(&format!("version: 1\nrules:\n  - {rule}")).unwrap();
    let mistakes = map.check_configured(&providers(configured)).err().unwrap_or_default();
    let found: Vec<_> = mistakes.iter().map(|mistake| mistake.text.as_str()).collect();
    assert_eq!(found, Vec::from_iter(expected));
    assert!(mistakes.iter().all(|m| m.path == "rules[0].provider" && m.place == Place::Line(3)));
}

/// ConfiguredNames names with these providers only.
fn providers(ids: &[&str]) -> ConfiguredNames {
    ConfiguredNames { providers: Some(ids.iter().map(|id| (*id).to_owned()).collect()), ..ConfiguredNames::default() }
}

#[test]
fn ten_thousand_rules_are_read() {
    let mut document = String::from("version: 1\nrules:\n");
    for number in 0..10_000 {
        document += &format!("  - {{claim: groups, match: g{number}, role: internal_user}}\n");
    }
    let map = RoleMap::parse(&document).unwrap();
    assert_eq!(map.rule_count(), 10_000);
    let grant = map.evaluate(&[identity_of("corp", json!({"groups": ["g9999"]}))]);
    assert_eq!(role_of(&grant), ("internal_user", "rules[9999]"));
}
