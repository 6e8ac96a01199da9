//! Creates and registers metrics.

use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
    core::{Collector, Desc},
};

/// One line of the reference.
pub(super) struct MetricEntry {
    pub name: String,
    pub kind: &'static str,
    pub labels: Vec<String>,
    pub help: String,
}

/// Registers metrics and keeps their entries of the reference.
#[derive(Default)]
pub(super) struct MetricRegistrar {
    pub registry: Registry,
    pub entries: Vec<MetricEntry>,
}

impl MetricRegistrar {
    pub fn counter(&mut self, name: &str, help: &str) -> IntCounter {
        let counter = IntCounter::with_opts(opts(name, help)).expect("the metric's name is valid");
        self.keep(counter, "counter")
    }

    pub fn counters(&mut self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        let counters = IntCounterVec::new(opts(name, help), labels).expect("the metric's name is valid");
        self.keep(counters, "counter")
    }

    pub fn gauges(&mut self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        let gauges = IntGaugeVec::new(opts(name, help), labels).expect("the metric's name is valid");
        self.keep(gauges, "gauge")
    }

    pub fn ages(&mut self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        let gauges = GaugeVec::new(opts(name, help), labels).expect("the metric's name is valid");
        self.keep(gauges, "gauge")
    }

    pub fn histograms(&mut self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        let opts = HistogramOpts { common_opts: opts(name, help), buckets: buckets.to_vec() };
        let histograms = HistogramVec::new(opts, labels).expect("the metric's name is valid");
        self.keep(histograms, "histogram")
    }

    fn keep<C: Collector + Clone + 'static>(&mut self, collector: C, kind: &'static str) -> C {
        self.entries.extend(collector.desc().into_iter().map(|desc: &Desc| MetricEntry {
            name: desc.fq_name.clone(),
            kind,
            labels: desc.variable_labels.clone(),
            help: desc.help.clone(),
        }));
        self.registry.register(Box::new(collector.clone())).expect("every metric has a name of its own");
        collector
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("vestibule")
}
