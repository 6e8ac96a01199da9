//! The formats of claims of several providers, each through a real login flow.

use serde_json::{Value, json};

use super::{grant_after_login, with_map};
use crate::support::steps::BOB;

const MAP: &str = r#"version: 1
roles: [by_key, by_member, by_json, by_brackets, by_object, by_space, by_comma, by_all, by_case, by_boolean, nobody]
default_role: nobody
rules:
  - {claim: "urn:zitadel:iam:org:project:roles.{}", match: llm-admin, role: by_key}
  - {claim: "organization.*.groups[]", match: /staff, role: by_member}
  - {claim: "custom:roles", split: json, match: admin, role: by_json}
  - {claim: "custom:groups", split: brackets, match: admin, role: by_brackets}
  - {claim: "groups[].name", match: platform, role: by_object}
  - {claim: roles, split: space, match: llm.admin, role: by_space}
  - {claim: department, split: comma, match: "r&d", role: by_comma}
  - {role: by_all, all: [{claim: department, match: research}, {claim: tenant, match: "eu-*"}]}
  - {claim: teams, match: Staff, ignore_case: true, role: by_case}
  - {claim: realm_access.trusted, match: "true", role: by_boolean}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn every_claim_format_is_matched_as_documented() {
    let names = ["urn:zitadel:iam:org:project:roles", "organization", "custom:roles", "custom:groups"];
    let fleet = with_map(MAP, |idp| idp.further = json!({"claimNames": names})).await;
    let table: [(&str, Value, &str); 23] = [
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
        ("a key", json!({"urn:zitadel:iam:org:project:roles": {"llm-admin": {"27": "acme.example.com"}}}), "by_key"),
        ("a key further down", json!({"urn:zitadel:iam:org:project:roles": {"x": {"llm-admin": 1}}}), "nobody"),
        ("an entry instead of a key", json!({"urn:zitadel:iam:org:project:roles": ["llm-admin"]}), "nobody"),
        ("a member", json!({"organization": {"acme": {"groups": ["/staff"]}, "globex": {"groups": []}}}), "by_member"),
        ("a member's key", json!({"organization": {"groups": {"/staff": 1}}}), "nobody"),
        ("a list in JSON", json!({"custom:roles": "[\"x\", \"admin\"]"}), "by_json"),
        ("a name in JSON that contains a list", json!({"custom:roles": "[\"x\\\", \\\"admin\"]"}), "nobody"),
        ("a list in brackets", json!({"custom:groups": "[staff, admin]"}), "by_brackets"),
        ("a longer name in brackets", json!({"custom:groups": "[not-admin, admins]"}), "nobody"),
        ("nothing", json!({}), "nobody"),
    ];
    for (what, claims, expected) in table {
        fleet.idp().set_claims("bob", claims.clone()).await;
        assert_eq!(grant_after_login(&fleet, BOB).await.0, expected, "{what}: {claims}");
    }
}
