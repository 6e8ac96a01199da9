//! Authenticates JWTs, and evaluates the role map for their claims.

use std::{slice, sync::Arc};

use super::{AuthenticatedCredential, AuthenticatedPrincipal, AuthenticationError, Checker, Unauthenticated};
use crate::{
    principal::Judged,
    roles::InForce,
    tokens::{Bearer, Jwt, NotVerified},
};

impl Checker {
    pub(super) async fn by_jwt(&self, in_force: &InForce, jwt: Jwt<'_>) -> Result<AuthenticatedPrincipal, AuthenticationError> {
        match self.tokens.bearer(jwt).await {
            Ok(bearer) => Ok(AuthenticatedPrincipal {
                judged: self.judge_bearer(in_force, &bearer),
                credential: AuthenticatedCredential::Jwt(bearer),
            }),
            Err(NotVerified::Refused(why)) => Err(Unauthenticated::Token(why).into()),
            Err(NotVerified::Unavailable(why)) => Err(AuthenticationError::Unavailable(why.into())),
        }
    }

    /// Remembered with the token until the map or the person changes. The claims are the token's own: what a
    /// person's last sign-in said counts for their sessions.
    fn judge_bearer(&self, in_force: &InForce, bearer: &Bearer) -> Arc<Judged> {
        if let Some(judged) = bearer.judged(in_force.version) {
            return judged;
        }
        let identities = slice::from_ref(bearer.identity());
        let grant = match bearer.is_workload() {
            true => in_force.map.judge_workload(identities),
            false => in_force.map.grant(identities, bearer.pinned()),
        };
        let identity = self.identity(bearer.user(), identities, &grant);
        let judged = Arc::new(Judged::new(in_force.version, grant, identity));
        bearer.remember(&judged);
        judged
    }
}
