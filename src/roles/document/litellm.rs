//! `litellm_jwtauth`: LiteLLM's own fields, for those who come from there.

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::mistakes::{Mistakes, What, line};
use super::{RoleList, said};
use crate::principal::{ClaimPath, RuleName};
use crate::roles::condition::{Case, Condition, Place};
use crate::roles::litellm::{self, Mapping, Mappings};
use crate::roles::teams::TeamRule;
use crate::roles::{Grants, Origin};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLitellm {
    /// Ours: LiteLLM knows one issuer.
    #[serde(default, deserialize_with = "said")]
    provider: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "said")]
    roles_jwt_field: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "said")]
    team_ids_jwt_field: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "said")]
    sync_user_role_and_teams: Option<bool>,
    #[serde(default, deserialize_with = "said")]
    jwt_litellm_role_map: Option<Spanned<Vec<Spanned<RawMapping>>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMapping {
    jwt_role: Spanned<String>,
    litellm_role: Spanned<String>,
}

pub(super) struct Compiled {
    pub mappings: Option<Mappings>,
    pub teams: Option<TeamRule>,
    pub grants: Grants,
}

pub(super) const SECTION: &str = "litellm_jwtauth";
const ROLES: &str = "litellm_jwtauth.roles_jwt_field";
const MAP: &str = "litellm_jwtauth.jwt_litellm_role_map";
const TEAMS: &str = "litellm_jwtauth.team_ids_jwt_field";

pub(super) fn compile(raw: Spanned<RawLitellm>, roles: &RoleList, mistakes: &mut Mistakes) -> Compiled {
    let section_line = line(&raw);
    let raw = raw.value;
    if let Some(empty) = raw.provider.as_ref().filter(|id| id.value.is_empty()) {
        mistakes.add(format!("{SECTION}.provider"), line(empty), What::EmptyProvider);
    }
    let provider: Option<Box<str>> = raw.provider.map(|id| id.value.into());
    let mappings = match (raw.roles_jwt_field, raw.jwt_litellm_role_map) {
        (Some(field), Some(map)) => compile_mappings(&field, map, roles, mistakes),
        (Some(field), None) => {
            mistakes.add(ROLES, line(&field), What::Needs("jwt_litellm_role_map"));
            None
        }
        (None, Some(map)) => {
            mistakes.add(MAP, line(&map), What::Needs("roles_jwt_field"));
            None
        }
        (None, None) => None,
    };
    Compiled {
        mappings: mappings.map(|mappings| Mappings { provider: provider.clone(), line: section_line, mappings }),
        teams: raw.team_ids_jwt_field.and_then(|field| compile_teams(&field, provider, mistakes)),
        grants: match raw.sync_user_role_and_teams {
            Some(false) => Grants::StayAsFirstGiven,
            _ => Grants::FollowClaims,
        },
    }
}

fn compile_mappings(
    field: &Spanned<String>,
    map: Spanned<Vec<Spanned<RawMapping>>>,
    roles: &RoleList,
    mistakes: &mut Mistakes,
) -> Option<Vec<Mapping>> {
    if map.value.is_empty() {
        mistakes.add(MAP, line(&map), What::EmptyList);
    }
    let place = place(ROLES, field, mistakes)?;
    let numbered = map.value.into_iter().enumerate();
    Some(numbered.filter_map(|(index, raw)| compile_mapping(&raw, &format!("{MAP}[{index}]"), &place, roles, mistakes)).collect())
}

fn compile_mapping(
    raw: &Spanned<RawMapping>,
    name: &str,
    place: &Place,
    roles: &RoleList,
    mistakes: &mut Mistakes,
) -> Option<Mapping> {
    let RawMapping { jwt_role, litellm_role } = &raw.value;
    let condition = litellm::condition(place.clone(), &jwt_role.value);
    let condition = mistakes.judge(condition, format!("{name}.jwt_role"), line(jwt_role));
    let rank = roles.rank(litellm_role, format!("{name}.litellm_role"), mistakes)?;
    let origin = Origin { name: RuleName::new(name), line: line(raw) };
    Some(Mapping { origin, condition: condition?, role: roles.at(rank), rank })
}

fn compile_teams(field: &Spanned<String>, provider: Option<Box<str>>, mistakes: &mut Mistakes) -> Option<TeamRule> {
    let place = place(TEAMS, field, mistakes)?;
    let condition = Condition::new(place, "*").expect("a star is a pattern");
    let origin = Origin { name: RuleName::new(TEAMS), line: line(field) };
    Some(TeamRule { origin, provider, condition, strip: Box::default(), map: None })
}

fn place(name: &str, field: &Spanned<String>, mistakes: &mut Mistakes) -> Option<Place> {
    let claim = mistakes.judge(ClaimPath::parse(&field.value), name, line(field))?;
    Some(Place { source: None, claim, split: None, case: Case::Sensitive })
}
