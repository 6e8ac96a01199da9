//! Grants local accounts the role and the teams of their invitation.
//!
//! This needs no rule in the document, since an administrator has granted them. Rules with `provider: local` apply in
//! addition.

use std::borrow::Cow;

use super::{Rank, RoleMap};
use crate::principal::{IdentityClaims, LOCAL, ROLE_CLAIM, Role, RuleName, TEAMS_CLAIM};

/// The rule name of a role that an invitation granted.
const ROLE_RULE: &str = "local.user_role";
pub(super) const TEAMS_RULE: &str = "local.teams";

/// The policy for the claims of local accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LocalClaimsPolicy {
    Evaluate,
    /// Without a valid document nothing is granted.
    Ignore,
}

impl RoleMap {
    /// The role of the account's invitation; `None` if the document no longer lists it.
    pub(super) fn local_role(&self, identities: &[IdentityClaims]) -> Option<(Rank, Role, RuleName)> {
        let claim = self.local_accounts(identities).find_map(|account| account.id_token.get(ROLE_CLAIM)?.as_str());
        let rank = self.roles.iter().position(|role| Some(role.as_str()) == claim)?;
        Some((rank, self.roles[rank].clone(), RuleName::new(ROLE_RULE)))
    }

    pub(super) fn local_teams<'a>(&'a self, identities: &'a [IdentityClaims]) -> impl Iterator<Item = Cow<'a, str>> {
        let lists = self.local_accounts(identities).filter_map(|account| account.id_token.get(TEAMS_CLAIM)?.as_array());
        lists.flatten().filter_map(|team| team.as_str().map(Cow::Borrowed))
    }

    fn local_accounts<'a>(&self, identities: &'a [IdentityClaims]) -> impl Iterator<Item = &'a IdentityClaims> + use<'a> {
        let evaluates = self.local == LocalClaimsPolicy::Evaluate;
        identities.iter().filter(move |identity| evaluates && identity.provider == LOCAL)
    }
}
