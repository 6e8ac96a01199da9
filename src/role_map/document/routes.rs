//! Reads `routes`: named restrictions, to which the check's URL refers.

use super::rules::parse_team_name;
use super::{RoleList, read_restrictions};
use crate::access::{RouteRule, RouteRules, check_route_name};
use crate::yaml::decode::Section;

pub(super) fn read(section: &mut Section<'_>, roles: &RoleList<'_>) -> Option<RouteRules> {
    let check_name = |name: &str| check_route_name(name).map_err(|error| error.to_string());
    let routes = section.named_maps("routes", check_name, |section| read_route(section, roles))?;
    Some(routes.into_iter().flatten().map(|(name, rule)| (name.into(), rule)).collect())
}

fn read_route(section: &mut Section<'_>, roles: &RoleList<'_>) -> Option<RouteRule> {
    let rule = RouteRule {
        roles: read_restrictions(section, "roles", |text| roles.find(text)),
        teams: read_restrictions(section, "teams", parse_team_name),
    };
    let is_given = section.is_given("roles") || section.is_given("teams");
    if !is_given {
        section.complain("roles", "is required, unless `teams` is set: a route without restrictions would allow every user");
    }
    is_given.then_some(rule)
}
