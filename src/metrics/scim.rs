//! Metrics of the company's directory.

use prometheus::IntCounterVec;

use super::{MetricRegistrar, Metrics, ScimMethod, ScimResource};

pub(super) fn requests(registrar: &mut MetricRegistrar) -> IntCounterVec {
    registrar.counters(
        "scim_requests_total",
        "SCIM requests of the company's directory, by resource, method and status of the answer.",
        &["resource", "method", "status"],
    )
}

impl Metrics {
    /// `status` is one that SCIM requests are answered with.
    pub fn scim_request(&self, resource: ScimResource, method: ScimMethod, status: u16) {
        self.scim_requests.with_label_values(&[resource.as_str(), method.as_str(), &status.to_string()]).inc();
    }
}
