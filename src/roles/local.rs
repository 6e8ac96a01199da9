//! What a local account's own claims grant: the role and the teams that its invitation named. No rule of the document is needed
//! for them, since an administrator has granted them already; rules about `local` come on top.

use std::borrow::Cow;

use super::{Rank, RoleMap};
use crate::principal::{IdentityClaims, LOCAL, ROLE_CLAIM, Role, RuleName, TEAMS_CLAIM};

/// Stands for the rule that an invitation is.
const ROLE_RULE: &str = "local.user_role";
pub(super) const TEAMS_RULE: &str = "local.teams";

/// Whether local accounts' own claims count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Local {
    Counts,
    /// While there is no good document nobody is granted anything.
    Ignored,
}

impl RoleMap {
    /// The role that the account's invitation named, if it is listed still.
    pub(super) fn local_role(&self, identities: &[IdentityClaims]) -> Option<(Rank, Role, RuleName)> {
        let claims = self.local_accounts(identities).find_map(|account| account.id_token.get(ROLE_CLAIM)?.as_str());
        let rank = self.roles.iter().position(|role| Some(role.as_str()) == claims)?;
        Some((rank, self.roles[rank].clone(), RuleName::new(ROLE_RULE)))
    }

    pub(super) fn local_teams<'a>(&'a self, identities: &'a [IdentityClaims]) -> impl Iterator<Item = Cow<'a, str>> {
        let lists = self.local_accounts(identities).filter_map(|account| account.id_token.get(TEAMS_CLAIM)?.as_array());
        lists.flatten().filter_map(|team| team.as_str().map(Cow::Borrowed))
    }

    fn local_accounts<'a>(&self, identities: &'a [IdentityClaims]) -> impl Iterator<Item = &'a IdentityClaims> + use<'a> {
        let counts = self.local == Local::Counts;
        identities.iter().filter(move |identity| counts && identity.provider == LOCAL)
    }
}
