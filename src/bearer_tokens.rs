//! From a bearer token to who it stands for: tokens of configured issuers, verified here by their keys and
//! cache until they expire, so that in steady state nothing leaves the process.

mod cache;
mod issuer;
mod presented;
mod settings;
mod verification;

pub use cache::VerifiedToken;
pub use issuer::Issuer;
pub use presented::Jwt;
pub use settings::{IssuerAddress, IssuerKind, IssuerSettings, RequiredClaim, Review, UnregisteredSubjects};
pub use verification::TokenRefusal;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use prometheus::IntCounter;

use crate::{
    clock::Clock,
    jwt::unverified_issuer,
    kubernetes::TokenAuthorityError,
    metrics::{Metrics, TokenResult},
    principal::{Evaluation, IdentityClaims, PinnedGrant},
    principal_cache::{CachedUser, LookupError, Principals},
    secret::Digest,
};
use cache::TokenCache;
use issuer::IssuerKeySet;

/// How far an issuer's clock and ours may be apart.
pub const LEEWAY: Duration = Duration::from_secs(60);

/// Who a token stands for.
pub struct BearerPrincipal {
    token: Arc<VerifiedToken>,
    /// The user who has signed in with the token's issuer and subject.
    user: Option<Arc<CachedUser>>,
}

/// Why a token stands for nobody, or nobody can say.
#[derive(Debug, thiserror::Error)]
pub enum BearerError {
    #[error(transparent)]
    Refused(#[from] TokenRefusal),
    #[error(transparent)]
    Unavailable(#[from] VerificationOutage),
}

/// Why nobody can say who a token stands for. Never to be taken for a bad token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VerificationOutage {
    #[error("the keys of token issuer {0} have not been fetched yet")]
    NoKeys(String),
    #[error("the token can't be reviewed: {0}")]
    Review(#[from] TokenAuthorityError),
    #[error("the token can't be reviewed: the API server did not answer a moment ago")]
    ReviewPaused,
    #[error("whether the token is a known user's can't be said: {0}")]
    User(#[from] LookupError),
}

/// The configured issuers, and the tokens of theirs that were verified lately.
pub struct BearerTokens {
    issuers: Vec<Arc<Issuer>>,
    cache: TokenCache,
    principals: Arc<Principals>,
    clock: Arc<dyn Clock>,
    /// For tokens that name none of the issuers.
    unknown_issuer_checks: Vec<IntCounter>,
}

impl BearerTokens {
    pub fn new(issuers: Vec<Arc<Issuer>>, principals: Arc<Principals>, clock: Arc<dyn Clock>, metrics: &Metrics) -> Self {
        Self { issuers, cache: TokenCache::new(), principals, clock, unknown_issuer_checks: metrics.token_checks("") }
    }

    pub fn issuers(&self) -> impl Iterator<Item = &Arc<Issuer>> {
        self.issuers.iter()
    }

    /// Verifies a JWT and finds its user or workload.
    pub async fn authenticate(&self, jwt: Jwt<'_>) -> Result<BearerPrincipal, BearerError> {
        let token = jwt.expose();
        let digest = Digest::of(token.as_bytes());
        if let Some(known) = self.cache.get(&digest, self.clock.now()) {
            let bearer = self.resolve_principal(&known, token, digest).await;
            known.issuer().count(TokenResult::of(&bearer, TokenResult::Remembered));
            return bearer;
        }
        let issuer = match self.find_issuer(token).await {
            Ok(issuer) => issuer,
            Err(error) => {
                let error = Err(error);
                self.unknown_issuer_checks[TokenResult::of(&error, TokenResult::Verified) as usize].inc();
                return error;
            }
        };
        let bearer = self.verify(&issuer, token, digest).await;
        issuer.count(TokenResult::of(&bearer, TokenResult::Verified));
        bearer
    }

    async fn verify(&self, issuer: &Arc<Issuer>, token: &str, digest: Digest) -> Result<BearerPrincipal, BearerError> {
        let (keys, said) = issuer.verify(token, self.clock.now()).await?;
        let verified = Arc::new(VerifiedToken::new(Arc::clone(issuer), keys, said, token.len()));
        self.cache.insert(digest, &verified);
        self.resolve_principal(&verified, token, digest).await
    }

    /// What may change while the token stays as it is: what the API server says of it, and who its subject is.
    async fn resolve_principal(
        &self,
        token: &Arc<VerifiedToken>,
        text: &str,
        digest: Digest,
    ) -> Result<BearerPrincipal, BearerError> {
        token.issuer().review(token, text, digest).await?;
        let user = if token.issuer().may_have_registered_users() {
            self.principals.user_of_identity(token.identity_digest()).await.map_err(VerificationOutage::from)?
        } else {
            None
        };
        match user {
            Some(user) if user.disabled => Err(TokenRefusal::Disabled.into()),
            user => Ok(BearerPrincipal { token: Arc::clone(token), user }),
        }
    }

    /// Whose token it says that it is. The API server's name is known only once it has been asked.
    async fn find_issuer(&self, token: &str) -> Result<Arc<Issuer>, BearerError> {
        let named = unverified_issuer(token).map_err(TokenRefusal::from)?;
        if let Some(issuer) = self.issuers.iter().find(|issuer| issuer.name() == Some(&named)) {
            return Ok(Arc::clone(issuer));
        }
        for issuer in self.issuers.iter().filter(|issuer| issuer.name().is_none()) {
            if issuer.keys().await?.issuer == named {
                return Ok(Arc::clone(issuer));
            }
        }
        Err(TokenRefusal::UnknownIssuer.into())
    }
}

impl BearerPrincipal {
    /// The user's id, or the issuer's with the subject that it has named.
    pub fn user(&self) -> &str {
        self.user.as_ref().map_or(self.token.user(), |user| &user.id)
    }

    pub fn identity(&self) -> &IdentityClaims {
        self.token.identity()
    }

    /// What a known user was granted for good.
    pub fn pinned(&self) -> Option<&PinnedGrant> {
        self.user.as_ref()?.pinned.as_ref()
    }

    /// When the token says that it ends; beyond it only clocks may differ.
    pub fn expires(&self) -> Timestamp {
        self.token.expires()
    }

    /// Whether it is a user's, whom the default role is for.
    pub fn is_workload(&self) -> bool {
        self.user.is_none() && self.token.issuer().unregistered_subjects() == UnregisteredSubjects::Workloads
    }

    /// What the role map of this version said of the same token and user.
    pub fn evaluation(&self, map_version: u64) -> Option<Arc<Evaluation>> {
        self.token.evaluation(self.user.as_ref(), map_version)
    }

    pub fn cache_evaluation(&self, evaluation: &Arc<Evaluation>) {
        self.token.cache_evaluation(self.user.clone(), Arc::clone(evaluation));
    }
}

impl TokenResult {
    fn of(bearer: &Result<BearerPrincipal, BearerError>, good: Self) -> Self {
        match bearer {
            Ok(_) => good,
            Err(BearerError::Refused(_)) => Self::Refused,
            Err(BearerError::Unavailable(_)) => Self::Unavailable,
        }
    }
}
