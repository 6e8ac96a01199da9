//! Reads `litellm_jwtauth`: the fields of LiteLLM's JWT authentication, for role maps that were migrated from LiteLLM.

use super::rules::{parse_claim_path, read_boolean, read_provider};
use super::{RoleList, RuleOrigin};
use crate::principal::RuleName;
use crate::role_map::GrantPolicy;
use crate::role_map::condition::{Case, Condition, ValueSelector};
use crate::role_map::litellm::{self, Mapping, Mappings};
use crate::role_map::teams::TeamRule;
use crate::yaml::decode::Section;

pub(super) struct Litellm {
    pub mappings: Option<Mappings>,
    pub teams: Option<TeamRule>,
    pub grants: GrantPolicy,
}

pub(super) const SECTION: &str = "litellm_jwtauth";
const ROLES: &str = "roles_jwt_field";
const MAP: &str = "jwt_litellm_role_map";
const TEAMS: &str = "team_ids_jwt_field";

pub(super) fn read(section: &mut Section<'_>, roles: &RoleList<'_>) -> Option<Litellm> {
    // LiteLLM supports one issuer only and has no such field.
    let provider = read_provider(section);
    let mappings = read_mappings(section, roles);
    let teams = section.value(TEAMS, parse_selector);
    let syncs_grant = read_boolean(section, "sync_user_role_and_teams");
    let provider = provider?;
    let teams = teams?.map(|selector| TeamRule {
        origin: RuleOrigin { name: RuleName::new(format!("{SECTION}.{TEAMS}")), line: section.line_of(TEAMS) },
        provider: provider.clone(),
        condition: Condition::new(selector, "*").expect("a star is a valid pattern"),
        capture: None,
        strip: Box::default(),
        map: None,
    });
    Some(Litellm {
        mappings: mappings?.map(|mappings| Mappings { provider, line: section.line(), mappings }),
        teams,
        grants: if syncs_grant? == Some(false) { GrantPolicy::KeepFirstGrant } else { GrantPolicy::FollowClaims },
    })
}

fn read_mappings(section: &mut Section<'_>, roles: &RoleList<'_>) -> Option<Option<Vec<Mapping>>> {
    let selector = section.value(ROLES, parse_selector);
    let known = selector.as_ref().and_then(Option::as_ref);
    let mappings = section.maps(MAP, |section| read_mapping(section, known, roles));
    match (section.is_given(ROLES), section.is_given(MAP)) {
        (true, false) => section.complain(ROLES, format!("needs `{MAP}` beside it")),
        (false, true) => section.complain(MAP, format!("needs `{ROLES}` beside it")),
        _ => {}
    }
    let mappings = mappings?;
    if mappings.as_ref().is_some_and(Vec::is_empty) {
        section.complain(MAP, "is empty, so that nothing would match; remove the field for no restriction");
    }
    Some(mappings)
}

fn read_mapping(section: &mut Section<'_>, selector: Option<&ValueSelector>, roles: &RoleList<'_>) -> Option<Mapping> {
    let origin = roles.origin(section);
    let pattern = section.required_value("jwt_role", |text| Ok::<_, String>(text.to_owned()));
    let role = section.required_value("litellm_role", |name| roles.find_granted(name));
    let condition = litellm::compile_condition(selector?.clone(), &pattern?);
    let condition = condition.map_err(|error| section.complain("jwt_role", error.to_string())).ok();
    let (rank, role) = role?;
    Some(Mapping { origin, condition: condition?, role, rank })
}

fn parse_selector(text: &str) -> Result<ValueSelector, String> {
    Ok(ValueSelector { source: None, claim: parse_claim_path(text)?, split: None, case: Case::Sensitive })
}
