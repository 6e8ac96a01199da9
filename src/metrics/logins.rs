//! Metrics of logins, logouts and identity providers.

use std::time::Duration;

use prometheus::{IntCounterVec, IntGaugeVec};

use super::{
    BackchannelLogoutOutcome, DirectoryOutcome, LoginLimit, LoginOutcome, MetricRegistrar, Metrics, Outcome, whole_seconds,
};
use crate::principal::Source;

pub(super) struct Logins {
    total: IntCounterVec,
    by_role: IntCounterVec,
    absent_sources: IntCounterVec,
    directory_lookups: IntCounterVec,
    limited: IntCounterVec,
    logouts: IntCounterVec,
    backchannel_logouts: IntCounterVec,
    provider_refreshes: IntCounterVec,
    provider_ready: IntGaugeVec,
    provider_keys_fetched: IntGaugeVec,
    provider_keys_max_age: IntGaugeVec,
}

impl Logins {
    pub fn new(registrar: &mut MetricRegistrar) -> Self {
        Self {
            total: registrar.counters(
                "logins_total",
                "Logins, by outcome. The provider `local` counts passwords and accepted invitations.",
                &["provider", "outcome"],
            ),
            by_role: registrar.counters(
                "logins_by_role_total",
                "Successful logins, by the role that was granted.",
                &["provider", "role"],
            ),
            absent_sources: registrar.counters(
                "login_absent_sources_total",
                "Logins without claims from a source: an opaque or unusable access token, no userinfo endpoint.",
                &["provider", "source"],
            ),
            directory_lookups: registrar.counters(
                "directory_lookups_total",
                "Look-ups in a provider's directory. `cached`: claims within `directory.interval`; `limit`: the answer is too \
                 large or takes too long.",
                &["provider", "outcome"],
            ),
            limited: registrar.counters(
                "logins_limited_total",
                "Logins that were not started, because the store holds `logins.max_pending` login flows or uses more than 90% \
                 of its memory.",
                &["limit"],
            ),
            logouts: registrar.counters("logouts_total", "Sessions that their users ended.", &["outcome"]),
            backchannel_logouts: registrar.counters(
                "backchannel_logouts_total",
                "Logout tokens of identity providers. `failed`: the store or the provider's keys were unavailable, and the \
                 sessions may continue.",
                &["outcome"],
            ),
            provider_refreshes: registrar.counters(
                "provider_refreshes_total",
                "Fetches of a provider's discovery document and keys.",
                &["provider", "outcome"],
            ),
            provider_ready: registrar.gauges(
                "provider_ready",
                "1 if the provider's endpoints and keys are known and not older than `keys_max_age`.",
                &["provider"],
            ),
            provider_keys_fetched: registrar.gauges(
                "provider_keys_fetched_timestamp_seconds",
                "Unix time of the last successful fetch of a provider's keys; 0 until then.",
                &["provider"],
            ),
            provider_keys_max_age: registrar.gauges(
                "provider_keys_max_age_seconds",
                "The provider's `keys_max_age`. Logins get 503 if the last successful fetch was longer ago.",
                &["provider"],
            ),
        }
    }
}

impl Metrics {
    /// `provider` is a configured id.
    pub fn login(&self, provider: &str, outcome: LoginOutcome) {
        self.logins.total.with_label_values(&[provider, outcome.as_str()]).inc();
    }

    /// `provider` is a configured id, `role` one of the role map's.
    pub fn login_with_role(&self, provider: &str, role: &str) {
        self.logins.by_role.with_label_values(&[provider, role]).inc();
    }

    /// `provider` is a configured id.
    pub fn source_absent(&self, provider: &str, source: Source) {
        self.logins.absent_sources.with_label_values(&[provider, source.as_str()]).inc();
    }

    /// `provider` is a configured id.
    pub fn directory_lookup(&self, provider: &str, outcome: DirectoryOutcome) {
        self.logins.directory_lookups.with_label_values(&[provider, outcome.as_str()]).inc();
    }

    pub fn login_limited(&self, limit: LoginLimit) {
        self.logins.limited.with_label_values(&[limit.as_str()]).inc();
    }

    pub fn logout(&self, outcome: Outcome) {
        self.logins.logouts.with_label_values(&[outcome.as_str()]).inc();
    }

    pub fn backchannel_logout(&self, outcome: BackchannelLogoutOutcome) {
        self.logins.backchannel_logouts.with_label_values(&[outcome.as_str()]).inc();
    }

    /// `provider` is a configured id.
    pub fn provider_refreshed(&self, provider: &str, outcome: Outcome) {
        self.logins.provider_refreshes.with_label_values(&[provider, outcome.as_str()]).inc();
    }

    /// `provider` is a configured id.
    pub fn provider_ready(&self, provider: &str, ready: Outcome) {
        self.logins.provider_ready.with_label_values(&[provider]).set(i64::from(ready == Outcome::Ok));
    }

    /// `provider` is a configured id; `fetched` is the time of the last successful fetch.
    pub fn provider_keys(&self, provider: &str, keys_max_age: Duration, fetched: Option<i64>) {
        self.logins.provider_keys_fetched.with_label_values(&[provider]).set(fetched.unwrap_or_default());
        self.logins.provider_keys_max_age.with_label_values(&[provider]).set(whole_seconds(keys_max_age));
    }
}
