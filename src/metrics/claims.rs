//! Metrics of the refresh of claims.

use prometheus::IntCounterVec;

use super::{MetricRegistrar, Metrics, RefreshResult};

pub(super) struct ClaimsMetrics {
    refreshes: IntCounterVec,
}

impl ClaimsMetrics {
    pub fn new(registrar: &mut MetricRegistrar) -> Self {
        Self {
            refreshes: registrar.counters(
                "claims_refreshes_total",
                "Refresh tokens sent to a provider (`refresh`), by result. `refused`: a session or an identity has ended. `failed`: \
                 nothing was changed. `superseded`: the session or the token was replaced or has ended in the meantime.",
                &["provider", "result"],
            ),
        }
    }
}

impl Metrics {
    /// `provider` is a configured id.
    pub fn claims_refreshed(&self, provider: &str, result: RefreshResult) {
        self.claims.refreshes.with_label_values(&[provider, result.as_str()]).inc();
    }
}
