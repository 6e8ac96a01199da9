//! One issuer: its keys, kept fresh in the background, what is expected of its tokens, and the API server's word
//! about them.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use prometheus::IntCounter;

use super::{
    NotVerified, Refused, Token, Unavailable,
    settings::{IssuerAddress, IssuerSettings, Review, UnregisteredSubjects},
    verification::{self, Expected, Said},
};
use crate::{
    clock::Clock,
    jwt::{Algorithm, KeySet, KeySetError},
    kubernetes::{ReviewResult, TokenAuthority, TokenAuthorityError},
    metrics::{Metrics, Outcome, ReviewOutcome, TokenResult},
    oidc::{FetchError, HttpClientError, IssuerKeys},
    refreshing::RefreshingValue,
    secret::Digest,
    single_flight::SingleFlight,
};

/// How long it holds that the API server refuses a token: it tells its own troubles in the same way.
const REFUSAL_HOLDS: Duration = Duration::from_secs(5);

/// After a review that failed, the API server is not asked again for so long.
const REVIEWS_REST: Duration = Duration::from_secs(1);

pub struct Issuer {
    config: IssuerSettings,
    source: Source,
    algorithms: Vec<Algorithm>,
    keys: RefreshingValue<Keys>,
    reviews: Reviews,
    checks: Vec<IntCounter>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

/// Where keys come from.
enum Source {
    Web { issuer: String, keys: IssuerKeys, unregistered_subjects: UnregisteredSubjects },
    ApiServer { authority: TokenAuthority, review: Review },
}

/// An issuer's name and keys as they were last fetched.
#[derive(PartialEq)]
pub(super) struct Keys {
    pub issuer: String,
    set: KeySet,
}

#[derive(Default)]
struct Reviews {
    under_way: Arc<SingleFlight<Result<ReviewResult, TokenAuthorityError>>>,
    failed: Mutex<Option<Instant>>,
}

#[derive(Debug, thiserror::Error)]
enum KeysError {
    #[error(transparent)]
    Web(#[from] FetchError),
    #[error(transparent)]
    ApiServer(#[from] TokenAuthorityError),
    #[error(transparent)]
    KeySet(#[from] KeySetError),
    #[error("the API server's name, {0}, is among `audiences`: every pod's ordinary token is for it")]
    OwnAudience(String),
}

impl Issuer {
    /// One with its keys on the web.
    pub fn on_the_web(
        config: IssuerSettings,
        address: &IssuerAddress,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, HttpClientError> {
        let IssuerAddress { issuer, jwks_uri, ca_file, unregistered_subjects } = address.clone();
        let keys = IssuerKeys::new(issuer.clone(), jwks_uri, ca_file.as_deref())?;
        Ok(Self::new(config, Source::Web { issuer, keys, unregistered_subjects }, clock, metrics))
    }

    pub fn of_api_server(
        config: IssuerSettings,
        review: Review,
        authority: TokenAuthority,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self::new(config, Source::ApiServer { authority, review }, clock, metrics)
    }

    fn new(config: IssuerSettings, source: Source, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let algorithms = config.algorithms.clone();
        metrics.token_issuer(&config.id, None);
        let (keys, reviews, checks) =
            (RefreshingValue::new(Arc::clone(&clock)), Reviews::default(), metrics.token_checks(&config.id));
        Self { config, source, algorithms, keys, reviews, checks, clock, metrics }
    }

    pub fn id(&self) -> &str {
        &self.config.id
    }

    /// Fetches the keys now, again and again, and when a token has one that is not known. What was fetched stays
    /// in use while a later fetch fails.
    pub async fn keep_fresh(self: Arc<Self>, every: Duration) {
        let failed = |error: KeysError, retry_in| {
            self.metrics.token_issuer_refreshed(self.id(), Outcome::Error);
            tracing::warn!(token_issuer = self.id(), %error, ?retry_in, "token issuer keys not fetched");
        };
        // With the same keys, what they verified stays verified.
        let same = |known: &Keys, fetched: &Keys| known == fetched;
        self.keys.refresh_unless_same(every, || self.fetch(), same, failed).await;
    }

    /// Waits until the first fetch has ended, whichever way.
    pub async fn attempted(&self) {
        self.keys.wait_for_first_attempt().await;
    }

    pub(super) fn claim_source(&self) -> &str {
        self.config.claim_source()
    }

    /// What its tokens call it, where that is configured.
    pub(super) fn name(&self) -> Option<&String> {
        match &self.source {
            Source::Web { issuer, .. } => Some(issuer),
            Source::ApiServer { .. } => None,
        }
    }

    pub(super) fn unregistered_subjects(&self) -> UnregisteredSubjects {
        match self.source {
            Source::Web { unregistered_subjects, .. } => unregistered_subjects,
            Source::ApiServer { .. } => UnregisteredSubjects::Workloads,
        }
    }

    /// Whether its subjects may have signed in here.
    pub(super) fn knows_people(&self) -> bool {
        matches!(self.source, Source::Web { .. })
    }

    pub(super) fn count(&self, result: TokenResult) {
        self.checks[result as usize].inc();
    }

    /// Whether these are the keys as they were last fetched.
    pub(super) fn has(&self, keys: &Arc<Keys>) -> bool {
        self.keys.current().is_some_and(|known| Arc::ptr_eq(&known, keys))
    }

    /// What is known of its keys; where that is nothing yet, it is asked for and waited for a while.
    pub(super) async fn keys(&self) -> Result<Arc<Keys>, Unavailable> {
        let known = match self.keys.current() {
            Some(known) => Some(known),
            None => self.keys.get_or_fetch().await,
        };
        known.ok_or_else(|| Unavailable::NoKeys(self.id().to_owned()))
    }

    pub(super) async fn verify(&self, token: &str, now: Timestamp) -> Result<(Arc<Keys>, Said), NotVerified> {
        let keys = self.keys().await?;
        match self.verify_by(&keys, token, now) {
            // They may have been rotated since they were fetched, under the old id or without one even.
            Err(Refused::Jwt(refused)) if refused.suggests_newer_keys() => match self.keys.fetch_newer_than(&keys).await {
                Some(newer) => Ok((Arc::clone(&newer), self.verify_by(&newer, token, now)?)),
                None => Err(Refused::from(refused).into()),
            },
            said => Ok((keys, said?)),
        }
    }

    /// Asks the API server whether a token still counts, where that is wanted and its last answer is too old.
    pub(super) async fn review(&self, token: &Arc<Token>, text: &str, digest: Digest) -> Result<(), NotVerified> {
        let Source::ApiServer { authority, review: Review::Every(every) } = &self.source else { return Ok(()) };
        let now = self.clock.monotonic();
        let age = |at| now.saturating_duration_since(at);
        let said = match token.reviewed() {
            Some((ReviewResult::Valid, at)) if age(at) <= *every => ReviewResult::Valid,
            Some((ReviewResult::Rejected, at)) if age(at) <= REFUSAL_HOLDS => ReviewResult::Rejected,
            _ if self.reviews.rest(now) => return Err(Unavailable::ReviewRests.into()),
            _ => {
                let said = self.ask(authority, text, digest).await;
                self.metrics.token_reviewed(self.id(), ReviewOutcome::from(&said));
                if said.is_err() {
                    self.reviews.fail(self.clock.monotonic());
                }
                let said = said.map_err(Unavailable::from)?;
                // As of when it was asked, so that the bound holds.
                token.set_reviewed(said, now);
                said
            }
        };
        if said == ReviewResult::Valid { Ok(()) } else { Err(Refused::Reviewed.into()) }
    }

    async fn ask(&self, authority: &TokenAuthority, text: &str, digest: Digest) -> Result<ReviewResult, TokenAuthorityError> {
        let (authority, text, audiences) = (authority.clone(), text.to_owned(), self.config.audiences.clone());
        let ask = async move { authority.review(&text, &audiences).await };
        let flight = self.reviews.under_way.join_or_start(digest, 0, || Some(ask));
        let answer = match flight {
            Some(flight) => flight.await,
            None => None,
        };
        answer.unwrap_or_else(|| Err(TokenAuthorityError::Unreachable("the question was given up".to_owned())))
    }

    fn verify_by(&self, keys: &Keys, token: &str, now: Timestamp) -> Result<Said, Refused> {
        let expected = Expected {
            issuer: &keys.issuer,
            audiences: &self.config.audiences,
            algorithms: &self.algorithms,
            required: &self.config.required_claims,
            login_clients: &self.config.login_clients,
        };
        verification::verify(token, &expected, &keys.set, now)
    }

    async fn fetch(&self) -> Result<Keys, KeysError> {
        let keys = match &self.source {
            Source::Web { issuer, keys, .. } => Keys { issuer: issuer.clone(), set: keys.fetch().await? },
            Source::ApiServer { authority, .. } => {
                let (issuer, document) = authority.issuer_and_keys().await?;
                if self.config.audiences.contains(&issuer) {
                    return Err(KeysError::OwnAudience(issuer));
                }
                Keys { issuer, set: KeySet::parse(document.as_bytes())? }
            }
        };
        if self.keys.current().is_none() {
            let count = keys.set.len();
            tracing::info!(token_issuer = self.id(), issuer = keys.issuer, keys = count, "token issuer keys fetched");
        }
        self.metrics.token_issuer_refreshed(self.id(), Outcome::Ok);
        self.metrics.token_issuer(self.id(), Some((keys.set.len(), self.clock.now().as_second())));
        Ok(keys)
    }
}

impl Reviews {
    fn rest(&self, now: Instant) -> bool {
        let failed = *self.failed.lock().expect("no code that holds this lock panics");
        failed.is_some_and(|failed| now.saturating_duration_since(failed) < REVIEWS_REST)
    }

    fn fail(&self, now: Instant) {
        *self.failed.lock().expect("no code that holds this lock panics") = Some(now);
    }
}

impl From<&Result<ReviewResult, TokenAuthorityError>> for ReviewOutcome {
    fn from(said: &Result<ReviewResult, TokenAuthorityError>) -> Self {
        match said {
            Ok(ReviewResult::Valid) => Self::Good,
            Ok(ReviewResult::Rejected) => Self::Refused,
            Err(_) => Self::Error,
        }
    }
}
