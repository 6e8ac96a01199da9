//! Authenticates API keys and evaluates their grants.

use std::sync::Arc;

use super::{
    AuthenticatedCredential, AuthenticatedPrincipal, AuthenticationError, AuthenticationFailure, Checker,
    overdue_claims::{Authentication, OverdueClaims},
};
use crate::{
    api_keys::PresentedKey,
    principal::{Evaluation, IdentityHeaders},
    principal_cache::{ActiveKey, CachedUser, GrantSources, KeyLookup, RestrictedGrant},
    role_map::ActiveRoleMap,
};

/// The owner of a key or of one of its ancestors, who has no role without the identities that have expired: the key is suspended.
struct SuspendedOwner(Arc<CachedUser>);

impl Checker {
    pub(super) async fn authenticate_key(
        &self,
        role_map: &ActiveRoleMap,
        key: PresentedKey,
    ) -> Result<Authentication, AuthenticationError> {
        match self.principals.key(key).await? {
            KeyLookup::Active(key) => {
                // A key depends on the claims of all owners in its chain.
                key.ancestors.iter().for_each(|ancestor| self.refresher.request(&ancestor.user));
                let restricted = match self.evaluate_key(role_map, &key) {
                    Ok(restricted) => restricted,
                    Err(SuspendedOwner(owner)) => return self.suspended(role_map, owner),
                };
                self.refresher.request(&key.own.user);
                let evaluation = Arc::clone(&restricted.evaluation);
                Ok(AuthenticatedPrincipal { evaluation, credential: AuthenticatedCredential::ApiKey(restricted) }.into())
            }
            KeyLookup::Suspended => Err(AuthenticationFailure::Suspended.into()),
            KeyLookup::Unknown => Err(AuthenticationFailure::UnknownCredential.into()),
        }
    }

    /// A suspended key: a refresh may renew the owner's identities.
    fn suspended(&self, role_map: &ActiveRoleMap, owner: Arc<CachedUser>) -> Result<Authentication, AuthenticationError> {
        let evaluation = self.evaluator.evaluate_owner(role_map, &owner);
        match evaluation.expired_identities.iter().any(|expired| expired.is_refreshable) {
            true => Ok(OverdueClaims { user: owner, session: None }.into()),
            false => Err(AuthenticationFailure::Suspended.into()),
        }
    }

    /// Restricts the owner's grant to the restrictions of the key and its ancestors. The result is cached until one of them, or
    /// the evaluation of one of their owners, changes.
    fn evaluate_key(&self, role_map: &ActiveRoleMap, active: &ActiveKey) -> Result<Arc<RestrictedGrant>, SuspendedOwner> {
        let key = &active.own.key;
        let sources = GrantSources::of(active, |user| self.evaluator.evaluate_owner(role_map, user));
        if let Some(owner) = sources.suspended_owner(active) {
            return Err(SuspendedOwner(Arc::clone(owner)));
        }
        if let Some(known) = key.grant.load_full().filter(|known| known.is_of(&sources)) {
            return Ok(known);
        }
        let (valid_until, owner) = (sources.valid_until(), sources.owner().identity.clone());
        let restricted = RestrictedGrant::new(active, sources, &role_map.map, |grant| {
            let identity = IdentityHeaders { key: key.key.id.to_string(), ..owner.with_grant(&grant) };
            Evaluation { valid_until, ..Evaluation::new(role_map.version, grant, identity) }
        });
        let restricted = Arc::new(restricted);
        key.grant.store(Some(Arc::clone(&restricted)));
        Ok(restricted)
    }
}
