//! Groups of Google Workspace, from the Directory API.

use openidconnect::HttpResponse;
use url::Url;

use super::listing::{GroupClaims, GroupListing, GroupPage, PageError, endpoint, identifier, parse, required_list};
use crate::json::{MemberError, Value};

/// The only scope of the access token.
pub(super) const SCOPE: &str = "https://www.googleapis.com/auth/admin.directory.group.readonly";

const GROUPS: &str = "groups";
const GROUP_IDS: &str = "group_ids";
const HEADERS: &[(&str, &str)] = &[("accept", "application/json")];

/// The groups that the user is a direct member of. The user's id in the API is `sub`.
pub(super) fn groups(api: &Url, subject: &str) -> GroupListing {
    let query = [("userKey", subject), ("maxResults", "200"), ("fields", "kind,nextPageToken,groups(id,email)")];
    let url = endpoint(api, "/admin/directory/v1/groups", &query);
    GroupListing { url, headers: HEADERS, claims: &[GROUPS, GROUP_IDS], read }
}

/// A page without groups has no list, but it has the kind of the resource.
fn read(response: &HttpResponse, requested: &Url) -> Result<GroupPage, PageError> {
    let page = parse(response)?;
    let is_empty = page.get("kind").and_then(Value::as_str) == Some("admin#directory#groups") && page.get("groups").is_none();
    let entries = if is_empty { &[] } else { required_list(&page, "groups")? };
    let groups = entries.iter().map(group).collect::<Result<_, _>>()?;
    let next = match page.get("nextPageToken") {
        None | Some(Value::Null) => None,
        Some(Value::String(token)) if token.is_empty() => None,
        Some(Value::String(token)) => Some(with_page_token(requested, token)),
        Some(_) => return Err(PageError::NextPage),
    };
    Ok(GroupPage { groups, next })
}

/// The address is unique among the groups of the Workspace.
fn group(entry: &Value) -> Result<GroupClaims, MemberError> {
    Ok(vec![(GROUPS, identifier(entry, "email")?), (GROUP_IDS, identifier(entry, "id")?)])
}

fn with_page_token(requested: &Url, token: &str) -> Url {
    let mut url = requested.clone();
    let kept: Vec<_> = requested.query_pairs().filter(|(name, _)| name != "pageToken").collect();
    url.query_pairs_mut().clear().extend_pairs(kept).append_pair("pageToken", token);
    url
}
