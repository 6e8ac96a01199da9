//! Groups of GitLab.

use openidconnect::HttpResponse;
use url::Url;

use super::listing::{GroupClaims, GroupListing, GroupPage, PageError, endpoint, identifier, read_list};
use crate::json::{MemberError, Value};

const GROUPS: &str = "groups";
const GROUP_IDS: &str = "group_ids";

const HEADERS: &[(&str, &str)] = &[("accept", "application/json")];

/// Only groups that the user is a member of (at least as guest), and not all that the user can see. With keyset pagination no
/// group is skipped if another one is deleted meanwhile.
const QUERY: &[(&str, &str)] =
    &[("min_access_level", "10"), ("per_page", "100"), ("pagination", "keyset"), ("order_by", "name"), ("sort", "asc")];

pub(super) fn groups(api: &Url) -> GroupListing {
    GroupListing { url: endpoint(api, "/groups", QUERY), headers: HEADERS, claims: &[GROUPS, GROUP_IDS], read }
}

fn read(response: &HttpResponse, requested: &Url) -> Result<GroupPage, PageError> {
    read_list(response, requested, group)
}

fn group(entry: &Value) -> Result<GroupClaims, MemberError> {
    Ok(vec![(GROUPS, identifier(entry, "full_path")?), (GROUP_IDS, identifier(entry, "id")?)])
}
