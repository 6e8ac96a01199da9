//! The policy for administrators: no administrator acts above their own role, and nobody manages their own account.

use std::sync::Arc;

use crate::{
    principal::Role,
    role_map::{RoleMap, RoleMaps},
};

/// Decides who is an administrator, and which users and roles an administrator may manage.
pub struct Policy {
    role_maps: Arc<RoleMaps>,
    admin_roles: Vec<Role>,
}

/// A user who manages other users.
#[derive(Debug, Clone, Copy)]
pub struct Administrator<'a> {
    pub user: &'a str,
    pub role: &'a Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyDenial {
    #[error("administrators do not manage their own account")]
    OwnAccount,
    #[error("the role is above the administrator's")]
    HigherRole,
    /// Counts as a higher role.
    #[error("the role map does not list both roles")]
    UnknownRole,
}

impl PolicyDenial {
    /// The stable token for the `reason` field of log events.
    pub fn reason(self) -> &'static str {
        match self {
            Self::OwnAccount => "own_account",
            Self::HigherRole | Self::UnknownRole => "above_own_role",
        }
    }
}

impl Policy {
    /// Administrators are the users with one of `admin_roles`.
    pub fn new(role_maps: Arc<RoleMaps>, admin_roles: Vec<Role>) -> Self {
        Self { role_maps, admin_roles }
    }

    /// Returns the user as an administrator; `None` if the role is not one of administrators.
    pub fn administrator<'a>(&self, user: &'a str, role: Option<&'a Role>) -> Option<Administrator<'a>> {
        role.filter(|role| self.admin_roles.contains(role)).map(|role| Administrator { user, role })
    }

    pub fn is_listed(&self, role: &Role) -> bool {
        self.role_maps.current().map.role(role.as_str()).is_some()
    }

    /// Checks that an administrator may manage a user, whose role is `None` if none is granted.
    pub fn authorize(&self, by: Administrator<'_>, user: &str, role: Option<&Role>) -> Result<(), PolicyDenial> {
        if by.user == user {
            return Err(PolicyDenial::OwnAccount);
        }
        role.map_or(Ok(()), |role| self.authorize_role(by, role))
    }

    /// Checks that an administrator may grant a role, or manage a user who has it.
    pub fn authorize_role(&self, by: Administrator<'_>, role: &Role) -> Result<(), PolicyDenial> {
        require_not_above(&self.role_maps.current().map, role, by.role)
    }
}

fn require_not_above(map: &RoleMap, role: &Role, limit: &Role) -> Result<(), PolicyDenial> {
    match map.lower_role(role, limit) {
        None => Err(PolicyDenial::UnknownRole),
        Some(lower) if lower == *role => Ok(()),
        Some(_) => Err(PolicyDenial::HigherRole),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{clock::SystemClock, role_map::ConfiguredNames};

    const ROLE_MAP: &str = "version: 1\nroles: [owner, admin, member]\ndefault_role: none\n";

    fn policy() -> Policy {
        let maps = RoleMaps::new(Some(ROLE_MAP), ConfiguredNames::default(), Arc::new(SystemClock), Arc::default()).unwrap();
        Policy::new(Arc::new(maps), vec![Role::new("owner"), Role::new("admin"), Role::new("gone")])
    }

    #[rstest]
    #[case::lower_role("admin", "u-2", Some("member"), Ok(()))]
    #[case::same_role("admin", "u-2", Some("admin"), Ok(()))]
    #[case::no_role("admin", "u-2", None, Ok(()))]
    #[case::highest_role("owner", "u-2", Some("owner"), Ok(()))]
    #[case::higher_role("admin", "u-2", Some("owner"), Err(PolicyDenial::HigherRole))]
    #[case::unknown_role("owner", "u-2", Some("stranger"), Err(PolicyDenial::UnknownRole))]
    #[case::unknown_own_role("gone", "u-2", Some("member"), Err(PolicyDenial::UnknownRole))]
    #[case::same_unknown_role("gone", "u-2", Some("gone"), Err(PolicyDenial::UnknownRole))]
    #[case::unknown_own_role_and_no_role("gone", "u-2", None, Ok(()))]
    #[case::own_account("owner", "u-1", Some("owner"), Err(PolicyDenial::OwnAccount))]
    #[case::own_account_without_a_role("owner", "u-1", None, Err(PolicyDenial::OwnAccount))]
    #[case::own_account_before_the_role("admin", "u-1", Some("owner"), Err(PolicyDenial::OwnAccount))]
    fn an_administrator_manages_other_users_up_to_the_own_role(
        #[case] own: &str,
        #[case] user: &str,
        #[case] role: Option<&str>,
        #[case] expected: Result<(), PolicyDenial>,
    ) {
        let (policy, own, role) = (policy(), Role::new(own), role.map(Role::new));
        let by = policy.administrator("u-1", Some(&own)).unwrap();
        assert_eq!(policy.authorize(by, user, role.as_ref()), expected);
    }

    #[rstest]
    #[case(Some("owner"), true)]
    #[case(Some("gone"), true)]
    #[case(Some("member"), false)]
    #[case(Some("stranger"), false)]
    #[case(None, false)]
    fn administrators_have_one_of_the_configured_roles(#[case] role: Option<&str>, #[case] expected: bool) {
        let role = role.map(Role::new);
        assert_eq!(policy().administrator("u-1", role.as_ref()).is_some(), expected);
    }

    #[test]
    fn only_roles_of_the_role_map_are_listed() {
        assert!(policy().is_listed(&Role::new("member")));
        assert!(!policy().is_listed(&Role::new("gone")));
    }
}
