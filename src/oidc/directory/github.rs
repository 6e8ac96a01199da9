//! Organizations and teams of GitHub.

use openidconnect::HttpResponse;
use url::Url;

use super::listing::{GroupClaims, GroupListing, GroupPage, PageError, endpoint, identifier, read_list};
use crate::json::{MemberError, Value};

const ORGANIZATIONS: &str = "organizations";
const ORGANIZATION_IDS: &str = "organization_ids";
const TEAMS: &str = "teams";
const TEAM_IDS: &str = "team_ids";

const HEADERS: &[(&str, &str)] = &[("accept", "application/vnd.github+json"), ("x-github-api-version", "2022-11-28")];
const QUERY: &[(&str, &str)] = &[("per_page", "100")];

pub(super) fn organizations_and_teams(api: &Url) -> Vec<GroupListing> {
    let organizations = endpoint(api, "/user/orgs", QUERY);
    let teams = endpoint(api, "/user/teams", QUERY);
    vec![
        GroupListing {
            url: organizations,
            headers: HEADERS,
            claims: &[ORGANIZATIONS, ORGANIZATION_IDS],
            read: read_organizations,
        },
        GroupListing { url: teams, headers: HEADERS, claims: &[TEAMS, TEAM_IDS], read: read_teams },
    ]
}

fn read_organizations(response: &HttpResponse, requested: &Url) -> Result<GroupPage, PageError> {
    read_list(response, requested, organization)
}

fn read_teams(response: &HttpResponse, requested: &Url) -> Result<GroupPage, PageError> {
    read_list(response, requested, team)
}

fn organization(entry: &Value) -> Result<GroupClaims, MemberError> {
    Ok(vec![(ORGANIZATIONS, identifier(entry, "login")?), (ORGANIZATION_IDS, identifier(entry, "id")?)])
}

/// A team is unique only together with its organization.
fn team(entry: &Value) -> Result<GroupClaims, MemberError> {
    let organization = entry.get("organization").ok_or(MemberError::Missing("organization"))?;
    let name = format!("{}/{}", identifier(organization, "login")?, identifier(entry, "slug")?);
    Ok(vec![(TEAMS, name), (TEAM_IDS, identifier(entry, "id")?)])
}
