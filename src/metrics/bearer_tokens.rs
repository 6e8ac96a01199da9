//! Metrics of bearer tokens and their issuers.

use std::time::Duration;

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec};

use super::{MetricRegistrar, Metrics, Outcome, ReviewOutcome, TokenResult, each, whole_seconds};

pub(super) struct TokenMetrics {
    checks: IntCounterVec,
    issuer_refreshes: IntCounterVec,
    issuer_keys: IntGaugeVec,
    issuer_keys_fetched: IntGaugeVec,
    issuer_keys_max_age: IntGaugeVec,
    reviews: IntCounterVec,
}

impl TokenMetrics {
    pub fn new(registrar: &mut MetricRegistrar) -> Self {
        Self {
            checks: registrar.counters(
                "token_checks_total",
                "Tokens presented: remembered (verified before), verified, refused, unavailable (no keys, or no answer about \
                 the user or the token). The issuer is empty if the token names none that is configured.",
                &["issuer", "result"],
            ),
            issuer_refreshes: registrar.counters(
                "token_issuer_refreshes_total",
                "Fetches of a token issuer's keys.",
                &["issuer", "outcome"],
            ),
            issuer_keys: registrar.gauges(
                "token_issuer_keys",
                "Known keys of a token issuer; 0 until they have been fetched.",
                &["issuer"],
            ),
            issuer_keys_fetched: registrar.gauges(
                "token_issuer_keys_fetched_timestamp_seconds",
                "Unix time of the last successful fetch of a token issuer's keys; 0 until then.",
                &["issuer"],
            ),
            issuer_keys_max_age: registrar.gauges(
                "token_issuer_keys_max_age_seconds",
                "The token issuer's `keys_max_age`. Tokens get 503 if the last successful fetch was longer ago.",
                &["issuer"],
            ),
            reviews: registrar.counters(
                "token_reviews_total",
                "Tokens sent to the Kubernetes API server for review.",
                &["issuer", "outcome"],
            ),
        }
    }
}

impl Metrics {
    /// A counter for each result; `issuer` is a configured id, or empty.
    pub fn token_checks(&self, issuer: &str) -> Vec<IntCounter> {
        each(TokenResult::ALL, |result| self.tokens.checks.with_label_values(&[issuer, result.as_str()]))
    }

    /// `issuer` is a configured id; `fetched` is the number of keys and the time of the last successful fetch.
    pub fn token_issuer(&self, issuer: &str, keys_max_age: Duration, fetched: Option<(usize, i64)>) {
        let (keys, at) = fetched.unwrap_or_default();
        self.tokens.issuer_keys.with_label_values(&[issuer]).set(i64::try_from(keys).unwrap_or(i64::MAX));
        self.tokens.issuer_keys_fetched.with_label_values(&[issuer]).set(at);
        self.tokens.issuer_keys_max_age.with_label_values(&[issuer]).set(whole_seconds(keys_max_age));
    }

    /// `issuer` is a configured id.
    pub fn token_issuer_refreshed(&self, issuer: &str, outcome: Outcome) {
        self.tokens.issuer_refreshes.with_label_values(&[issuer, outcome.as_str()]).inc();
    }

    /// `issuer` is a configured id.
    pub fn token_reviewed(&self, issuer: &str, outcome: ReviewOutcome) {
        self.tokens.reviews.with_label_values(&[issuer, outcome.as_str()]).inc();
    }
}
