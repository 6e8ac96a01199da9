//! The policy for administrators: administrators cannot act on users with a higher role, nor on their own account.

use std::{slice, sync::Arc};

use super::{ProvisioningSettings, User};
use crate::{
    principal::{IdentityClaims, PinnedGrant, Role},
    role_map::{RoleMap, RoleMaps},
};

/// Decides who is an administrator, and which users and roles an administrator may manage.
pub struct Policy {
    role_maps: Arc<RoleMaps>,
    admin_roles: Vec<Role>,
    provisioning: Option<Arc<ProvisioningSettings>>,
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
        Self { role_maps, admin_roles, provisioning: None }
    }

    /// Also counts the groups of a directory.
    #[must_use]
    pub fn with_provisioning(self, provisioning: Option<Arc<ProvisioningSettings>>) -> Self {
        Self { provisioning, ..self }
    }

    /// Returns the user as an administrator; `None` if the role is not one of administrators.
    pub fn administrator<'a>(&self, user: &'a str, role: Option<&'a Role>) -> Option<Administrator<'a>> {
        role.filter(|role| self.admin_roles.contains(role)).map(|role| Administrator { user, role })
    }

    pub fn is_listed(&self, role: &Role) -> bool {
        self.role_maps.active().map.role(role.as_str()).is_some()
    }

    /// Checks that an administrator may manage a user.
    pub fn authorize(&self, by: Administrator<'_>, user: &User) -> Result<(), PolicyDenial> {
        if by.user == user.id {
            return Err(PolicyDenial::OwnAccount);
        }
        self.authorize_rank(by, user)
    }

    /// Checks that the role of a user is not above the administrator's.
    pub fn authorize_rank(&self, by: Administrator<'_>, user: &User) -> Result<(), PolicyDenial> {
        let map = &self.role_maps.active().map;
        let identities = user.evaluated_identities(self.provisioning.as_deref());
        rank(map, &identities, user.pinned.as_ref()).map_or(Ok(()), |role| require_not_above(map, &role, by.role))
    }

    /// Checks that an administrator may manage a user whose role is not known, which counts as the highest.
    pub fn authorize_unknown_rank(&self, by: Administrator<'_>) -> Result<(), PolicyDenial> {
        let map = &self.role_maps.active().map;
        highest_role(map).map_or(Err(PolicyDenial::UnknownRole), |role| require_not_above(map, &role, by.role))
    }

    /// Checks that an administrator may grant a role.
    pub fn authorize_role(&self, by: Administrator<'_>, role: &Role) -> Result<(), PolicyDenial> {
        require_not_above(&self.role_maps.active().map, role, by.role)
    }

    /// Checks that an administrator may give a user these claims: the role map may grant a higher role for them than they name.
    pub fn authorize_claims(&self, by: Administrator<'_>, claims: &IdentityClaims) -> Result<(), PolicyDenial> {
        let map = &self.role_maps.active().map;
        rank(map, slice::from_ref(claims), None).map_or(Ok(()), |role| require_not_above(map, &role, by.role))
    }

    /// Returns the role with the lower privilege; `None` if one of the roles is no longer listed.
    pub fn lower_role(&self, one: &Role, other: &Role) -> Option<Role> {
        self.role_maps.active().map.lower_role(one, other)
    }

    /// Checks that an administrator may revoke what grants a role. A role that is not listed counts as the highest.
    pub fn authorize_revocation(&self, by: Administrator<'_>, role: &Role) -> Result<(), PolicyDenial> {
        let map = &self.role_maps.active().map;
        match map.role(role.as_str()) {
            Some(role) => require_not_above(map, &role, by.role),
            None => self.authorize_unknown_rank(by),
        }
    }
}

/// The role that determines the rank of a user. It does not depend on the age of the claims, because the next sign-in renews
/// them. Claims that are missing could grant any role, so the user counts as one with the highest.
fn rank(map: &RoleMap, identities: &[IdentityClaims], pinned: Option<&PinnedGrant>) -> Option<Role> {
    let grant = map.grant(identities, pinned);
    if grant.missing_source.is_some() {
        return highest_role(map);
    }
    // A pinned grant ends with its identity. Then the claims count, which may grant a higher role.
    let evaluated = map.evaluate(identities);
    map.roles_from(None)
        .iter()
        .find(|role| [&grant.role, &evaluated.role].into_iter().flatten().any(|granted| granted == *role))
        .cloned()
}

fn highest_role(map: &RoleMap) -> Option<Role> {
    map.roles_from(None).first().cloned()
}

/// Checks that a role is not above another.
pub fn require_not_above(map: &RoleMap, role: &Role, limit: &Role) -> Result<(), PolicyDenial> {
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
    use crate::{
        clock::{Clock, SystemClock},
        role_map::ConfiguredNames,
    };

    const ROLE_MAP: &str = r#"version: 1
roles: [owner, admin, member]
default_role: none
rules:
  - {provider: corp, claim: role, match: owner, role: owner}
  - {provider: corp, claim: role, match: admin, role: admin}
  - {provider: corp, claim: role, match: member, role: member}
"#;

    fn policy() -> Policy {
        policy_of(ROLE_MAP)
    }

    fn policy_of(document: &str) -> Policy {
        let names = ConfiguredNames { providers: Some(vec!["corp".to_owned()]), ..ConfiguredNames::default() };
        let maps = RoleMaps::new(Some(document), names, Arc::new(SystemClock), Arc::default()).unwrap();
        Policy::new(Arc::new(maps), vec![Role::new("owner"), Role::new("admin"), Role::new("gone")])
    }

    /// A user whose identity has a claim `role`.
    fn user(id: &str, role: Option<&str>) -> User {
        let mut user = User::new(id, SystemClock.now());
        let claims = serde_json::json!({ "role": role.unwrap_or_default() });
        user.identities.push(IdentityClaims {
            provider: "corp".to_owned(),
            issuer: "https://idp.example.com".to_owned(),
            subject: id.to_owned(),
            id_token: crate::json::object(claims),
            ..IdentityClaims::default()
        });
        user
    }

    #[rstest]
    #[case::lower_role("admin", "u-2", Some("member"), Ok(()))]
    #[case::same_role("admin", "u-2", Some("admin"), Ok(()))]
    #[case::no_role("admin", "u-2", None, Ok(()))]
    #[case::highest_role("owner", "u-2", Some("owner"), Ok(()))]
    #[case::higher_role("admin", "u-2", Some("owner"), Err(PolicyDenial::HigherRole))]
    #[case::unknown_own_role("gone", "u-2", Some("member"), Err(PolicyDenial::UnknownRole))]
    #[case::unknown_own_role_and_no_role("gone", "u-2", None, Ok(()))]
    #[case::own_account("owner", "u-1", Some("owner"), Err(PolicyDenial::OwnAccount))]
    #[case::own_account_without_a_role("owner", "u-1", None, Err(PolicyDenial::OwnAccount))]
    #[case::own_account_before_the_role("admin", "u-1", Some("owner"), Err(PolicyDenial::OwnAccount))]
    fn an_administrator_manages_other_users_up_to_the_own_role(
        #[case] own: &str,
        #[case] id: &str,
        #[case] role: Option<&str>,
        #[case] expected: Result<(), PolicyDenial>,
    ) {
        let (policy, own) = (policy(), Role::new(own));
        let by = policy.administrator("u-1", Some(&own)).unwrap();
        assert_eq!(policy.authorize(by, &user(id, role)), expected);
    }

    #[rstest]
    #[case::lower("owner", "member", Ok(()))]
    #[case::higher("admin", "owner", Err(PolicyDenial::HigherRole))]
    #[case::unknown("owner", "stranger", Err(PolicyDenial::UnknownRole))]
    #[case::same_unknown("gone", "gone", Err(PolicyDenial::UnknownRole))]
    fn an_administrator_grants_roles_up_to_the_own_role(
        #[case] own: &str,
        #[case] role: &str,
        #[case] expected: Result<(), PolicyDenial>,
    ) {
        let (policy, own) = (policy(), Role::new(own));
        let by = policy.administrator("u-1", Some(&own)).unwrap();
        assert_eq!(policy.authorize_role(by, &Role::new(role)), expected);
    }

    #[rstest]
    #[case::lower("admin", "member", Ok(()))]
    #[case::higher("admin", "owner", Err(PolicyDenial::HigherRole))]
    #[case::unknown_counts_as_the_highest("admin", "stranger", Err(PolicyDenial::HigherRole))]
    #[case::unknown_by_the_highest("owner", "stranger", Ok(()))]
    #[case::unknown_own_role("gone", "member", Err(PolicyDenial::UnknownRole))]
    fn an_administrator_revokes_what_grants_roles_up_to_the_own_role(
        #[case] own: &str,
        #[case] role: &str,
        #[case] expected: Result<(), PolicyDenial>,
    ) {
        let (policy, own) = (policy(), Role::new(own));
        let by = policy.administrator("u-1", Some(&own)).unwrap();
        assert_eq!(policy.authorize_revocation(by, &Role::new(role)), expected);
    }

    #[rstest]
    #[case::higher("admin", "owner", Err(PolicyDenial::HigherRole))]
    #[case::same("owner", "owner", Ok(()))]
    #[case::lower("admin", "member", Ok(()))]
    #[case::none("admin", "none of the map", Ok(()))]
    fn an_administrator_gives_claims_up_to_the_own_role(
        #[case] own: &str,
        #[case] claim: &str,
        #[case] expected: Result<(), PolicyDenial>,
    ) {
        let (policy, own) = (policy(), Role::new(own));
        let by = policy.administrator("u-1", Some(&own)).unwrap();
        assert_eq!(policy.authorize_claims(by, &user("u-2", Some(claim)).identities[0]), expected);
    }

    #[test]
    fn a_user_with_several_identities_has_the_highest_rank_of_them_whatever_their_age() {
        let (policy, admin) = (policy(), Role::new("admin"));
        let by = policy.administrator("u-1", Some(&admin)).unwrap();
        let mut both = user("u-2", Some("member"));
        both.identities.extend(user("u-3", Some("owner")).identities);
        (both.created, both.signed_in) = (jiff::Timestamp::UNIX_EPOCH, None);
        assert_eq!(policy.authorize(by, &both), Err(PolicyDenial::HigherRole));
    }

    #[test]
    fn missing_claims_count_as_the_highest_role() {
        let strict = ROLE_MAP.replace("version: 1", "version: 1\nmissing_source: refuse")
            + "  - {provider: corp, source: access_token, claim: role, match: owner, role: owner}\n";
        let policy = policy_of(&strict);
        for (own, expected) in [("owner", Ok(())), ("admin", Err(PolicyDenial::HigherRole))] {
            let own = Role::new(own);
            let by = policy.administrator("u-1", Some(&own)).unwrap();
            assert_eq!(policy.authorize(by, &user("u-2", Some("member"))), expected);
        }
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
