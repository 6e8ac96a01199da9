//! Groups of Microsoft Entra ID, from Microsoft Graph.

use openidconnect::HttpResponse;
use url::Url;

use super::{
    error::DirectoryError,
    listing::{GroupClaims, GroupListing, GroupPage, PageError, endpoint, identifier, next_page, parse, required_list, text},
};
use crate::{
    json::{MemberError, Value, parse_object},
    principal::{Claims, IdentityClaims},
};

const GROUPS: &str = "groups";
const GROUP_NAMES: &str = "group_names";

/// A query that selects one type of a list is an advanced query, which needs this header and `$count`.
const HEADERS: &[(&str, &str)] = &[("accept", "application/json"), ("consistencylevel", "eventual")];
const QUERY: &[(&str, &str)] = &[("$select", "id,displayName"), ("$top", "999"), ("$count", "true")];

/// Returns the groups of the id_token, unless it says that they did not fit into it. The address in `_claim_sources` is never
/// used.
pub(super) fn claims_of_token(id_token: &Claims) -> Option<Claims> {
    let groups = id_token.get(GROUPS).filter(|groups| matches!(groups, Value::Array(_)));
    (!has_overage(id_token)).then(|| groups.map(|groups| (GROUPS.to_owned(), groups.clone())).into_iter().collect())
}

/// Tokens name the claims that are elsewhere, as an object or as the text of one. Those of the implicit flow have a flag.
fn has_overage(id_token: &Claims) -> bool {
    let names_groups = match id_token.get("_claim_names") {
        Some(Value::Object(names)) => names.contains_key(GROUPS),
        Some(Value::String(text)) => parse_object(text.as_bytes()).is_ok_and(|names| names.contains_key(GROUPS)),
        _ => false,
    };
    let is_flagged = match id_token.get("hasgroups") {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
        _ => false,
    };
    names_groups || is_flagged
}

/// The groups of the access token's user.
pub(super) fn own_groups(api: &Url) -> GroupListing {
    listing(api, "/v1.0/me/transitiveMemberOf/microsoft.graph.group")
}

/// The groups of a user, whom the claim `oid` identifies in all applications.
pub(super) fn groups_of(api: &Url, identity: &IdentityClaims) -> Result<GroupListing, DirectoryError> {
    let oid = identity.id_token.get("oid").and_then(Value::as_str).filter(|oid| is_object_id(oid));
    let oid = oid.ok_or(DirectoryError::NoObjectId)?;
    Ok(listing(api, &format!("/v1.0/users/{oid}/transitiveMemberOf/microsoft.graph.group")))
}

/// True for a UUID. The id becomes a part of the path.
fn is_object_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn listing(api: &Url, path: &str) -> GroupListing {
    GroupListing { url: endpoint(api, path, QUERY), headers: HEADERS, claims: &[GROUPS, GROUP_NAMES], read }
}

fn read(response: &HttpResponse, requested: &Url) -> Result<GroupPage, PageError> {
    let page = parse(response)?;
    let entries = required_list(&page, "value")?.iter().filter(|entry| is_group(entry));
    let groups = entries.map(group).collect::<Result<_, _>>()?;
    let next = match page.get("@odata.nextLink") {
        None | Some(Value::Null) => None,
        Some(Value::String(link)) => Some(next_page(link, requested)?),
        Some(_) => return Err(PageError::NextPage),
    };
    Ok(GroupPage { groups, next })
}

/// True unless the entry says that it is of another type, such as a directory role.
fn is_group(entry: &Value) -> bool {
    text(entry, "@odata.type").is_none_or(|name| name.eq_ignore_ascii_case("#microsoft.graph.group"))
}

/// The name is null if the token does not permit reading it.
fn group(entry: &Value) -> Result<GroupClaims, MemberError> {
    let name = text(entry, "displayName").map(|name| (GROUP_NAMES, name));
    Ok([(GROUPS, identifier(entry, "id")?)].into_iter().chain(name).collect())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::json::object;

    #[rstest]
    #[case::of_the_documentation(json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph.windows.net/x"}}}))]
    #[case::as_text(json!({"_claim_names": "{\"groups\":\"src1\"}"}))]
    #[case::implicit_flow(json!({"hasgroups": true}))]
    #[case::implicit_flow_as_text(json!({"hasgroups": "True"}))]
    #[case::with_some_groups(json!({"_claim_names": {"groups": "src1"}, "groups": ["a"]}))]
    fn overage_needs_a_look_up(#[case] token: serde_json::Value) {
        assert_eq!(claims_of_token(&object(token)), None);
    }

    #[rstest]
    #[case::groups(json!({"sub": "s", "groups": ["b", "a"]}), json!({"groups": ["b", "a"]}))]
    #[case::no_groups(json!({"sub": "s"}), json!({}))]
    #[case::not_a_list(json!({"groups": "a"}), json!({}))]
    #[case::other_claims_elsewhere(json!({"_claim_names": {"photo": "src1"}, "groups": []}), json!({"groups": []}))]
    #[case::odd_markers(json!({"_claim_names": [1], "hasgroups": 0}), json!({}))]
    fn without_overage_the_groups_of_the_token_count(#[case] token: serde_json::Value, #[case] expected: serde_json::Value) {
        assert_eq!(claims_of_token(&object(token)), Some(object(expected)));
    }

    #[rstest]
    #[case("7f3a1c52-9d0e-4d38-8b2f-0c6f3f1c9a11", true)]
    #[case("", false)]
    #[case("..", false)]
    #[case("a/b", false)]
    #[case("a?b", false)]
    #[case("ada@example.com", false)]
    fn an_object_id_is_one_segment_of_a_path(#[case] oid: &str, #[case] expected: bool) {
        assert_eq!(is_object_id(oid), expected);
    }
}
