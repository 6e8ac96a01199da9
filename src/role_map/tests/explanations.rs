//! Tests that explanations name the winning rule, outranked rules and near misses.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;

const DOCUMENT: &str = r#"
version: 1
rules:
  - {claim: groups, match: staff, role: internal_user}
  - {claim: groups, match: "admins*", role: proxy_admin}
  - {provider: partner, claim: groups, match: staff, role: org_admin}
  - {source: access_token, claim: level, match: 9, role: org_admin}
  - {role: team, all: [{claim: groups, match: staff}, {claim: site, match: HQ}]}
  - {claim: nowhere, match: x, role: team}
teams:
  - {claim: groups, match: "s*"}
  - {claim: groups, match: "st*"}
  - {claim: squads, match: "*"}
"#;

fn explain(id_token: Value) -> Explanation {
    RoleMap::parse(DOCUMENT).unwrap().explain(&[identity_of("corp", id_token)])
}

fn miss_reason(explanation: &Explanation, rule: &str) -> String {
    let miss = explanation.near_misses.iter().find(|miss| miss.rule.as_str() == rule);
    miss.map(|miss| miss.reason.clone()).unwrap_or_default()
}

#[rstest]
#[case::value(json!({"groups": ["staff", "x"]}), "rules[1]", r#"groups has "staff", "x", and none matches "admins*""#)]
#[case::case(json!({"groups": ["Admins-1"]}), "rules[1]", r#"groups has "Admins-1", which "admins*" matches only with `ignore_case: true`"#)]
#[case::provider(json!({"groups": ["staff"]}), "rules[2]", r#"it is for provider "partner", and these claims are from "corp""#)]
#[case::absent_source(json!({"level": 9}), "rules[3]", "there are no claims from the access_token, which it names as its source")]
#[case::some_conditions(json!({"groups": "staff", "site": "hq"}), "rules[4]", r#"1 of its 2 conditions match, but site has "hq", which "HQ" matches only with `ignore_case: true`"#)]
#[case::no_condition_has_a_claim(json!({"groups": "staff"}), "rules[4]", "1 of its 2 conditions match, but the claim site is absent")]
#[case::no_value(json!({"groups": [null, {"a": 1}]}), "rules[1]", "groups is present, but has no text, number or boolean")]
#[case::object(json!({"groups": {"a": 1}}), "rules[1]", "groups is an object, which has no value; write groups.{} for its keys")]
#[case::nothing_in_common(json!({"groups": "staff"}), "rules[5]", "")]
fn a_near_miss_is_explained(#[case] id_token: Value, #[case] rule: &str, #[case] expected: &str) {
    let explanation = explain(id_token);
    assert_eq!(miss_reason(&explanation, rule), expected, "{explanation:?}");
}

#[test]
fn a_value_in_another_source_is_a_near_miss() {
    let mut identity = identity_of("corp", json!({"level": 9}));
    identity.access_token = Some(Claims::new());
    let explanation = RoleMap::parse(DOCUMENT).unwrap().explain(&[identity]);
    assert_eq!(
        miss_reason(&explanation, "rules[3]"),
        "level matches \"9\", but not in the access_token, which it names as its source"
    );
}

#[test]
fn winning_and_outranked_rules_have_their_lines() {
    let explanation = explain(json!({"groups": ["staff", "admins"], "squads": ["a,b", "z"]}));
    assert_eq!((explanation.role.unwrap().as_str(), explanation.rule.unwrap().as_str()), ("proxy_admin", "rules[1]"));
    let outranked: Vec<_> =
        explanation.outranked.iter().map(|granted| (granted.rule.as_str(), granted.name.as_str(), granted.line)).collect();
    assert_eq!(outranked, [("rules[0]", "internal_user", Some(4))]);
    let teams: Vec<_> = explanation.teams.iter().map(|granted| (granted.name.as_str(), granted.rule.as_str())).collect();
    assert_eq!(teams, [("staff", "teams[0]"), ("staff", "teams[1]"), ("z", "teams[2]")]);
    assert_eq!(explanation.dropped_teams.iter().map(|granted| granted.name.as_str()).collect::<Vec<_>>(), ["a,b"]);
    assert_eq!(explanation.missing_sources, [Source::AccessToken]);
}

#[test]
fn near_misses_are_sorted_by_distance_and_exclude_matching_rules() {
    let explanation = explain(json!({"groups": ["staff", "ADMINS"], "level": 3}));
    let rules: Vec<_> = explanation.near_misses.iter().map(|miss| miss.rule.as_str()).collect();
    assert_eq!(rules, ["rules[4]", "rules[1]", "rules[2]", "rules[3]"]);
}

#[rstest]
#[case::value("{claim: g, match: 'x*'}", r#"g has "a", "B", and none matches "x*""#)]
#[case::case("{claim: g, match: b}", r#"g has "B", which "b" matches only with `ignore_case: true`"#)]
#[case::unlisted("{claim: g, map: {z: Zebra}}", r#"g has "a", "B", and its `map` lists none of them"#)]
#[case::provider("{provider: partner, claim: g, match: a}", r#"it is for provider "partner", and these claims are from "corp""#)]
#[case::nothing_in_common("{claim: h, match: a}", "")]
#[case::named("{claim: g, match: a}", "")]
fn a_team_rule_without_a_team_is_explained(#[case] rule: &str, #[case] expected: &str) {
    let map = RoleMap::parse(&format!("version: 1\nteams: [{rule}]")).unwrap();
    assert_eq!(miss_reason(&map.explain(&[identity_of("corp", json!({"g": ["a", "B"]}))]), "teams[0]"), expected);
}

#[test]
fn an_explanation_can_be_serialized_as_json() {
    let shown = serde_json::to_value(explain(json!({"groups": "staff"}))).unwrap();
    assert_eq!(shown["role"], "internal_user");
    assert_eq!(shown["rule"], "rules[0]");
    assert_eq!(shown["near_misses"][0]["rule"], "rules[4]");
    assert_eq!(shown["near_misses"][0]["line"], 8);
}

#[test]
fn a_value_that_a_capture_or_a_map_does_not_name_is_explained() {
    let map = RoleMap::parse("version: 1\nteams:\n  - {claim: g, capture: 'CN={team},OU=Groups,*', map: {red: r}}").unwrap();
    for (value, expected) in [
        ("CN=red,OU=People,DC=x", "and its `capture` matches none of them"),
        ("CN=blue,OU=Groups,DC=x", "and its `map` lists none of them"),
    ] {
        let explanation = map.explain(&[identity_of("corp", json!({"g": value}))]);
        assert!(miss_reason(&explanation, "teams[0]").ends_with(expected), "{explanation:?}");
    }
}

#[rstest]
#[case::brackets(json!({"groups": "[x, admins]"}), "rules[1]", "brackets")]
#[case::json(json!({"groups": "[\"x\", \"admins\"]"}), "rules[1]", "json")]
#[case::comma(json!({"groups": "x,admins"}), "rules[1]", "comma")]
#[case::semicolon(json!({"groups": ["x;admins"]}), "rules[1]", "semicolon")]
#[case::pipe(json!({"groups": "admins|x"}), "teams[0]", "pipe")]
#[case::space(json!({"squads": "a b"}), "teams[2]", "space")]
fn a_wildcard_on_a_value_that_looks_like_a_list_is_a_warning(#[case] id_token: Value, #[case] rule: &str, #[case] split: &str) {
    let warnings = explain(id_token).warnings;
    let warning = warnings.iter().find(|warning| warning.rule.as_str() == rule).unwrap();
    assert!(warning.reason.ends_with(&format!("set `split: {split}`")), "{warning:?}");
    assert!(warnings.iter().all(|warning| warning.rule.as_str() != "rules[0]"), "an exact pattern matches no part");
}

#[rstest]
#[case::no_list(json!({"groups": ["staff", "admins"], "squads": "a"}))]
#[case::blanks_in_an_entry(json!({"groups": ["LLM Users"], "squads": ["a b", "c d"]}))]
#[case::distinguished_name(json!({"groups": ["CN=admins of all,OU=Groups,DC=x"]}))]
#[case::exact(json!({"site": "HQ, other"}))]
#[case::absent(json!({}))]
fn other_values_are_no_warning(#[case] id_token: Value) {
    assert_eq!(explain(id_token).warnings, []);
}

#[test]
fn a_rule_with_a_split_has_no_warning() {
    let map = RoleMap::parse("version: 1\nteams: [{claim: g, split: brackets, match: 'a*'}]").unwrap();
    assert_eq!(map.explain(&[identity_of("corp", json!({"g": "[a1, b]"}))]).warnings, []);
}
