//! Tests the conditions of rules: sources, lists of objects, separators, ignored case.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;

/// True if a rule with these fields matches the claims of an id_token.
fn matches(rule: &str, id_token: Value) -> bool {
    let document = format!("version: 1\ndefault_role: none\nrules:\n  - {{{rule}, role: team}}");
    evaluate(&document, &[identity_of("corp", id_token)]).role.is_some()
}

#[rstest]
#[case::list_of_objects("claim: 'groups[].name', match: red", json!({"groups": [{"name": "blue"}, {"name": "red"}]}), true)]
#[case::list_of_objects_without("claim: 'groups[].name', match: red", json!({"groups": ["red", {"id": "red"}]}), false)]
#[case::deeper_list("claim: 'orgs[].teams[].slug', match: a*", json!({"orgs": [{"teams": [{"slug": "b"}, {"slug": "ab"}]}]}), true)]
#[case::namespaced(r"claim: 'https://example\.com/roles', match: a", json!({"https://example.com/roles": "a"}), true)]
#[case::unsplit("claim: roles, match: b", json!({"roles": "a b c"}), false)]
#[case::spaces("claim: roles, split: space, match: b", json!({"roles": "a  b\tc"}), true)]
#[case::spaces_whole("claim: roles, split: space, match: a b", json!({"roles": "a b"}), false)]
#[case::commas("claim: roles, split: comma, match: b", json!({"roles": "a, b ,c"}), true)]
#[case::commas_with_blanks("claim: roles, split: comma, match: b c", json!({"roles": "a, b c ,d"}), true)]
#[case::split_in_list("claim: roles, split: comma, match: c", json!({"roles": ["a,b", "c,d"]}), true)]
#[case::split_of_nothing("claim: roles, split: comma, match: '*'", json!({"roles": " , ,"}), false)]
#[case::split_number("claim: roles, split: comma, match: 7", json!({"roles": 7}), true)]
#[case::case_matters("claim: g, match: Admin", json!({"g": "admin"}), false)]
#[case::case_ignored("claim: g, match: Admin*, ignore_case: true", json!({"g": "aDMINs"}), true)]
#[case::case_explicit("claim: g, match: Admin, ignore_case: false", json!({"g": "admin"}), false)]
#[case::case_beyond_ascii("claim: g, match: ÜBER, ignore_case: true", json!({"g": "über"}), true)]
#[case::case_of_the_path("claim: G, match: a, ignore_case: true", json!({"g": "a"}), false)]
#[case::all("all: [{claim: a, match: x}, {claim: b, match: y*}]", json!({"a": "x", "b": ["z", "yy"]}), true)]
#[case::not_all("all: [{claim: a, match: x}, {claim: b, match: y*}]", json!({"a": "x", "b": "z"}), false)]
#[case::all_of_one_list("all: [{claim: g, match: x}, {claim: g, match: y}]", json!({"g": ["y", "x"]}), true)]
#[case::all_wildcards("all: [{claim: g, match: '*x*'}, {claim: g, match: 'a?'}]", json!({"g": ["1x1", "ab"]}), true)]
#[case::not_all_wildcards("all: [{claim: g, match: '*x*'}, {claim: g, match: 'a?'}]", json!({"g": ["1x1", "abc"]}), false)]
fn a_rule_matches_the_selected_values(#[case] rule: &str, #[case] id_token: Value, #[case] expected: bool) {
    assert_eq!(matches(rule, id_token), expected);
}

#[rstest]
#[case::no_source("claim: g, match: a", "access_token", true)]
#[case::its_own("source: access_token, claim: g, match: a", "access_token", true)]
#[case::another("source: id_token, claim: g, match: a", "access_token", false)]
#[case::userinfo("source: userinfo, claim: g, match: a", "userinfo", true)]
#[case::not_userinfo("source: userinfo, claim: g, match: a", "id_token", false)]
fn a_rule_reads_the_source_it_names(#[case] rule: &str, #[case] source: &str, #[case] expected: bool) {
    let mut identity = identity_of("corp", json!({}));
    let claims = claims(json!({"g": "a"}));
    match source {
        "access_token" => identity.access_token = Some(claims),
        "userinfo" => identity.userinfo = Some(claims),
        _ => identity.id_token = claims,
    }
    let document = format!("version: 1\ndefault_role: none\nrules:\n  - {{{rule}, role: team}}");
    assert_eq!(evaluate(&document, &[identity]).role.is_some(), expected);
}

#[test]
fn conditions_of_all_must_match_in_one_identity_and_may_use_several_sources() {
    let document = "version: 1\ndefault_role: none\nrules:\n  - {role: team, all: [{claim: a, match: x}, {claim: b, match: y}]}";
    let (first, second) = (identity_of("corp", json!({"a": "x"})), identity_of("partner", json!({"b": "y"})));
    assert_eq!(evaluate(document, &[first.clone(), second]).role, None);
    let whole = IdentityClaims { userinfo: Some(claims(json!({"b": "y"}))), ..first };
    assert!(evaluate(document, &[whole]).role.is_some());
}

const RELIES_ON_ACCESS_TOKEN: &str = "
version: 1
missing_source: refuse
rules:
  - {provider: corp, source: access_token, claim: roles, match: admin, role: proxy_admin}
";

#[test]
fn a_missing_source_denies_access_if_the_document_says_so() {
    let opaque = identity_of("corp", json!({"roles": "admin"}));
    let grant = evaluate(RELIES_ON_ACCESS_TOKEN, std::slice::from_ref(&opaque));
    assert_eq!((grant.role, grant.missing_source), (None, Some(Source::AccessToken)));
    let ignored = evaluate(&RELIES_ON_ACCESS_TOKEN.replace("refuse", "ignore"), std::slice::from_ref(&opaque));
    assert_eq!(role_of(&ignored), ("internal_user_viewer", "default_role"));
    let readable = IdentityClaims { access_token: Some(Claims::new()), ..opaque };
    assert_eq!(role_of(&evaluate(RELIES_ON_ACCESS_TOKEN, &[readable])), ("internal_user_viewer", "default_role"));
    let of_another = identity_of("partner", json!({}));
    assert_eq!(role_of(&evaluate(RELIES_ON_ACCESS_TOKEN, &[of_another])), ("internal_user_viewer", "default_role"));
}

#[test]
fn only_sources_that_rules_name_for_the_provider_are_missing() {
    let map = RoleMap::parse(
        "
version: 1
rules:
  - {provider: corp, source: access_token, claim: a, match: b, role: team}
  - {provider: corp, role: team, all: [{claim: a, match: b}, {claim: a, source: id_token, match: b}]}
teams:
  - {provider: partner, source: userinfo, claim: a, match: b}
",
    )
    .unwrap();
    let missing = |provider: &str| map.missing_sources(&identity_of(provider, json!({"sub": "s"}))).collect::<Vec<_>>();
    assert_eq!(missing("corp"), [Source::AccessToken]);
    assert_eq!(missing("partner"), [Source::Userinfo]);
    assert_eq!(missing("other"), []);
}

#[rstest]
#[case::mapped(json!({"g": ["1a", "2b"]}), &["Blue", "Red"])]
#[case::unmapped_values_name_no_team(json!({"g": ["1a", "zz"]}), &["Red"])]
#[case::filtered(json!({"h": ["t-a", "u-a"]}), &["amber"])]
#[case::split(json!({"s": "x,y"}), &["x", "y"])]
#[case::case_kept(json!({"c": ["T-One", "t-two", "u"]}), &["T-One", "t-two"])]
fn teams_are_mapped_filtered_and_split(#[case] id_token: Value, #[case] teams: &[&str]) {
    let document = "
version: 1
teams:
  - {claim: g, map: {1a: Red, 2b: Blue}}
  - {claim: h, match: 't-*', strip: t-, map: {a: amber}}
  - {claim: s, split: comma, match: '*'}
  - {claim: c, match: 'T-*', ignore_case: true}
";
    assert_eq!(teams_of(&evaluate(document, &[identity_of("corp", id_token)])), teams);
}

#[rstest]
#[case::captured(json!({"g": ["CN=red,OU=Groups,DC=x", "CN=ada,OU=People,DC=x"]}), &["red"])]
#[case::stripped_and_mapped(json!({"h": ["CN=t-a,OU=Groups,DC=x", "CN=t-b,OU=Groups,DC=x"]}), &["amber"])]
#[case::mapped_with_a_comma(json!({"h": r"CN=t-Sales\, EMEA,OU=Groups,DC=x"}), &["sales"])]
#[case::also_matched(json!({"m": ["CN=llm-a,OU=Groups,DC=x", "CN=b,OU=Groups,DC=x"]}), &["llm-a"])]
#[case::case_kept(json!({"c": "cn=Red,ou=groups,dc=x"}), &["Red"])]
#[case::written_by_a_group_owner(json!({"g": r"CN=admins\,OU=Groups\,DC=x,OU=Self-service,DC=x"}), &[])]
fn teams_are_captured_from_distinguished_names(#[case] id_token: Value, #[case] teams: &[&str]) {
    let document = r#"
version: 1
teams:
  - {claim: g, capture: "CN={team},OU=Groups,*"}
  - {claim: h, capture: "CN={team},OU=Groups,*", strip: t-, map: {a: amber, "Sales, EMEA": sales}}
  - {claim: m, capture: "CN={team},OU=Groups,*", match: "CN=llm-*"}
  - {claim: c, capture: "CN={team},OU=Groups,*", ignore_case: true}
"#;
    let grant = evaluate(document, &[identity_of("corp", id_token)]);
    assert_eq!((teams_of(&grant), grant.dropped), (teams.to_vec(), 0));
}

#[test]
fn a_rule_is_indexed_by_its_most_selective_condition() {
    let rule = |number: usize| json!({"role": "team", "all": [{"claim": "verified", "match": true}, {"claim": "g", "match": format!("g{number}")}]});
    let rules: Vec<_> = (0..10).map(rule).collect();
    let map = RoleMap::parse(&json!({"version": 1, "rules": rules}).to_string()).unwrap();
    let indexed_by: BTreeSet<_> = map.rules.iter().map(|rule| rule.conditions[0].selector.claim.to_string()).collect();
    assert_eq!(indexed_by, BTreeSet::from(["g".to_owned()]));
    let both = "all: [{claim: a, match: '*x*'}, {claim: b, match: y}]";
    let map = RoleMap::parse(&format!("version: 1\nrules:\n  - {{{both}, role: team}}\n  - {{claim: b, match: y, role: team}}"));
    assert_eq!(map.unwrap().rules.iter().next().unwrap().conditions[0].selector.claim.to_string(), "b", "it can be looked up");
}
