//! `litellm_jwtauth`: LiteLLM's own fields, for role maps that come from there.

use super::rules::{claim_path, read_boolean, read_provider};
use super::{Origin, RoleList};
use crate::principal::RuleName;
use crate::roles::Grants;
use crate::roles::condition::{Case, Condition, Place};
use crate::roles::litellm::{self, Mapping, Mappings};
use crate::roles::teams::TeamRule;
use crate::yaml::decode::Section;

pub(super) struct Litellm {
    pub mappings: Option<Mappings>,
    pub teams: Option<TeamRule>,
    pub grants: Grants,
}

pub(super) const SECTION: &str = "litellm_jwtauth";
const ROLES: &str = "roles_jwt_field";
const MAP: &str = "jwt_litellm_role_map";
const TEAMS: &str = "team_ids_jwt_field";

pub(super) fn read(section: &mut Section<'_>, roles: &RoleList<'_>) -> Option<Litellm> {
    // LiteLLM knows one issuer and has no such field.
    let provider = read_provider(section);
    let mappings = read_mappings(section, roles);
    let teams = section.value(TEAMS, place);
    let keeps_first_grant = read_boolean(section, "sync_user_role_and_teams");
    let provider = provider?;
    let teams = teams?.map(|place| TeamRule {
        origin: Origin { name: RuleName::new(format!("{SECTION}.{TEAMS}")), line: section.line_of(TEAMS) },
        provider: provider.clone(),
        condition: Condition::new(place, "*").expect("a star is a pattern"),
        strip: Box::default(),
        map: None,
    });
    Some(Litellm {
        mappings: mappings?.map(|mappings| Mappings { provider, line: section.line(), mappings }),
        teams,
        grants: if keeps_first_grant? == Some(false) { Grants::StayAsFirstGiven } else { Grants::FollowClaims },
    })
}

fn read_mappings(section: &mut Section<'_>, roles: &RoleList<'_>) -> Option<Option<Vec<Mapping>>> {
    let place = section.value(ROLES, place);
    let known = place.as_ref().and_then(Option::as_ref);
    let mappings = section.maps(MAP, |section| read_mapping(section, known, roles));
    match (section.is_given(ROLES), section.is_given(MAP)) {
        (true, false) => section.complain(ROLES, format!("needs `{MAP}` beside it")),
        (false, true) => section.complain(MAP, format!("needs `{ROLES}` beside it")),
        _ => {}
    }
    let mappings = mappings?;
    if mappings.as_ref().is_some_and(Vec::is_empty) {
        section.complain(MAP, "is empty, so that nothing would match; leave it out for no restriction");
    }
    Some(mappings)
}

fn read_mapping(section: &mut Section<'_>, place: Option<&Place>, roles: &RoleList<'_>) -> Option<Mapping> {
    let origin = roles.origin(section);
    let pattern = section.required_value("jwt_role", |text| Ok::<_, String>(text.to_owned()));
    let role = section.required_value("litellm_role", |name| roles.find_given(name));
    let condition = litellm::condition(place?.clone(), &pattern?);
    let condition = condition.map_err(|error| section.complain("jwt_role", error.to_string())).ok();
    let (rank, role) = role?;
    Some(Mapping { origin, condition: condition?, role, rank })
}

fn place(text: &str) -> Result<Place, String> {
    Ok(Place { source: None, claim: claim_path(text)?, split: None, case: Case::Sensitive })
}
