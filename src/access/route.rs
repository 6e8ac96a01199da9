//! Named restrictions of routes, to which the check's URL refers.

use std::collections::BTreeMap;

use crate::principal::{Grant, Role};

/// The restrictions of one route. An empty list requires nothing; one of the lists is not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRule {
    pub roles: Vec<Role>,
    pub teams: Vec<Box<str>>,
}

/// The restrictions of all routes, by name.
pub type RouteRules = BTreeMap<Box<str>, RouteRule>;

/// A text is not the name of a route. A name needs no percent-encoding in a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 32 of the letters a-z, digits and -")]
pub struct RouteNameError;

const MAX_NAME_LENGTH: usize = 32;

impl RouteRule {
    /// True if the grant has one of the roles and one of the teams, as far as they are restricted.
    pub fn allows(&self, grant: &Grant) -> bool {
        let has_role = || grant.role.as_ref().is_some_and(|role| self.roles.contains(role));
        let has_team = || grant.teams.iter().any(|team| self.teams.iter().any(|required| **required == *team.as_str()));
        (self.roles.is_empty() || has_role()) && (self.teams.is_empty() || has_team())
    }
}

pub fn check_route_name(name: &str) -> Result<(), RouteNameError> {
    let is_name = (1..=MAX_NAME_LENGTH).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if is_name { Ok(()) } else { Err(RouteNameError) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::principal::Team;

    #[rstest]
    #[case(&["a", "b"], &[], Some("b"), &[], true)]
    #[case(&["a"], &[], Some("c"), &["a"], false)]
    #[case(&["a"], &[], None, &[], false)]
    #[case(&[], &["data science"], None, &["x", "data science"], true)]
    #[case(&[], &["data science"], Some("data science"), &["data"], false)]
    #[case(&["a"], &["x"], Some("a"), &["x"], true)]
    #[case(&["a"], &["x"], Some("a"), &["y"], false)]
    #[case(&["a"], &["x"], Some("b"), &["x"], false)]
    fn restrictions_apply_to_a_grant(
        #[case] roles: &[&str],
        #[case] teams: &[&str],
        #[case] role: Option<&str>,
        #[case] member_of: &[&str],
        #[case] expected: bool,
    ) {
        let rule = RouteRule {
            roles: roles.iter().copied().map(Role::new).collect(),
            teams: teams.iter().copied().map(Box::from).collect(),
        };
        let teams = member_of.iter().copied().map(Team::new).collect();
        assert_eq!(rule.allows(&Grant { role: role.map(Role::new), teams, ..Grant::default() }), expected);
    }

    #[test]
    fn a_name_needs_no_encoding() {
        assert!(["data", "a-1", &"a".repeat(MAX_NAME_LENGTH)].iter().all(|name| check_route_name(name).is_ok()));
        for name in ["", "Data", "data science", "a_b", "%64ata", &"a".repeat(MAX_NAME_LENGTH + 1)] {
            assert_eq!(check_route_name(name), Err(RouteNameError), "{name}");
        }
    }
}
