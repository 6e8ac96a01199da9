//! From a bearer token to who it stands for: tokens of configured issuers, verified here by their keys and
//! remembered until they expire, so that in steady state nothing leaves the process.

mod cache;
mod issuer;
mod presented;
mod settings;
mod verification;

pub use cache::Token;
pub use issuer::Issuer;
pub use presented::Jwt;
pub use settings::{IssuerAddress, IssuerKind, IssuerSettings, RequiredClaim, Review, UnregisteredSubjects};
pub use verification::Refused;

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
use cache::Remembered;
use issuer::Keys;

/// How far an issuer's clock and ours may be apart.
pub const LEEWAY: Duration = Duration::from_secs(60);

/// Who a token stands for.
pub struct Bearer {
    token: Arc<Token>,
    /// The user who has signed in with the token's issuer and subject.
    person: Option<Arc<CachedUser>>,
}

/// Why a token stands for nobody, or nobody can say.
#[derive(Debug, thiserror::Error)]
pub enum NotVerified {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why nobody can say who a token stands for. Never to be taken for a bad token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unavailable {
    #[error("the keys of token issuer {0} have not been fetched yet")]
    NoKeys(String),
    #[error("the token can't be reviewed: {0}")]
    Review(#[from] TokenAuthorityError),
    #[error("the token can't be reviewed: the API server did not answer a moment ago")]
    ReviewRests,
    #[error("whether the token is a known person's can't be said: {0}")]
    Person(#[from] LookupError),
}

/// The configured issuers, and the tokens of theirs that were verified lately.
pub struct Tokens {
    issuers: Vec<Arc<Issuer>>,
    remembered: Remembered,
    principals: Arc<Principals>,
    clock: Arc<dyn Clock>,
    /// For tokens that name none of the issuers.
    of_nobody: Vec<IntCounter>,
}

impl Tokens {
    pub fn new(issuers: Vec<Arc<Issuer>>, principals: Arc<Principals>, clock: Arc<dyn Clock>, metrics: &Metrics) -> Self {
        Self { issuers, remembered: Remembered::new(), principals, clock, of_nobody: metrics.token_checks("") }
    }

    pub fn issuers(&self) -> impl Iterator<Item = &Arc<Issuer>> {
        self.issuers.iter()
    }

    /// Verifies a JWT and finds its user or workload.
    pub async fn bearer(&self, jwt: Jwt<'_>) -> Result<Bearer, NotVerified> {
        let token = jwt.expose();
        let digest = Digest::of(token.as_bytes());
        if let Some(known) = self.remembered.get(&digest, self.clock.now()) {
            let bearer = self.stands_for(&known, token, digest).await;
            known.issuer().count(TokenResult::of(&bearer, TokenResult::Remembered));
            return bearer;
        }
        let issuer = match self.issuer_of(token).await {
            Ok(issuer) => issuer,
            Err(error) => {
                let error = Err(error);
                self.of_nobody[TokenResult::of(&error, TokenResult::Verified) as usize].inc();
                return error;
            }
        };
        let bearer = self.verify(&issuer, token, digest).await;
        issuer.count(TokenResult::of(&bearer, TokenResult::Verified));
        bearer
    }

    async fn verify(&self, issuer: &Arc<Issuer>, token: &str, digest: Digest) -> Result<Bearer, NotVerified> {
        let (keys, said) = issuer.verify(token, self.clock.now()).await?;
        let verified = Arc::new(Token::new(Arc::clone(issuer), keys, said, token.len()));
        self.remembered.insert(digest, &verified);
        self.stands_for(&verified, token, digest).await
    }

    /// What may change while the token stays as it is: what the API server says of it, and who its subject is.
    async fn stands_for(&self, token: &Arc<Token>, text: &str, digest: Digest) -> Result<Bearer, NotVerified> {
        token.issuer().review(token, text, digest).await?;
        let person = if token.issuer().knows_people() {
            self.principals.user_of_identity(token.identity_digest()).await.map_err(Unavailable::from)?
        } else {
            None
        };
        match person {
            Some(person) if person.disabled => Err(Refused::Disabled.into()),
            person => Ok(Bearer { token: Arc::clone(token), person }),
        }
    }

    /// Whose token it says that it is. The API server's name is known only once it has been asked.
    async fn issuer_of(&self, token: &str) -> Result<Arc<Issuer>, NotVerified> {
        let named = unverified_issuer(token).map_err(Refused::from)?;
        if let Some(issuer) = self.issuers.iter().find(|issuer| issuer.name() == Some(&named)) {
            return Ok(Arc::clone(issuer));
        }
        for issuer in self.issuers.iter().filter(|issuer| issuer.name().is_none()) {
            if issuer.keys().await?.issuer == named {
                return Ok(Arc::clone(issuer));
            }
        }
        Err(Refused::UnknownIssuer.into())
    }
}

impl Bearer {
    /// The user's id, or the issuer's with the subject that it has named.
    pub fn user(&self) -> &str {
        self.person.as_ref().map_or(self.token.user(), |person| &person.id)
    }

    pub fn identity(&self) -> &IdentityClaims {
        self.token.identity()
    }

    /// What a known person was granted for good.
    pub fn pinned(&self) -> Option<&PinnedGrant> {
        self.person.as_ref()?.pinned.as_ref()
    }

    /// When the token says that it ends; beyond it only clocks may differ.
    pub fn expires(&self) -> Timestamp {
        self.token.expires()
    }

    /// Whether it is a person's, whom the default role is for.
    pub fn is_workload(&self) -> bool {
        self.person.is_none() && self.token.issuer().unregistered_subjects() == UnregisteredSubjects::Workloads
    }

    /// What the role map of this version said of the same token and person.
    pub fn evaluation(&self, map_version: u64) -> Option<Arc<Evaluation>> {
        self.token.evaluation(self.person.as_ref(), map_version)
    }

    pub fn remember(&self, evaluation: &Arc<Evaluation>) {
        self.token.remember(self.person.clone(), Arc::clone(evaluation));
    }
}

impl TokenResult {
    fn of(bearer: &Result<Bearer, NotVerified>, good: Self) -> Self {
        match bearer {
            Ok(_) => good,
            Err(NotVerified::Refused(_)) => Self::Refused,
            Err(NotVerified::Unavailable(_)) => Self::Unavailable,
        }
    }
}
