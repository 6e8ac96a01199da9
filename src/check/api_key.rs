//! Authenticates API keys and evaluates their grants.

use std::sync::Arc;

use super::{
    AuthenticatedCredential, AuthenticatedPrincipal, AuthenticationError, AuthenticationFailure, Checker,
    evaluation::is_suspended,
};
use crate::{
    api_keys::PresentedKey,
    principal::{Evaluation, IdentityHeaders},
    principal_cache::{ActiveKey, GrantSources, KeyLookup, RestrictedGrant},
    role_map::CurrentRoleMap,
};

impl Checker {
    pub(super) async fn authenticate_key(
        &self,
        in_force: &CurrentRoleMap,
        key: PresentedKey,
    ) -> Result<AuthenticatedPrincipal, AuthenticationError> {
        match self.principals.key(key).await? {
            KeyLookup::Active(key) => {
                let restricted = self.evaluate_key(in_force, &key).ok_or(AuthenticationFailure::Suspended)?;
                Ok(AuthenticatedPrincipal {
                    evaluation: Arc::clone(&restricted.evaluation),
                    credential: AuthenticatedCredential::ApiKey(restricted),
                })
            }
            KeyLookup::Suspended => Err(AuthenticationFailure::Suspended.into()),
            KeyLookup::Unknown => Err(AuthenticationFailure::UnknownCredential.into()),
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
