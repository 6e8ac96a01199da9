//! Metrics of commands to the store.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec};

use super::{MetricRegistrar, Metrics, StoreOperation, StoreOutcome};

/// Upper bounds in seconds.
const BUCKETS: [f64; 11] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.3, 1.0];

pub(super) struct StoreMetrics {
    commands: IntCounterVec,
    duration: HistogramVec,
}

impl StoreMetrics {
    pub fn new(registrar: &mut MetricRegistrar) -> Self {
        Self {
            commands: registrar.counters("store_commands_total", "Commands to the store.", &["operation", "outcome"]),
            duration: registrar.histograms(
                "store_command_duration_seconds",
                "Duration of a command to the store, retries included.",
                &["operation"],
                &BUCKETS,
            ),
        }
    }
}

impl Metrics {
    pub fn store(&self, operation: StoreOperation, outcome: StoreOutcome, took: Duration) {
        self.store.commands.with_label_values(&[operation.as_str(), outcome.as_str()]).inc();
        self.store.duration.with_label_values(&[operation.as_str()]).observe(took.as_secs_f64());
    }
}
