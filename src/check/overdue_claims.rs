//! Waits for a refresh of claims that have reached their maximum age, as for a cache miss.

use std::{sync::Arc, time::Duration};

use super::{AuthenticatedPrincipal, AuthenticationError, Checker, Credential, decision::UnavailableCause};
use crate::{
    claims_refresh::RefreshState,
    principal_cache::{CachedSession, CachedUser},
    role_map::ActiveRoleMap,
    secret::Digest,
};

/// The longest wait of a check for a refresh. The refresh itself goes on.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// The pause before the cache is read again, while another pod refreshes the claims.
const PAUSE: Duration = Duration::from_millis(50);

/// The result of an attempt to authenticate a credential.
pub(super) enum Authentication {
    Done(AuthenticatedPrincipal),
    /// The provider has to confirm the claims first.
    Overdue(OverdueClaims),
}

/// Claims that do not count until a refresh has renewed them.
pub(super) struct OverdueClaims {
    pub user: Arc<CachedUser>,
    /// The session that was presented.
    pub session: Option<(Arc<CachedSession>, Digest)>,
}

impl From<AuthenticatedPrincipal> for Authentication {
    fn from(principal: AuthenticatedPrincipal) -> Self {
        Self::Done(principal)
    }
}

impl From<OverdueClaims> for Authentication {
    fn from(claims: OverdueClaims) -> Self {
        Self::Overdue(claims)
    }
}

impl Checker {
    /// Refreshes the claims and authenticates the credential again.
    pub(super) async fn wait_for_refresh(
        &self,
        role_map: &ActiveRoleMap,
        credential: Credential<'_>,
        mut claims: OverdueClaims,
    ) -> Result<AuthenticatedPrincipal, AuthenticationError> {
        let overdue = || AuthenticationError::Unavailable(UnavailableCause::ClaimsOverdue);
        let authenticated = async {
            loop {
                let session = claims.session.as_ref().map(|(entry, digest)| (entry, *digest));
                if self.refresher.request_overdue(&claims.user, session) == RefreshState::Unavailable {
                    return Err(overdue());
                }
                tokio::time::sleep(PAUSE).await;
                match self.try_authenticate(role_map, credential).await? {
                    Authentication::Done(principal) => return Ok(principal),
                    Authentication::Overdue(still) => claims = still,
                }
            }
        };
        tokio::time::timeout(LONGEST_WAIT, authenticated).await.unwrap_or_else(|_| Err(overdue()))
    }
}
