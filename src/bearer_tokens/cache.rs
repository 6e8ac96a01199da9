//! Caches verified tokens by their digests until they expire or their issuer's keys change.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use moka::sync::Cache;

use super::{Issuer, IssuerKeySet, LEEWAY, verification::TokenClaims};
use crate::{
    kubernetes::ReviewResult,
    oidc::without_token_claims,
    principal::{Evaluation, IdentityClaims},
    principal_cache::CachedUser,
    secret::Digest,
    users::Identity,
};

/// The maximum total length of cached tokens in bytes. Their claims use a few times as much memory.
const MAX_TOKEN_BYTES: u64 = 16 << 20;

/// The length that is added for each entry.
const ENTRY_OVERHEAD: u32 = 1024;

/// The time after which an unused token is removed.
const IDLE_LIFETIME: Duration = Duration::from_secs(3600);

/// A verified token.
pub struct CachedToken {
    issuer: Arc<Issuer>,
    /// The keys that verified it.
    keys: Arc<IssuerKeySet>,
    identity: IdentityClaims,
    /// The digest of issuer and subject, by which each check looks up the user.
    identity_digest: Digest,
    /// The digest of the claim that identifies the user, for tokens with another subject than the user's logins.
    user_claim_digest: Option<Digest>,
    user: String,
    issued: Option<Timestamp>,
    until: f64,
    length: u32,
    reviewed: Mutex<Option<(ReviewResult, Instant)>>,
    evaluation: ArcSwapOption<CachedEvaluation>,
}

/// The last evaluation of a token's claims, with the user that it was for.
struct CachedEvaluation {
    user: Option<Arc<CachedUser>>,
    evaluation: Arc<Evaluation>,
}

pub(super) struct TokenCache(Cache<Digest, Arc<CachedToken>>);

impl TokenCache {
    pub fn new() -> Self {
        let by_length = |_: &Digest, token: &Arc<CachedToken>| token.length.saturating_add(ENTRY_OVERHEAD);
        Self(Cache::builder().max_capacity(MAX_TOKEN_BYTES).weigher(by_length).time_to_idle(IDLE_LIFETIME).build())
    }

    /// Returns a cached token. If the keys of its issuer have changed, it must be verified again, since the key that signed it
    /// may have been removed.
    pub fn get(&self, digest: &Digest, now: Timestamp) -> Option<Arc<CachedToken>> {
        let found = self.0.get(digest)?;
        let is_valid = (now.as_second() as f64) < found.until && found.issuer.has_keys(&found.keys);
        if !is_valid {
            self.0.invalidate(digest);
        }
        is_valid.then_some(found)
    }

    pub fn insert(&self, digest: Digest, token: &Arc<CachedToken>) {
        self.0.insert(digest, Arc::clone(token));
    }
}

impl CachedToken {
    pub(super) fn new(issuer: Arc<Issuer>, keys: Arc<IssuerKeySet>, claims: TokenClaims, length: usize) -> Self {
        let TokenClaims { subject, claims, issued, until } = claims;
        let user = format!("{}:{subject}", issuer.id());
        let identity_digest = Identity::digest(&keys.issuer, &subject);
        let identity = IdentityClaims {
            provider: issuer.claim_source().to_owned(),
            issuer: keys.issuer.clone(),
            subject,
            access_token: Some(without_token_claims(claims)),
            ..IdentityClaims::default()
        };
        let user_claim_digest = issuer.user_claim_digest(&identity);
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let (reviewed, evaluation) = (Mutex::default(), ArcSwapOption::empty());
        Self { issuer, keys, identity, identity_digest, user_claim_digest, user, issued, until, length, reviewed, evaluation }
    }

    pub(super) fn issuer(&self) -> &Arc<Issuer> {
        &self.issuer
    }

    pub(super) fn identity(&self) -> &IdentityClaims {
        &self.identity
    }

    pub(super) fn identity_digest(&self) -> Digest {
        self.identity_digest
    }

    pub(super) fn user_claim_digest(&self) -> Option<Digest> {
        self.user_claim_digest
    }

    pub(super) fn issued(&self) -> Option<Timestamp> {
        self.issued
    }

    pub(super) fn expires(&self) -> Timestamp {
        // In whole seconds. A time out of range never comes.
        Timestamp::from_second((self.until - LEEWAY.as_secs_f64()) as i64).unwrap_or(Timestamp::MAX)
    }

    pub(super) fn user(&self) -> &str {
        &self.user
    }

    pub(super) fn evaluation(&self, user: Option<&Arc<CachedUser>>) -> Option<Arc<Evaluation>> {
        let cached = self.evaluation.load_full()?;
        let same = match (&cached.user, user) {
            (None, None) => true,
            (Some(cached), Some(current)) => Arc::ptr_eq(cached, current),
            _ => false,
        };
        same.then(|| Arc::clone(&cached.evaluation))
    }

    pub(super) fn cache_evaluation(&self, user: Option<Arc<CachedUser>>, evaluation: Arc<Evaluation>) {
        self.evaluation.store(Some(Arc::new(CachedEvaluation { user, evaluation })));
    }

    /// Returns the result and time of the last review.
    pub(super) fn last_review(&self) -> Option<(ReviewResult, Instant)> {
        *self.lock_review()
    }

    pub(super) fn record_review(&self, result: ReviewResult, at: Instant) {
        *self.lock_review() = Some((result, at));
    }

    fn lock_review(&self) -> MutexGuard<'_, Option<(ReviewResult, Instant)>> {
        self.reviewed.lock().expect("no code that holds this lock panics")
    }
}

/// Shows only the issuer, since subject and claims are personal data.
impl std::fmt::Debug for CachedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CachedToken").field("issuer", &self.issuer.id()).finish_non_exhaustive()
    }
}
