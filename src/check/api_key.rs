//! Authenticates API keys and evaluates their grants.

use std::sync::Arc;

use super::{AuthenticatedCredential, AuthenticatedPrincipal, AuthenticationError, AuthenticationFailure, Checker};
use crate::{
    api_keys::PresentedKey,
    principal::{Evaluation, IdentityHeaders},
    principal_cache::{ActiveKey, GrantSources, KeyLookup, RestrictedGrant, UserKey},
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
                let restricted = self.evaluate_key(in_force, &key);
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
    /// the evaluation of one of their owners, changes.
    fn evaluate_key(&self, in_force: &CurrentRoleMap, active: &ActiveKey) -> Arc<RestrictedGrant> {
        let UserKey { key, user } = &active.own;
        let sources = GrantSources::of(active, |user| self.evaluate_user(in_force, user));
        if let Some(known) = key.grant.load_full().filter(|known| known.is_of(&sources)) {
            return known;
        }
        let restricted = RestrictedGrant::new(active, sources, &in_force.map, |grant| {
            let identity = IdentityHeaders { key: key.key.id.to_string(), ..self.identity(&user.id, &user.identities(), &grant) };
            Evaluation::new(in_force.version, grant, identity)
        });
        let restricted = Arc::new(restricted);
        key.grant.store(Some(Arc::clone(&restricted)));
        restricted
    }
}
