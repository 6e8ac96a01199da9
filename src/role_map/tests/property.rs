//! Tests that the index gives the same grant as matching every rule, for any role map and claims.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

/// Few names and values, so that rules match often.
fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof!["[abAB]{0,3}", "[ab][ ,][ab]"].prop_map(Value::from);
    let leaf = prop_oneof![4 => text, 1 => (0..3).prop_map(Value::from), 1 => any::<bool>().prop_map(Value::from), 1 => Just(Value::Null)];
    let object = prop::collection::btree_map("[xy]", leaf.clone(), 0..3).prop_map(|map| json!(map));
    let entry = prop_oneof![3 => leaf, 1 => object];
    prop_oneof![entry.clone(), prop::collection::vec(entry, 0..4).prop_map(Value::from)]
}

fn some_claims() -> impl Strategy<Value = Claims> {
    prop::collection::btree_map("[xyz]", value(), 0..4).prop_map(|members| claims(json!(members)))
}

fn identity() -> impl Strategy<Value = IdentityClaims> {
    let optional = || prop::option::of(some_claims());
    let sources = (some_claims(), optional(), optional(), optional());
    ("p[12]", sources).prop_map(|(provider, (id_token, access_token, userinfo, directory))| IdentityClaims {
        issuer: provider.clone(),
        provider,
        subject: "s".into(),
        id_token,
        access_token,
        userinfo,
        directory,
        ..IdentityClaims::default()
    })
}

fn condition() -> impl Strategy<Value = Map<String, Value>> {
    let claim = prop::sample::select(vec!["x", "y", "z", "x.y", "x[].y", "y.x", "x.*", "y.{}", "x[].{}"]);
    let pattern = prop::sample::select(vec!["a", "b", "ab", "A", "a*", "*b", "*", "a?", "?", "*a*", "0", "true", "a b", "B*"]);
    let source = prop::option::of(prop::sample::select(vec!["id_token", "access_token", "userinfo", "directory"]));
    let split = prop::option::of(prop::sample::select(vec!["space", "comma", "semicolon", "pipe", "json", "brackets"]));
    (claim, pattern, source, split, prop::option::of(any::<bool>())).prop_map(|(claim, pattern, source, split, ignore_case)| {
        let fields = json!({"claim": claim, "match": pattern, "source": source, "split": split, "ignore_case": ignore_case});
        let Value::Object(mut fields) = fields else { unreachable!("it is written as an object") };
        fields.retain(|_, value| !value.is_null());
        fields
    })
}

fn rule() -> impl Strategy<Value = Value> {
    let conditions = prop_oneof![
        2 => condition(),
        1 => prop::collection::vec(condition(), 1..4).prop_map(|all| Map::from_iter([("all".to_owned(), json!(all))])),
    ];
    let role = prop::sample::select(vec!["proxy_admin", "org_admin", "team", "customer"]);
    (conditions, role, prop::option::of("p[12]")).prop_map(|(mut rule, role, provider)| {
        rule.insert("role".into(), role.into());
        rule.extend(provider.map(|provider| ("provider".to_owned(), provider.into())));
        rule.into()
    })
}

fn team_rule() -> impl Strategy<Value = Value> {
    let capture = prop::option::of(prop::sample::select(vec!["{team}", "a{team}", "*a{team}b*", "{team},?"]));
    (condition(), prop::option::of("p[12]"), prop::option::of("[ab]"), capture).prop_map(
        |(mut rule, provider, strip, capture)| {
            rule.extend(capture.map(|capture| ("capture".to_owned(), capture.into())));
            rule.extend(provider.map(|provider| ("provider".to_owned(), provider.into())));
            rule.extend(strip.map(|strip| ("strip".to_owned(), strip.into())));
            rule.into()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_index_gives_the_same_grant_as_matching_every_rule(
        rules in prop::collection::vec(rule(), 0..12),
        teams in prop::collection::vec(team_rule(), 0..6),
        identities in prop::collection::vec(identity(), 0..3),
    ) {
        // Every JSON document is valid YAML.
        let document = json!({"version": 1, "rules": rules, "teams": teams}).to_string();
        let map = RoleMap::parse(&document).unwrap();
        prop_assert_eq!(map.evaluate(&identities), map.evaluate_exhaustively(&identities));
    }
}
