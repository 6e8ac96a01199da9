//! API keys of users: rules and data that the JSON API and the page share.

pub(super) mod json;
pub(super) mod page;

use crate::{
    access::PathPattern,
    api_keys::{ApiKey, Manager, ManagerCredential, Restrictions},
    check::{AuthenticatedCredential, AuthenticatedPrincipal, Checker},
    principal::{Evaluation, Role, Team},
};

/// The maximum number of path patterns in the restrictions of one key.
const MOST_PATHS: usize = 32;

/// Returns the caller as a manager of keys.
pub(super) fn manager(caller: &AuthenticatedPrincipal) -> Manager<'_> {
    let Evaluation { grant, identity, .. } = &*caller.evaluation;
    let by = match &caller.credential {
        AuthenticatedCredential::Session(_) => ManagerCredential::Session,
        AuthenticatedCredential::ApiKey(restricted) => ManagerCredential::ApiKey(&restricted.key),
        AuthenticatedCredential::Jwt(bearer) => {
            let restrictions = Restrictions { role: grant.role.clone(), teams: Some(grant.teams.clone()), paths: Vec::new() };
            ManagerCredential::Jwt { expires: bearer.expires(), restrictions }
        }
    };
    Manager { user: &identity.user, role: grant.role.as_ref(), by }
}

/// The restrictions of a key as a whole: its own, and those of the keys that it was derived from.
struct EffectiveRestrictions<'a> {
    /// The highest role that the key can have.
    role: Option<Role>,
    /// The only teams that the key can have.
    teams: Option<Vec<Team>>,
    /// Lists of path patterns. A path must match one pattern of each list.
    paths: Vec<&'a [String]>,
}

impl<'a> EffectiveRestrictions<'a> {
    fn of(key: &'a ApiKey, checker: &Checker) -> Self {
        let roles = key.restrictions.iter().filter_map(|restrictions| restrictions.role.clone());
        let teams = key.restrictions.iter().filter_map(|restrictions| restrictions.teams.clone());
        let paths = key.restrictions.iter().map(|restrictions| restrictions.paths.as_slice());
        Self {
            role: roles.reduce(|one, other| checker.lower_role(&one, &other).unwrap_or(one)),
            teams: teams.reduce(|kept, list| kept.into_iter().filter(|team| list.contains(team)).collect()),
            paths: paths.filter(|paths| !paths.is_empty()).collect(),
        }
    }
}

/// A path pattern in its normal form.
fn parse_path(text: &str) -> Result<String, &'static str> {
    let pattern = PathPattern::parse(text).map_err(|_| "must be patterns of paths as in access rules, such as /v1/**")?;
    Ok(pattern.as_str().to_owned())
}
