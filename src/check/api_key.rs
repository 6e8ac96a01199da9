//! Authenticates API keys and evaluates their grants.

use std::sync::Arc;

use super::{
    AuthenticatedCredential, AuthenticatedPrincipal, AuthenticationError, AuthenticationFailure, Checker,
    evaluation::is_suspended,
    overdue::{Authentication, OverdueClaims},
};
use crate::{
    api_keys::PresentedKey,
    principal::{Evaluation, IdentityHeaders},
    principal_cache::{ActiveKey, CachedUser, GrantSources, KeyLookup, RestrictedGrant},
    role_map::CurrentRoleMap,
};

impl Checker {
    pub(super) async fn authenticate_key(
        &self,
        in_force: &CurrentRoleMap,
        key: PresentedKey,
    ) -> Result<Authentication, AuthenticationError> {
        match self.principals.key(key).await? {
            KeyLookup::Active(key) => {
                // A key depends on the claims of all owners in its chain.
                key.ancestors.iter().for_each(|ancestor| self.refresher.request(&ancestor.user));
                let Some(restricted) = self.evaluate_key(in_force, &key) else {
                    return self.suspended(in_force, key.own.user);
                };
                self.refresher.request(&key.own.user);
                let evaluation = Arc::clone(&restricted.evaluation);
                Ok(AuthenticatedPrincipal { evaluation, credential: AuthenticatedCredential::ApiKey(restricted) }.into())
            }
            KeyLookup::Suspended => Err(AuthenticationFailure::Suspended.into()),
            KeyLookup::Unknown => Err(AuthenticationFailure::UnknownCredential.into()),
        }
    }

    /// A key whose owner has no role without the identities that have expired: a refresh may renew them.
    fn suspended(&self, in_force: &CurrentRoleMap, owner: Arc<CachedUser>) -> Result<Authentication, AuthenticationError> {
        let evaluation = self.evaluator.evaluate_owner(in_force, &owner);
        match evaluation.expired_identities.iter().any(|expired| expired.is_refreshable) {
            true => Ok(OverdueClaims { user: owner, session: None }.into()),
            false => Err(AuthenticationFailure::Suspended.into()),
        }
    }

    /// Restricts the owner's grant to the restrictions of the key and its ancestors. The result is cached until one of them, or
    /// the evaluation of one of their owners, changes. `None` if the key is suspended, since its owner has no role without the
    /// identities that have expired.
    fn evaluate_key(&self, in_force: &CurrentRoleMap, active: &ActiveKey) -> Option<Arc<RestrictedGrant>> {
        let key = &active.own.key;
        let sources = GrantSources::of(active, |user| self.evaluator.evaluate_owner(in_force, user));
        if is_suspended(sources.owner()) {
            return None;
        }
        if let Some(known) = key.grant.load_full().filter(|known| known.is_of(&sources)) {
            return Some(known);
        }
        let (valid_until, owner) = (sources.valid_until(), sources.owner().identity.clone());
        let restricted = RestrictedGrant::new(active, sources, &in_force.map, |grant| {
            let identity = IdentityHeaders { key: key.key.id.to_string(), ..owner.with_grant(&grant) };
            Evaluation { valid_until, ..Evaluation::new(in_force.version, grant, identity) }
        });
        let restricted = Arc::new(restricted);
        key.grant.store(Some(Arc::clone(&restricted)));
        Some(restricted)
    }
}
