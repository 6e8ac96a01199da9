//! Authenticates bearer JWTs issued by configured issuers.
//!
//! Verified tokens are cached until they expire, so that in steady state no check uses the network.

mod cache;
mod issuer;
mod settings;
#[cfg(test)]
pub mod test_token;
mod unverified_jwt;
mod verification;

pub use cache::CachedToken;
pub use issuer::Issuer;
pub use settings::{
    AudienceClaim, IssuerAddress, IssuerKind, IssuerSettings, KubernetesSettings, RequiredClaim, Review, UnregisteredSubjects,
};
pub use unverified_jwt::Jwt;
pub use verification::TokenRefusal;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use prometheus::IntCounter;

use crate::{
    clock::Clock,
    jwt::unverified_issuer,
    kubernetes::TokenAuthorityError,
    metrics::{Metrics, TokenResult},
    principal::{Evaluation, IdentityClaims},
    principal_cache::{CachedUser, LookupError, Principals},
    secret::Digest,
};
use cache::TokenCache;
use issuer::IssuerKeySet;

/// The maximum difference between an issuer's clock and this pod's.
pub const LEEWAY: Duration = Duration::from_secs(60);

/// The authenticated principal of a bearer token.
pub struct BearerPrincipal {
    token: Arc<CachedToken>,
    /// The user who has signed in with the token's issuer, and its subject or user claim.
    user: Option<Arc<CachedUser>>,
}

/// The reason why a token was not authenticated.
#[derive(Debug, thiserror::Error)]
pub enum BearerError {
    #[error(transparent)]
    Refused(#[from] TokenRefusal),
    #[error(transparent)]
    Unavailable(#[from] VerificationOutage),
}

/// The reason why a token cannot be verified now. The token itself may be valid.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VerificationOutage {
    #[error("the keys of token issuer {0} have not been fetched, or are older than keys_max_age")]
    NoKeys(String),
    #[error("the token can't be reviewed: {0}")]
    Review(#[from] TokenAuthorityError),
    #[error("the token can't be reviewed: reviews are paused after a failure of the API server")]
    ReviewPaused,
    #[error("the token's user can't be looked up: {0}")]
    User(#[from] LookupError),
}

/// The configured issuers and a cache of their verified tokens.
pub struct BearerTokens {
    issuers: Vec<Arc<Issuer>>,
    cache: TokenCache,
    principals: Arc<Principals>,
    clock: Arc<dyn Clock>,
    /// Counts tokens that name none of the issuers.
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
        if let Some(cached) = self.cache.get(&digest, self.clock.now()) {
            let bearer = self.resolve_principal(&cached, token, digest).await;
            cached.issuer().count(TokenResult::of(&bearer, TokenResult::Remembered));
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
        let (keys, claims) = issuer.verify(token, self.clock.now()).await?;
        let verified = Arc::new(CachedToken::new(Arc::clone(issuer), keys, claims, token.len()));
        self.cache.insert(digest, &verified);
        self.resolve_principal(&verified, token, digest).await
    }

    /// Checks what may change after the verification: the review by the API server, and the user of the subject.
    async fn resolve_principal(
        &self,
        token: &Arc<CachedToken>,
        text: &str,
        digest: Digest,
    ) -> Result<BearerPrincipal, BearerError> {
        token.issuer().review(token, text, digest).await?;
        match self.find_user(token).await.map_err(VerificationOutage::from)? {
            Some(user) if user.disabled => Err(TokenRefusal::Disabled.into()),
            user => Ok(BearerPrincipal { token: Arc::clone(token), user }),
        }
    }

    /// Finds the user by the token's subject, then by the issuer's user claim.
    async fn find_user(&self, token: &CachedToken) -> Result<Option<Arc<CachedUser>>, LookupError> {
        if !token.issuer().can_have_registered_users() {
            return Ok(None);
        }
        let by_subject = self.principals.user_of_identity(token.identity_digest()).await?;
        match token.user_claim_digest() {
            Some(claim) if by_subject.is_none() => self.principals.user_of_identity(claim).await,
            _ => Ok(by_subject),
        }
    }

    /// Finds the issuer by the unverified `iss`. The API server's issuer name is known only after its keys are fetched.
    async fn find_issuer(&self, token: &str) -> Result<Arc<Issuer>, BearerError> {
        let named = unverified_issuer(token).map_err(TokenRefusal::from)?;
        if let Some(issuer) = self.issuers.iter().find(|issuer| issuer.has_name(&named)) {
            return Ok(Arc::clone(issuer));
        }
        for issuer in self.issuers.iter().filter(|issuer| !issuer.is_name_known()) {
            if issuer.keys().await?.issuer == named {
                return Ok(Arc::clone(issuer));
            }
        }
        Err(TokenRefusal::UnknownIssuer.into())
    }
}

impl BearerPrincipal {
    /// Returns the user's id, or issuer id and subject if the subject is unregistered.
    pub fn user(&self) -> &str {
        self.user.as_ref().map_or(self.token.user(), |user| &user.id)
    }

    pub fn identity(&self) -> &IdentityClaims {
        self.token.identity()
    }

    /// The digest of the claim that identifies the token's user, if its issuer has one.
    pub fn user_claim_digest(&self) -> Option<Digest> {
        self.token.user_claim_digest()
    }

    /// The user who has signed in with the token's identity; `None` for an unregistered subject.
    pub fn registered_user(&self) -> Option<&Arc<CachedUser>> {
        self.user.as_ref()
    }

    /// The time at which the token was issued, if it has `iat`.
    pub fn issued(&self) -> Option<Timestamp> {
        self.token.issued()
    }

    /// Returns the expiry of the token, without leeway.
    pub fn expires(&self) -> Timestamp {
        self.token.expires()
    }

    /// Returns the kind of an unregistered subject; `None` if the token belongs to a user.
    pub fn unregistered_subject(&self) -> Option<UnregisteredSubjects> {
        self.user.is_none().then(|| self.token.issuer().unregistered_subjects())
    }

    /// Returns the cached evaluation of this token and user by this version of the role map, unless it is stale.
    pub fn evaluation(&self, map_version: u64, now: Timestamp) -> Option<Arc<Evaluation>> {
        self.token.evaluation(self.user.as_ref()).filter(|evaluation| evaluation.is_current(map_version, now))
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
