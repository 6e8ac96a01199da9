//! Every metric: its name, its labels, its buckets. Label values are enums or configured ids, never text from outside.

mod labels;
mod maker;

pub use labels::*;

use std::time::Duration;

use prometheus::{Encoder, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Registry, TextEncoder};

use crate::{principal::Source, rate_limits::Activity};
use maker::{Entry, Maker};

/// Upper bounds in seconds, from a cached check to a slow one that waited for the store.
const CHECK_BUCKETS: [f64; 12] = [0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 1.0];
const STORE_BUCKETS: [f64; 11] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.3, 1.0];

/// The process's metrics, over a registry of its own.
pub struct Metrics {
    registry: Registry,
    entries: Vec<Entry>,
    checks: Vec<IntCounter>,
    check_duration: Vec<Histogram>,
    logins: IntCounterVec,
    logins_by_role: IntCounterVec,
    absent_sources: IntCounterVec,
    logouts: IntCounterVec,
    key_changes: IntCounterVec,
    provider_refreshes: IntCounterVec,
    provider_ready: IntGaugeVec,
    token_checks: IntCounterVec,
    token_issuer_refreshes: IntCounterVec,
    token_issuer_keys: IntGaugeVec,
    token_issuer_fetched: IntGaugeVec,
    token_reviews: IntCounterVec,
    store_commands: IntCounterVec,
    store_duration: HistogramVec,
    pub unreplicated_revocations: IntCounter,
    cache_lookups: Vec<Vec<IntCounter>>,
    cache_entries: IntGaugeVec,
    cache_proof_age: GaugeVec,
    cache_flushes: IntCounterVec,
    notices: IntCounterVec,
    pub dropped_claim_values: IntCounter,
    role_map_edits: IntCounterVec,
    role_map_version: IntGaugeVec,
    role_map_rules: IntGaugeVec,
    role_map_since: IntGaugeVec,
    role_map_watch_up: IntGaugeVec,
    key_ring_created: IntGaugeVec,
    upstream_credentials: Vec<IntCounter>,
    pub assertions_signed: IntCounter,
    rate_limited: IntCounterVec,
    pub panics: IntCounter,
}

impl Metrics {
    pub fn new() -> Self {
        let mut make = Maker::default();
        let build = make.gauges("build_info", "Always 1; the label tells the version.", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let checks = make.counters("checks_total", "Checks answered.", &["gateway", "outcome", "credential"]);
        let check_duration = make.histograms(
            "check_duration_seconds",
            "Time that a check took, without the network.",
            &["gateway"],
            &CHECK_BUCKETS,
        );
        let cache_lookups = make.counters(
            "cache_lookups_total",
            "Look-ups in the principal cache: hit (no store command), miss (read from the store), unknown (remembered as \
             unknown), forged (refused by its MAC or checksum), stale (served in an outage), overloaded (too many misses in flight).",
            &["credential", "result"],
        );
        let upstream_credentials = make.counters(
            "upstream_credentials_total",
            "Requests that were allowed, by what was sent to the upstream: none, pass (what the client sent), static, \
             assertion, unmatched (a static credential that has no entry for the person's role and teams, so nothing).",
            &["sent"],
        );
        let metrics = Self {
            checks: each_check(|labels| checks.with_label_values(&labels)),
            check_duration: each(GatewayLabel::ALL, |gateway| check_duration.with_label_values(&[gateway.as_str()])),
            logins: make.counters(
                "logins_total",
                "Logins that came back from a provider, by how they ended.",
                &["provider", "outcome"],
            ),
            logins_by_role: make.counters(
                "logins_by_role_total",
                "Logins that succeeded, by the role that was granted.",
                &["provider", "role"],
            ),
            absent_sources: make.counters(
                "login_absent_sources_total",
                "Logins without claims from a source: an opaque or unusable access token, no userinfo endpoint.",
                &["provider", "source"],
            ),
            logouts: make.counters("logouts_total", "Sessions ended by the person.", &["outcome"]),
            key_changes: make.counters("key_changes_total", "API keys that were made, regenerated or revoked.", &["change"]),
            provider_refreshes: make.counters(
                "provider_refreshes_total",
                "Fetches of a provider's discovery document and keys.",
                &["provider", "outcome"],
            ),
            provider_ready: make.gauges("provider_ready", "1 when the provider's endpoints and keys are known.", &["provider"]),
            token_checks: make.counters(
                "token_checks_total",
                "Tokens presented: remembered (verified before), verified, refused, unavailable (no keys, or no answer about \
                 the person or the token). The issuer is empty where none is configured that the token names.",
                &["issuer", "result"],
            ),
            token_issuer_refreshes: make.counters(
                "token_issuer_refreshes_total",
                "Fetches of a token issuer's keys.",
                &["issuer", "outcome"],
            ),
            token_issuer_keys: make.gauges(
                "token_issuer_keys",
                "Keys of a token issuer that are known; 0 until it has been reached.",
                &["issuer"],
            ),
            token_issuer_fetched: make.gauges(
                "token_issuer_keys_fetched_seconds",
                "When a token issuer's keys were last fetched, in Unix time; 0 until then.",
                &["issuer"],
            ),
            token_reviews: make.counters(
                "token_reviews_total",
                "Tokens that the API server was asked about.",
                &["issuer", "outcome"],
            ),
            store_commands: make.counters("store_commands_total", "Commands to the store.", &["operation", "outcome"]),
            store_duration: make.histograms(
                "store_command_duration_seconds",
                "Time that a command to the store took, retries included.",
                &["operation"],
                &STORE_BUCKETS,
            ),
            unreplicated_revocations: make.counter(
                "store_unreplicated_revocations_total",
                "Revocations that no replica confirmed in time; a failover could undo them.",
            ),
            cache_lookups: each(LookUpLabel::ALL, |credential| {
                each(CacheResult::ALL, |result| cache_lookups.with_label_values(&[credential.as_str(), result.as_str()]))
            }),
            cache_entries: make.gauges("cache_entries", "Entries in the principal cache.", &["map"]),
            cache_proof_age: make.ages(
                "cache_proof_age_seconds",
                "Age of the oldest proof that the cache agrees with the store, over all shards.",
                &[],
            ),
            cache_flushes: make.counters("cache_flushes_total", "Shards of the cache that were emptied.", &["reason"]),
            notices: make.counters("notices_total", "Notices heard on the bus.", &["outcome"]),
            dropped_claim_values: make.counter(
                "dropped_claim_values_total",
                "Teams that a login dropped because a header can't carry them (a comma, a control character, blanks at the ends) or there were too many.",
            ),
            role_map_edits: make.counters(
                "role_map_edits_total",
                "Role maps that were read: put in force (ok), or refused with the one before it kept (error).",
                &["outcome"],
            ),
            role_map_version: make.gauges(
                "role_map_version",
                "Good role maps since the process started, the one in force included.",
                &[],
            ),
            role_map_rules: make.gauges("role_map_rules", "Rules of the role map in force.", &[]),
            role_map_since: make.gauges(
                "role_map_in_force_since_seconds",
                "When the role map in force was read, in Unix time.",
                &[],
            ),
            role_map_watch_up: make.gauges(
                "role_map_watch_up",
                "1 while the API server that the role map's ConfigMaps are watched on is in reach; absent where none are.",
                &[],
            ),
            key_ring_created: make.gauges(
                "key_ring_created_timestamp_seconds",
                "When the first key of the key ring was made, in Unix time; absent where the ring doesn't say so.",
                &[],
            ),
            upstream_credentials: each(UpstreamCredentialLabel::ALL, |sent| {
                upstream_credentials.with_label_values(&[sent.as_str()])
            }),
            assertions_signed: make.counter(
                "assertions_signed_total",
                "Assertions that were signed; those that are still good are sent again without.",
            ),
            rate_limited: make.counters(
                "rate_limited_total",
                "Requests that were answered with 429, because their client address had made too many of the kind.",
                &["activity"],
            ),
            panics: make.counter("panics_total", "Requests that ended in a panic, answered with 500."),
            registry: make.registry.clone(),
            entries: make.entries,
        };
        metrics.register_process();
        // Who watches for the first refusal needs the nothing before it.
        for outcome in [Outcome::Ok, Outcome::Error] {
            metrics.role_map_edits.with_label_values(&[outcome.as_str()]);
        }
        metrics
    }

    pub fn check(&self, gateway: GatewayLabel, outcome: CheckOutcome, credential: CredentialLabel, took: Duration) {
        self.checks[check_index(gateway, outcome, credential)].inc();
        self.check_duration[gateway as usize].observe(took.as_secs_f64());
    }

    pub fn upstream_credential(&self, sent: UpstreamCredentialLabel) {
        self.upstream_credentials[sent as usize].inc();
    }

    pub fn rate_limited(&self, activity: Activity) {
        self.rate_limited.with_label_values(&[activity.as_str()]).inc();
    }

    /// `provider` is a configured id.
    pub fn login(&self, provider: &str, outcome: LoginOutcome) {
        self.logins.with_label_values(&[provider, outcome.as_str()]).inc();
    }

    /// `provider` is a configured id, `role` one of the role map's.
    pub fn login_with_role(&self, provider: &str, role: &str) {
        self.logins_by_role.with_label_values(&[provider, role]).inc();
    }

    /// `provider` is a configured id.
    pub fn source_absent(&self, provider: &str, source: Source) {
        self.absent_sources.with_label_values(&[provider, source.as_str()]).inc();
    }

    pub fn logout(&self, outcome: Outcome) {
        self.logouts.with_label_values(&[outcome.as_str()]).inc();
    }

    pub fn key_changed(&self, change: KeyChange) {
        self.key_changes.with_label_values(&[change.as_str()]).inc();
    }

    /// `provider` is a configured id.
    pub fn provider_refreshed(&self, provider: &str, outcome: Outcome) {
        self.provider_refreshes.with_label_values(&[provider, outcome.as_str()]).inc();
    }

    /// `provider` is a configured id.
    pub fn provider_ready(&self, provider: &str, ready: Outcome) {
        self.provider_ready.with_label_values(&[provider]).set(i64::from(ready == Outcome::Ok));
    }

    /// A counter for each result; `issuer` is a configured id, or nothing.
    pub fn token_checks(&self, issuer: &str) -> Vec<IntCounter> {
        each(TokenResult::ALL, |result| self.token_checks.with_label_values(&[issuer, result.as_str()]))
    }

    /// `issuer` is a configured id. Without a fetch that succeeded nothing is known.
    pub fn token_issuer(&self, issuer: &str, fetched: Option<(usize, i64)>) {
        let (keys, at) = fetched.unwrap_or_default();
        self.token_issuer_keys.with_label_values(&[issuer]).set(i64::try_from(keys).unwrap_or(i64::MAX));
        self.token_issuer_fetched.with_label_values(&[issuer]).set(at);
    }

    /// `issuer` is a configured id.
    pub fn token_issuer_refreshed(&self, issuer: &str, outcome: Outcome) {
        self.token_issuer_refreshes.with_label_values(&[issuer, outcome.as_str()]).inc();
    }

    /// `issuer` is a configured id.
    pub fn token_reviewed(&self, issuer: &str, outcome: ReviewOutcome) {
        self.token_reviews.with_label_values(&[issuer, outcome.as_str()]).inc();
    }

    pub fn store(&self, operation: StoreOperation, outcome: StoreOutcome, took: Duration) {
        self.store_commands.with_label_values(&[operation.as_str(), outcome.as_str()]).inc();
        self.store_duration.with_label_values(&[operation.as_str()]).observe(took.as_secs_f64());
    }

    pub fn cache_lookup(&self, credential: LookUpLabel, result: CacheResult) {
        self.cache_lookups[credential as usize][result as usize].inc();
    }

    pub fn cache_entries(&self, map: CacheMap, entries: u64) {
        self.cache_entries.with_label_values(&[map.as_str()]).set(i64::try_from(entries).unwrap_or(i64::MAX));
    }

    pub fn cache_proof_age(&self, age: Duration) {
        self.cache_proof_age.with_label_values::<&str>(&[]).set(age.as_secs_f64());
    }

    pub fn cache_flush(&self, reason: FlushReason) {
        self.cache_flushes.with_label_values(&[reason.as_str()]).inc();
    }

    pub fn notice(&self, outcome: NoticeOutcome) {
        self.notices.with_label_values(&[outcome.as_str()]).inc();
    }

    pub fn role_map_edited(&self, outcome: Outcome) {
        self.role_map_edits.with_label_values(&[outcome.as_str()]).inc();
    }

    pub fn role_map_in_force(&self, version: u64, rules: usize, since: i64) {
        let none: &[&str] = &[];
        self.role_map_version.with_label_values(none).set(i64::try_from(version).unwrap_or(i64::MAX));
        self.role_map_rules.with_label_values(none).set(i64::try_from(rules).unwrap_or(i64::MAX));
        self.role_map_since.with_label_values(none).set(since);
    }

    /// `None` where nobody knows.
    pub fn key_ring_created(&self, created: Option<i64>) {
        let none: &[&str] = &[];
        match created {
            Some(created) => self.key_ring_created.with_label_values(none).set(created),
            // Of a ring before this one there may be none, and that is as well.
            None => drop(self.key_ring_created.remove_label_values(none)),
        }
    }

    pub fn role_map_watch_up(&self, up: Outcome) {
        self.role_map_watch_up.with_label_values::<&str>(&[]).set(i64::from(up == Outcome::Ok));
    }

    /// The registry in Prometheus' text format.
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut text)
            .expect("metrics are encoded into memory, from one registry");
        text
    }

    /// The table of docs/metrics.md.
    pub fn reference(&self) -> String {
        let row = |entry: &Entry| {
            let labels: Vec<_> = entry.labels.iter().map(|label| format!("`{label}`")).collect();
            format!("| `{}` | {} | {} | {} |\n", entry.name, entry.kind, labels.join(", "), entry.help)
        };
        let rows: String = self.entries.iter().map(row).collect();
        format!("| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n{rows}")
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

fn each_check<T>(make: impl Fn([&'static str; 3]) -> T) -> Vec<T> {
    let mut made = Vec::new();
    for gateway in GatewayLabel::ALL {
        for outcome in CheckOutcome::ALL {
            for credential in CredentialLabel::ALL {
                made.push(make([gateway.as_str(), outcome.as_str(), credential.as_str()]));
            }
        }
    }
    made
}

/// Where [`each_check`] put the counter.
fn check_index(gateway: GatewayLabel, outcome: CheckOutcome, credential: CredentialLabel) -> usize {
    (gateway as usize * CheckOutcome::ALL.len() + outcome as usize) * CredentialLabel::ALL.len() + credential as usize
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
    fn the_documentation_lists_exactly_these_metrics() {
        crate::docs::assert_current("docs/metrics.md", &Metrics::new().reference());
    }
}
