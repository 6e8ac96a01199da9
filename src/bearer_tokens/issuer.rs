//! A token issuer: its keys, which are refreshed in the background, and the reviews of its tokens by the API server.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use prometheus::IntCounter;

use super::{
    BearerError, CachedToken, TokenRefusal, VerificationOutage,
    settings::{IssuerAddress, IssuerSettings, KubernetesSettings, Review, UnregisteredSubjects},
    verification::{self, IssuerExpectation, TokenClaims},
};
use crate::{
    clock::Clock,
    fetch::{FetchedValue, RefreshingValue, SingleFlight},
    jwt::{KeySet, KeySetError},
    kubernetes::{ReviewResult, TokenAuthority, TokenAuthorityError},
    metrics::{Metrics, Outcome, ReviewOutcome, TokenResult},
    oidc::{FetchError, HttpClientError, IssuerKeys},
    principal::IdentityClaims,
    secret::Digest,
    users::Identity,
};

/// The maximum age of a rejection by the API server, which also rejects valid tokens when it has internal errors.
const REJECTION_MAX_AGE: Duration = Duration::from_secs(5);

/// The pause of all reviews after one that failed.
const REVIEW_PAUSE: Duration = Duration::from_secs(1);

pub struct Issuer {
    config: IssuerSettings,
    source: KeySource,
    keys: RefreshingValue<IssuerKeySet>,
    reviews: Reviews,
    checks: Vec<IntCounter>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

/// The source of the keys.
enum KeySource {
    Web { issuer: String, keys: IssuerKeys, unregistered_subjects: UnregisteredSubjects },
    ApiServer { authority: TokenAuthority, settings: KubernetesSettings },
}

/// An issuer's name and keys from one fetch.
#[derive(PartialEq)]
pub(super) struct IssuerKeySet {
    pub issuer: String,
    set: KeySet,
}

#[derive(Default)]
struct Reviews {
    in_flight: Arc<SingleFlight<Result<ReviewResult, TokenAuthorityError>>>,
    failed: Mutex<Option<Instant>>,
}

#[derive(Debug, thiserror::Error)]
enum FetchKeysError {
    #[error(transparent)]
    Web(#[from] FetchError),
    #[error(transparent)]
    ApiServer(#[from] TokenAuthorityError),
    #[error(transparent)]
    KeySet(#[from] KeySetError),
    #[error("`audiences` contains the API server's issuer {0}, which is the audience of the default token of every pod")]
    OwnAudience(String),
}

impl Issuer {
    /// An issuer that publishes its keys at a URL.
    pub fn with_key_url(
        config: IssuerSettings,
        address: &IssuerAddress,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, HttpClientError> {
        let IssuerAddress { issuer, jwks_uri, ca_file, proxy, unregistered_subjects } = address.clone();
        let keys = IssuerKeys::new(issuer.clone(), jwks_uri, ca_file.as_deref(), proxy.as_ref())?;
        Ok(Self::new(config, KeySource::Web { issuer, keys, unregistered_subjects }, clock, metrics))
    }

    pub fn with_api_server(
        config: IssuerSettings,
        settings: KubernetesSettings,
        authority: TokenAuthority,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self::new(config, KeySource::ApiServer { authority, settings }, clock, metrics)
    }

    fn new(config: IssuerSettings, source: KeySource, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        metrics.token_issuer(&config.id, config.keys_max_age, None);
        let keys = RefreshingValue::new(config.keys_max_age, Arc::clone(&clock));
        let (reviews, checks) = (Reviews::default(), metrics.token_checks(&config.id));
        Self { config, source, keys, reviews, checks, clock, metrics }
    }

    pub fn id(&self) -> &str {
        &self.config.id
    }

    /// Fetches the keys now, periodically, and when a token has an unknown key id. The last fetched keys stay in use while
    /// fetches fail, up to `keys_max_age`.
    pub async fn keep_refreshing(self: Arc<Self>, every: Duration) {
        let failed = |error: FetchKeysError, retry_in| {
            self.metrics.token_issuer_refreshed(self.id(), Outcome::Error);
            let can_verify = self.keys.current().is_some();
            tracing::warn!(token_issuer = self.id(), %error, ?retry_in, can_verify, "token issuer keys not fetched");
        };
        // If the keys are the same, cached tokens stay valid.
        let same = |known: &IssuerKeySet, fetched: &IssuerKeySet| known == fetched;
        self.keys.refresh_unless_same(every, || self.fetch(), same, failed).await;
    }

    /// Waits until the first fetch has succeeded or failed.
    pub async fn wait_for_first_attempt(&self) {
        self.keys.wait_for_first_attempt().await;
    }

    pub(super) fn claim_source(&self) -> &str {
        self.config.claim_source()
    }

    /// True if its tokens may have this `iss`. The API server's own name is known only after its keys were fetched.
    pub(super) fn has_name(&self, iss: &str) -> bool {
        match &self.source {
            KeySource::Web { issuer, .. } => issuer == iss,
            KeySource::ApiServer { settings, .. } => {
                let is_own = self.keys.last().is_some_and(|keys| keys.issuer == iss);
                is_own || settings.additional_issuers.iter().any(|additional| additional == iss)
            }
        }
    }

    pub(super) fn is_name_known(&self) -> bool {
        matches!(self.source, KeySource::Web { .. }) || self.keys.last().is_some()
    }

    pub(super) fn unregistered_subjects(&self) -> UnregisteredSubjects {
        match self.source {
            KeySource::Web { unregistered_subjects, .. } => unregistered_subjects,
            KeySource::ApiServer { .. } => UnregisteredSubjects::Workloads,
        }
    }

    /// True if its subjects may have signed in to Vestibule.
    pub(super) fn can_have_registered_users(&self) -> bool {
        matches!(self.source, KeySource::Web { .. })
    }

    /// Returns the index digest of the claim that identifies the user of a token.
    pub(super) fn user_claim_digest(&self, token: &IdentityClaims) -> Option<Digest> {
        let claim = self.config.user_claim.as_ref()?;
        let value = claim.single_value(token.access_token.as_ref()?)?;
        Some(Identity::user_claim_digest(&token.issuer, &claim.to_string(), &value))
    }

    pub(super) fn count(&self, result: TokenResult) {
        self.checks[result as usize].inc();
    }

    /// True if these keys are those of the last fetch, and not older than `keys_max_age`.
    pub(super) fn has_keys(&self, keys: &Arc<IssuerKeySet>) -> bool {
        self.keys.current().is_some_and(|known| Arc::ptr_eq(&known, keys))
    }

    /// Returns the last fetched keys. If there are none, or if they are older than `keys_max_age`, it waits for a fetch with a
    /// deadline.
    pub(super) async fn keys(&self) -> Result<Arc<IssuerKeySet>, VerificationOutage> {
        let known = match self.keys.current() {
            Some(known) => Some(known),
            None => self.keys.get_or_fetch().await,
        };
        known.ok_or_else(|| VerificationOutage::NoKeys(self.id().to_owned()))
    }

    pub(super) async fn verify(&self, token: &str, now: Timestamp) -> Result<(Arc<IssuerKeySet>, TokenClaims), BearerError> {
        let keys = self.keys().await?;
        match self.verify_by(&keys, token, now) {
            // The keys may have been rotated since the last fetch, even with the same id or without an id.
            Err(TokenRefusal::Jwt(refused)) if refused.can_be_fixed_by_newer_keys() => {
                match self.keys.fetch_newer_than(&keys).await {
                    Some(newer) => Ok((Arc::clone(&newer), self.verify_by(&newer, token, now)?)),
                    None => Err(TokenRefusal::from(refused).into()),
                }
            }
            result => Ok((keys, result?)),
        }
    }

    /// Reviews the token with the API server, if that is configured and the last review is too old.
    pub(super) async fn review(&self, token: &Arc<CachedToken>, text: &str, digest: Digest) -> Result<(), BearerError> {
        let KeySource::ApiServer { authority, settings: KubernetesSettings { review: Review::Every(every), .. } } = &self.source
        else {
            return Ok(());
        };
        let now = self.clock.monotonic();
        let age = |at| now.saturating_duration_since(at);
        let result = match token.last_review() {
            Some((ReviewResult::Valid, at)) if age(at) <= *every => ReviewResult::Valid,
            Some((ReviewResult::Rejected, at)) if age(at) <= REJECTION_MAX_AGE => ReviewResult::Rejected,
            _ if self.reviews.are_paused(now) => return Err(VerificationOutage::ReviewPaused.into()),
            _ => {
                let result = self.send_review(authority, text, digest).await;
                self.metrics.token_reviewed(self.id(), ReviewOutcome::from(&result));
                if result.is_err() {
                    self.reviews.record_failure(self.clock.monotonic());
                }
                let result = result.map_err(VerificationOutage::from)?;
                // The time before the request, so that the maximum age is never exceeded.
                token.record_review(result, now);
                result
            }
        };
        if result == ReviewResult::Valid { Ok(()) } else { Err(TokenRefusal::Reviewed.into()) }
    }

    async fn send_review(
        &self,
        authority: &TokenAuthority,
        text: &str,
        digest: Digest,
    ) -> Result<ReviewResult, TokenAuthorityError> {
        let (authority, text, audiences) = (authority.clone(), text.to_owned(), self.config.audiences.clone());
        let request = async move { authority.review(&text, &audiences).await };
        let shared_review = self.reviews.in_flight.join_or_start(digest, 0, || Some(request));
        let answer = match shared_review {
            Some(shared_review) => shared_review.await,
            None => None,
        };
        answer.unwrap_or_else(|| Err(TokenAuthorityError::Unreachable("the review was canceled".to_owned())))
    }

    fn verify_by(&self, keys: &IssuerKeySet, token: &str, now: Timestamp) -> Result<TokenClaims, TokenRefusal> {
        verification::verify(token, &IssuerExpectation::new(&self.config, &keys.issuer), &keys.set, now)
    }

    async fn fetch(&self) -> Result<FetchedValue<IssuerKeySet>, FetchKeysError> {
        let began = self.clock.now();
        let fetched = self.fetch_from_source().await?;
        let count = fetched.value.set.len();
        if self.keys.current().is_none() {
            let issuer = &fetched.value.issuer;
            tracing::info!(token_issuer = self.id(), issuer, keys = count, "token issuer keys fetched");
        }
        self.metrics.token_issuer_refreshed(self.id(), Outcome::Ok);
        self.metrics.token_issuer(self.id(), self.config.keys_max_age, Some((count, began.as_second())));
        Ok(fetched)
    }

    async fn fetch_from_source(&self) -> Result<FetchedValue<IssuerKeySet>, FetchKeysError> {
        match &self.source {
            KeySource::Web { issuer, keys, .. } => {
                let FetchedValue { value: set, fresh_for } = keys.fetch().await?;
                Ok(FetchedValue { value: IssuerKeySet { issuer: issuer.clone(), set }, fresh_for })
            }
            KeySource::ApiServer { authority, .. } => {
                let (issuer, document) = authority.issuer_and_keys().await?;
                if self.config.audiences.contains(&issuer) {
                    return Err(FetchKeysError::OwnAudience(issuer));
                }
                let value = IssuerKeySet { issuer, set: KeySet::parse(document.as_bytes())? };
                // Every API server declares one hour, which is the interval.
                Ok(FetchedValue { value, fresh_for: None })
            }
        }
    }
}

impl Reviews {
    fn are_paused(&self, now: Instant) -> bool {
        let failed = *self.failed.lock().expect("no code that holds this lock panics");
        failed.is_some_and(|failed| now.saturating_duration_since(failed) < REVIEW_PAUSE)
    }

    fn record_failure(&self, now: Instant) {
        *self.failed.lock().expect("no code that holds this lock panics") = Some(now);
    }
}

impl From<&Result<ReviewResult, TokenAuthorityError>> for ReviewOutcome {
    fn from(result: &Result<ReviewResult, TokenAuthorityError>) -> Self {
        match result {
            Ok(ReviewResult::Valid) => Self::Good,
            Ok(ReviewResult::Rejected) => Self::Refused,
            Err(_) => Self::Error,
        }
    }
}
