//! All metrics of the process. Label values are enums or configured ids, never text from outside.

mod bearer_tokens;
mod cache;
mod checks;
mod claims;
mod deprecated_names;
mod labels;
mod logins;
mod registrar;
mod role_map;
mod scim;
mod store;

pub use labels::*;

use std::time::Duration;

use prometheus::{Encoder, IntCounter, IntCounterVec, IntGaugeVec, Registry, TextEncoder};

use crate::client_address::rate_limits::Activity;
use registrar::{MetricEntry, MetricRegistrar};

/// The process's metrics, over a registry of its own.
pub struct Metrics {
    registry: Registry,
    entries: Vec<MetricEntry>,
    checks: checks::Checks,
    logins: logins::Logins,
    claims: claims::ClaimsMetrics,
    tokens: bearer_tokens::TokenMetrics,
    store: store::StoreMetrics,
    cache: cache::CacheMetrics,
    role_map: role_map::RoleMapMetrics,
    scim_requests: IntCounterVec,
    key_changes: IntCounterVec,
    key_ring_created: IntGaugeVec,
    rate_limited: IntCounterVec,
    pub unreplicated_revocations: IntCounter,
    pub dropped_claim_values: IntCounter,
    pub assertions_signed: IntCounter,
    pub panics: IntCounter,
}

impl Metrics {
    pub fn new() -> Self {
        let mut registrar = MetricRegistrar::default();
        let build = registrar.gauges("build_info", "Always 1; the label is the version.", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let metrics = Self {
            checks: checks::Checks::new(&mut registrar),
            logins: logins::Logins::new(&mut registrar),
            claims: claims::ClaimsMetrics::new(&mut registrar),
            key_changes: registrar.counters("key_changes_total", "API keys created, rotated or revoked.", &["change"]),
            tokens: bearer_tokens::TokenMetrics::new(&mut registrar),
            store: store::StoreMetrics::new(&mut registrar),
            unreplicated_revocations: registrar.counter(
                "store_unreplicated_revocations_total",
                "Revocations that no replica confirmed in time; a failover could undo them.",
            ),
            cache: cache::CacheMetrics::new(&mut registrar),
            dropped_claim_values: registrar.counter(
                "dropped_claim_values_total",
                "Teams that a login dropped: a header can't carry them (a comma, a control character, leading or trailing \
                 blanks), or there were too many.",
            ),
            role_map: role_map::RoleMapMetrics::new(&mut registrar),
            scim_requests: scim::requests(&mut registrar),
            key_ring_created: registrar.gauges(
                "key_ring_created_timestamp_seconds",
                "Unix time at which the primary key of the key ring was created; absent if the ring doesn't record it.",
                &[],
            ),
            assertions_signed: registrar.counter(
                "assertions_signed_total",
                "Identity assertions signed. An assertion that is still valid is sent again without a new signature.",
            ),
            rate_limited: registrar.counters(
                "rate_limited_total",
                "Requests answered with 429, because their client address exceeded the limit of this activity.",
                &["activity"],
            ),
            panics: registrar.counter("panics_total", "Requests that ended in a panic, answered with 500."),
            registry: registrar.registry.clone(),
            entries: registrar.entries,
        };
        metrics.register_process();
        metrics
    }

    pub fn rate_limited(&self, activity: Activity) {
        self.rate_limited.with_label_values(&[activity.as_str()]).inc();
    }

    pub fn key_changed(&self, change: KeyChange) {
        self.key_changes.with_label_values(&[change.as_str()]).inc();
    }

    /// `None` if the ring does not record it.
    pub fn key_ring_created(&self, created: Option<i64>) {
        let none: &[&str] = &[];
        match created {
            Some(created) => self.key_ring_created.with_label_values(none).set(created),
            // Fails if the series does not exist, which is the wanted state.
            None => drop(self.key_ring_created.remove_label_values(none)),
        }
    }

    /// Returns the metrics in Prometheus' text format.
    pub fn render(&self) -> Vec<u8> {
        let families = deprecated_names::with_former_names(self.registry.gather());
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text).expect("metrics are encoded into memory, from one registry");
        text
    }

    /// The table of docs/metrics.md.
    pub fn reference(&self) -> String {
        let row = |entry: &MetricEntry| {
            let labels: Vec<_> = entry.labels.iter().map(|label| format!("`{label}`")).collect();
            format!("| `{}` | {} | {} | {} |\n", entry.name, entry.kind, labels.join(", "), entry.help)
        };
        let rows: String = self.entries.iter().map(row).collect();
        let renamed = deprecated_names::reference();
        format!("| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n{rows}\n{renamed}")
    }

    /// CPU, memory and file descriptors of the process, under the names that Prometheus clients share.
    fn register_process(&self) {
        let process = prometheus::process_collector::ProcessCollector::for_self();
        self.registry.register(Box::new(process)).expect("the process collector is registered once");
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn each<L: Copy, T>(labels: &[L], make: impl Fn(L) -> T) -> Vec<T> {
    labels.iter().map(|label| make(*label)).collect()
}

/// Returns the value of a gauge for a duration.
fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_counted_under_its_own_labels() {
        let metrics = Metrics::new();
        metrics.check(GatewayLabel::Nginx, CheckOutcome::Forbidden, CredentialLabel::Session, Duration::from_micros(20));
        let text = String::from_utf8(metrics.render()).unwrap();
        assert!(text.contains(r#"vestibule_checks_total{credential="session",gateway="nginx",outcome="forbidden"} 1"#), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("vestibule_checks_total") && line.ends_with(" 1")).count(), 1);
    }

    #[test]
    fn refused_role_maps_are_counted_from_nothing() {
        let text = String::from_utf8(Metrics::new().render()).unwrap();
        assert!(text.contains(r#"vestibule_role_map_edits_total{outcome="error"} 0"#), "{text}");
    }

    #[test]
    fn a_renamed_metric_keeps_its_former_name_for_one_release() {
        let metrics = Metrics::new();
        metrics.role_map_activated(1, 2, 1_700_000_000);
        metrics.token_issuer("ci", Duration::from_secs(7200), Some((2, 1_700_000_001)));
        let text = String::from_utf8(metrics.render()).unwrap();
        for sample in [
            "vestibule_role_map_loaded_timestamp_seconds 1700000000",
            "vestibule_role_map_in_force_since_seconds 1700000000",
            r#"vestibule_token_issuer_keys_fetched_timestamp_seconds{issuer="ci"} 1700000001"#,
            r#"vestibule_token_issuer_keys_fetched_seconds{issuer="ci"} 1700000001"#,
            "# HELP vestibule_role_map_in_force_since_seconds Deprecated: use vestibule_role_map_loaded_timestamp_seconds.",
        ] {
            assert!(text.lines().any(|line| line == sample), "{sample} is missing from {text}");
        }
    }

    #[test]
    fn names_follow_prometheus_conventions() {
        for entry in &Metrics::new().entries {
            let is_counter = entry.kind == "counter";
            assert_eq!(entry.name.ends_with("_total"), is_counter, "{} is a {}", entry.name, entry.kind);
            assert_eq!(entry.help.contains("Unix time"), entry.name.ends_with("_timestamp_seconds"), "{}", entry.name);
        }
    }

    #[test]
    fn the_documentation_lists_exactly_these_metrics() {
        crate::docs::assert_current("docs/metrics.md", &Metrics::new().reference());
    }
}
