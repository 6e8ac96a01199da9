//! The role map: a document is compiled or refused with a reason, and a compiled map agrees with an evaluation of every rule.

use std::sync::LazyLock;

use serde_json::json;
use vestibule::principal::{Claims, IdentityClaims};
use vestibule::role_map::RoleMap;

static USERS: LazyLock<[IdentityClaims; 2]> = LazyLock::new(|| {
    let claims = json!({
        "groups": ["/engineering/tools", "/teams/research", "a,b", "", 7, null],
        "resource_access": {"litellm": {"roles": ["llm-admin-1"]}},
        "email": "ada@example.com",
        "department": "Research and development",
    });
    let claims: Claims = serde_json::from_value(claims).expect("it is an object");
    ["corp", "partner"].map(|provider| IdentityClaims {
        provider: provider.to_owned(),
        issuer: format!("https://{provider}.example.com"),
        subject: "ada".to_owned(),
        id_token: claims.clone(),
        access_token: (provider == "corp").then(|| claims.clone()),
        ..IdentityClaims::default()
    })
});

pub fn holds(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let map = match RoleMap::parse(&text) {
        Ok(map) => map,
        Err(error) => return assert!(!error.to_string().trim().is_empty(), "{text:?}"),
    };
    let again = RoleMap::parse(&text).expect("a valid role map is valid again");
    assert_eq!(again.rule_count(), map.rule_count());
    for people in [&USERS[..], &USERS[..1], &USERS[1..], &[]] {
        let grant = map.evaluate(people);
        assert_eq!(grant, again.evaluate(people), "{text:?}");
        if grant.missing_source.is_none() {
            assert_eq!(grant, map.evaluate_exhaustively(people), "{text:?}");
        }
        assert!(grant.role.is_none_or(|role| map.role(role.as_str()).is_some()), "{text:?} gives a role that it doesn't have");
    }
}
