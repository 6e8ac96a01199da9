//! Metrics of the check endpoint.

use std::time::Duration;

use prometheus::{Histogram, IntCounter};

use super::{CheckOutcome, CredentialLabel, GatewayLabel, MetricRegistrar, Metrics, RefusalLabel, UpstreamCredentialLabel, each};

/// Upper bounds in seconds, from a cached check to a slow one that waited for the store.
const BUCKETS: [f64; 12] = [0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 1.0];

pub(super) struct Checks {
    total: Vec<IntCounter>,
    duration: Vec<Histogram>,
    refused: Vec<IntCounter>,
    upstream_credentials: Vec<IntCounter>,
}

impl Checks {
    pub fn new(registrar: &mut MetricRegistrar) -> Self {
        let total = registrar.counters(
            "checks_total",
            "Checks answered. `gateway` is the dialect: nginx, traefik, caddy, envoy, haproxy, apisix.",
            &["gateway", "outcome", "credential"],
        );
        let duration =
            registrar.histograms("check_duration_seconds", "Duration of a check, without the network.", &["gateway"], &BUCKETS);
        let refused = registrar.counters(
            "checks_refused_total",
            "Auth requests refused without a decision: malformed (the gateway does not describe the request), host (for another \
             host than the gateway names, or than the configuration lists), gateway_secret (without the gateway secret, or with \
             another one).",
            &["reason"],
        );
        let upstream_credentials = registrar.counters(
            "upstream_credentials_total",
            "Allowed requests, by the credential sent to the upstream: none, pass (the client's own), static, assertion, \
             unmatched (no static credential matches the user's role and teams, so none is sent).",
            &["sent"],
        );
        Self {
            total: each_check(|labels| total.with_label_values(&labels)),
            duration: each(GatewayLabel::ALL, |gateway| duration.with_label_values(&[gateway.as_str()])),
            refused: each(RefusalLabel::ALL, |reason| refused.with_label_values(&[reason.as_str()])),
            upstream_credentials: each(UpstreamCredentialLabel::ALL, |sent| {
                upstream_credentials.with_label_values(&[sent.as_str()])
            }),
        }
    }
}

impl Metrics {
    pub fn check(&self, gateway: GatewayLabel, outcome: CheckOutcome, credential: CredentialLabel, took: Duration) {
        self.checks.total[check_index(gateway, outcome, credential)].inc();
        self.checks.duration[gateway as usize].observe(took.as_secs_f64());
    }

    pub fn check_refused(&self, reason: RefusalLabel) {
        self.checks.refused[reason as usize].inc();
    }

    pub fn upstream_credential(&self, sent: UpstreamCredentialLabel) {
        self.checks.upstream_credentials[sent as usize].inc();
    }
}

fn each_check<T>(make: impl Fn([&'static str; 3]) -> T) -> Vec<T> {
    let mut counters = Vec::new();
    for gateway in GatewayLabel::ALL {
        for outcome in CheckOutcome::ALL {
            for credential in CredentialLabel::ALL {
                counters.push(make([gateway.as_str(), outcome.as_str(), credential.as_str()]));
            }
        }
    }
    counters
}

/// The index of a counter in the result of [`each_check`].
fn check_index(gateway: GatewayLabel, outcome: CheckOutcome, credential: CredentialLabel) -> usize {
    (gateway as usize * CheckOutcome::ALL.len() + outcome as usize) * CredentialLabel::ALL.len() + credential as usize
}
