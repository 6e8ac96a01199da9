//! The time to evaluate the role map for a user with 10, 1,000 and 10,000 rules: with the index, and by trying every rule.
//!
//! `cargo bench --bench role_map`. The two are compared; only their ratio is of interest.

use divan::{Bencher, black_box};
use serde_json::json;
use vestibule::principal::IdentityClaims;
use vestibule::role_map::RoleMap;

const RULES: [usize; 3] = [10, 1_000, 10_000];

fn main() {
    divan::main();
}

#[divan::bench(args = RULES)]
fn with_index(bencher: Bencher<'_, '_>, rules: usize) {
    let (map, user) = (role_map(rules), [user(rules)]);
    bencher.bench(|| black_box(&map).evaluate(black_box(&user)));
}

#[divan::bench(args = RULES)]
fn without_index(bencher: Bencher<'_, '_>, rules: usize) {
    let (map, user) = (role_map(rules), [user(rules)]);
    bencher.bench(|| black_box(&map).evaluate_exhaustively(black_box(&user)));
}

/// Rules of a company: mostly groups by name, some by prefix, a few with two conditions.
fn role_map(rules: usize) -> RoleMap {
    let rule = |number: usize| match number % 10 {
        0 => json!({"claim": "groups", "match": format!("/division-{number}/*"), "role": "internal_user"}),
        1 => json!({"role": "team", "all": [
            {"claim": "groups", "match": format!("/team-{number}")},
            {"claim": "site", "match": "H*"},
        ]}),
        _ => json!({"claim": "resource_access.litellm.roles", "match": format!("role-{number}"), "role": "internal_user"}),
    };
    let rules: Vec<_> = (0..rules).map(rule).collect();
    let teams = json!([{"claim": "groups", "match": "/team-*", "strip": "/"}]);
    RoleMap::parse(&json!({"version": 1, "rules": rules, "teams": teams}).to_string()).expect("the rules are valid")
}

/// A user with 40 groups that no rule names, and a role that only the last rule names.
fn user(rules: usize) -> IdentityClaims {
    let groups: Vec<_> = (0..40).map(|number| format!("/elsewhere/{number}")).collect();
    let roles = ["reader".to_owned(), format!("role-{}", rules - 1)];
    let claims = json!({"groups": groups, "site": "HQ", "resource_access": {"litellm": {"roles": roles}}});
    IdentityClaims {
        provider: "corp".into(),
        issuer: "https://idp.example.com".into(),
        subject: "s".into(),
        id_token: serde_json::from_value(claims).expect("it is written as an object"),
        ..IdentityClaims::default()
    }
}
