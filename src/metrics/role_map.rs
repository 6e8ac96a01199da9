//! Metrics of the active role map and its edits.

use prometheus::{IntCounterVec, IntGaugeVec};

use super::{MetricRegistrar, Metrics, Outcome};

pub(super) struct RoleMapMetrics {
    edits: IntCounterVec,
    version: IntGaugeVec,
    rules: IntGaugeVec,
    loaded: IntGaugeVec,
    watch_up: IntGaugeVec,
}

impl RoleMapMetrics {
    pub fn new(registrar: &mut MetricRegistrar) -> Self {
        let edits = registrar.counters(
            "role_map_edits_total",
            "Role maps that were read: ok (active), error (refused; the previous one stays active).",
            &["outcome"],
        );
        // An alert on the first refusal needs the 0 before it.
        for outcome in [Outcome::Ok, Outcome::Error] {
            edits.with_label_values(&[outcome.as_str()]);
        }
        Self {
            edits,
            version: registrar.gauges(
                "role_map_version",
                "Valid role maps since the process started, including the active one.",
                &[],
            ),
            rules: registrar.gauges("role_map_rules", "Rules of the active role map.", &[]),
            loaded: registrar.gauges(
                "role_map_loaded_timestamp_seconds",
                "Unix time at which the active role map was read.",
                &[],
            ),
            watch_up: registrar.gauges(
                "role_map_watch_up",
                "1 while the API server of the role map's ConfigMaps can be reached; absent if the role map is in no ConfigMap.",
                &[],
            ),
        }
    }
}

impl Metrics {
    pub fn role_map_edited(&self, outcome: Outcome) {
        self.role_map.edits.with_label_values(&[outcome.as_str()]).inc();
    }

    pub fn role_map_activated(&self, version: u64, rules: usize, since: i64) {
        let none: &[&str] = &[];
        self.role_map.version.with_label_values(none).set(i64::try_from(version).unwrap_or(i64::MAX));
        self.role_map.rules.with_label_values(none).set(i64::try_from(rules).unwrap_or(i64::MAX));
        self.role_map.loaded.with_label_values(none).set(since);
    }

    pub fn role_map_watch_up(&self, up: Outcome) {
        self.role_map.watch_up.with_label_values::<&str>(&[]).set(i64::from(up == Outcome::Ok));
    }
}
