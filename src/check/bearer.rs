//! Authenticates JWTs, and evaluates the role map for their claims.

use std::{slice, sync::Arc};

use super::{AuthenticatedCredential, AuthenticatedPrincipal, AuthenticationError, AuthenticationFailure, Checker};
use crate::{
    bearer_tokens::{BearerError, BearerPrincipal, Jwt},
    principal::Evaluation,
    role_map::CurrentRoleMap,
};

impl Checker {
    pub(super) async fn authenticate_jwt(
        &self,
        in_force: &CurrentRoleMap,
        jwt: Jwt<'_>,
    ) -> Result<AuthenticatedPrincipal, AuthenticationError> {
        match self.tokens.authenticate(jwt).await {
            Ok(bearer) => Ok(AuthenticatedPrincipal {
                evaluation: self.evaluate_bearer(in_force, &bearer),
                credential: AuthenticatedCredential::Jwt(bearer),
            }),
            Err(BearerError::Refused(reason)) => Err(AuthenticationFailure::Token(reason).into()),
            Err(BearerError::Unavailable(cause)) => Err(AuthenticationError::Unavailable(cause.into())),
        }
    }

    /// Evaluates the role map for the claims of the token. The claims of the user's last sign-in only apply to their
    /// sessions and API keys. The result is cached with the token until the role map or the user changes.
    fn evaluate_bearer(&self, in_force: &CurrentRoleMap, bearer: &BearerPrincipal) -> Arc<Evaluation> {
        if let Some(evaluation) = bearer.evaluation(in_force.version) {
            return evaluation;
        }
        let identities = slice::from_ref(bearer.identity());
        let grant = match bearer.is_workload() {
            true => in_force.map.evaluate_workload(identities),
            false => in_force.map.grant(identities, bearer.pinned()),
        };
        let identity = self.identity(bearer.user(), identities, &grant);
        let evaluation = Arc::new(Evaluation::new(in_force.version, grant, identity));
        bearer.cache_evaluation(&evaluation);
        evaluation
    }
}
