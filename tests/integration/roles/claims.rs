//! The formats of claims of several providers, each through a real login flow.

use serde_json::{Value, json};

use super::{grant_after_login, with_map};
use crate::support::steps::BOB;

const MAP: &str = r#"version: 1
roles: [by_object, by_space, by_comma, by_all, by_case, by_boolean, nobody]
default_role: nobody
rules:
  - {claim: "groups[].name", match: platform, role: by_object}
  - {claim: roles, split: space, match: llm.admin, role: by_space}
  - {claim: department, split: comma, match: "r&d", role: by_comma}
  - {role: by_all, all: [{claim: department, match: research}, {claim: tenant, match: "eu-*"}]}
  - {claim: teams, match: Staff, ignore_case: true, role: by_case}
  - {claim: realm_access.trusted, match: "true", role: by_boolean}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn every_claim_format_is_matched_as_documented() {
    let fleet = with_map(MAP, |_| ()).await;
    let table: [(&str, Value, &str); 14] = [
        ("a list of objects", json!({"groups": [{"name": "x"}, {"name": "platform"}]}), "by_object"),
        ("a list of strings instead", json!({"groups": ["platform"]}), "nobody"),
        ("a string with spaces", json!({"roles": "openid llm.admin"}), "by_space"),
        ("a part of a word", json!({"roles": "openid llm.administrator"}), "nobody"),
        ("a list whose entry has spaces", json!({"roles": ["a", "b llm.admin"]}), "by_space"),
        ("a string with commas", json!({"department": "sales, r&d"}), "by_comma"),
        ("all conditions", json!({"department": "research", "tenant": "eu-west"}), "by_all"),
        ("one of two conditions", json!({"department": "research", "tenant": "us-east"}), "nobody"),
        ("the other of them", json!({"tenant": "eu-west"}), "nobody"),
        ("another case", json!({"teams": ["sTAFF"]}), "by_case"),
        ("a case that counts", json!({"groups": [{"name": "Platform"}]}), "nobody"),
        ("a boolean", json!({"realm_access": {"trusted": true}}), "by_boolean"),
        ("several rules", json!({"teams": "staff", "department": "research", "tenant": "eu-1"}), "by_all"),
        ("nothing", json!({}), "nobody"),
    ];
    for (what, claims, expected) in table {
        fleet.idp().set_claims("bob", claims.clone()).await;
        assert_eq!(grant_after_login(&fleet, BOB).await.0, expected, "{what}: {claims}");
    }
}
