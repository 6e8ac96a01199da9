//! Metrics of the principal cache.

use std::time::Duration;

use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGaugeVec};

use super::{CacheMap, CacheResult, FlushReason, InvalidationOutcome, LookupLabel, MetricRegistrar, Metrics, each};

pub(super) struct CacheMetrics {
    lookups: Vec<Vec<IntCounter>>,
    entries: IntGaugeVec,
    check_age: GaugeVec,
    flushes: IntCounterVec,
    invalidations: IntCounterVec,
}

impl CacheMetrics {
    pub fn new(registrar: &mut MetricRegistrar) -> Self {
        let lookups = registrar.counters(
            "cache_lookups_total",
            "Look-ups in the principal cache: hit (no store command), miss (read from the store), unknown (remembered as \
             unknown), forged (refused by its MAC or checksum), stale (served in an outage), overloaded (too many \
             concurrent misses).",
            &["credential", "result"],
        );
        Self {
            lookups: each(LookupLabel::ALL, |credential| {
                each(CacheResult::ALL, |result| lookups.with_label_values(&[credential.as_str(), result.as_str()]))
            }),
            entries: registrar.gauges(
                "cache_entries",
                "Entries in the principal cache, by map: credentials, identities, keys, users, unknown (credentials that the \
                 store does not know).",
                &["map"],
            ),
            check_age: registrar.ages(
                "cache_proof_age_seconds",
                "Age of the oldest successful consistency check between cache and store, over all shards.",
                &[],
            ),
            flushes: registrar.counters("cache_flushes_total", "Cache shards that were emptied.", &["reason"]),
            invalidations: registrar.counters("notices_total", "Invalidation messages received.", &["outcome"]),
        }
    }
}

impl Metrics {
    pub fn cache_lookup(&self, credential: LookupLabel, result: CacheResult) {
        self.cache.lookups[credential as usize][result as usize].inc();
    }

    pub fn cache_entries(&self, map: CacheMap, entries: u64) {
        self.cache.entries.with_label_values(&[map.as_str()]).set(i64::try_from(entries).unwrap_or(i64::MAX));
    }

    pub fn cache_check_age(&self, age: Duration) {
        self.cache.check_age.with_label_values::<&str>(&[]).set(age.as_secs_f64());
    }

    pub fn cache_flush(&self, reason: FlushReason) {
        self.cache.flushes.with_label_values(&[reason.as_str()]).inc();
    }

    pub fn invalidation_message(&self, outcome: InvalidationOutcome) {
        self.cache.invalidations.with_label_values(&[outcome.as_str()]).inc();
    }
}
