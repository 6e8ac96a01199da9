//! Converts Ingresses with the `auth-url` annotation of ingress-nginx to manifests in which Vestibule protects the same apps.
//!
//! [`manifest`] reads the Ingresses, [`annotations`] defines the effect of each annotation, [`protection`] reads the auth URL, and
//! [`route`] combines them to routes of one host. A target writes a route only together with the filter that protects it.

pub mod manifest;

mod annotations;
mod gateway_api;
mod headers;
mod nginx;
mod protection;
mod rewrite;
mod route;
#[cfg(test)]
mod tests;
mod traefik;

use std::collections::BTreeSet;

use self::manifest::RawIngress;
pub use self::manifest::{Input, ManifestError, ObjectRef};
use self::route::ProtectedHost;
use crate::yaml::emit::{self, Map};

/// The gateway for which manifests are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Traefik,
    EnvoyGateway,
    GatewayApi,
    Nginx,
}

/// The settings that no Ingress contains.
#[derive(Clone, Debug)]
pub struct IngressSettings {
    pub target: Target,
    /// The namespace of Ingresses that name none.
    pub namespace: String,
    /// The release of Vestibule's chart. If there is none, the auth URL must name Vestibule's Service.
    pub vestibule: Option<ObjectRef>,
    /// The Gateway of HTTPRoutes.
    pub gateway: Option<ObjectRef>,
    /// Annotations that the operator has declared unnecessary for the protection, without their prefix.
    pub dropped: BTreeSet<String>,
}

/// An Ingress whose protection cannot be carried over. None of its routes is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressRefusal {
    pub ingress: String,
    pub reasons: Vec<String>,
}

/// A manifest, with the remarks above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub remarks: Vec<String>,
    pub body: Map,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngressConversion {
    /// Remarks about the whole input.
    pub remarks: Vec<String>,
    pub manifests: Vec<Manifest>,
    pub refusals: Vec<IngressRefusal>,
}

/// Converts all Ingresses of the input.
pub fn convert(input: Input, settings: &IngressSettings) -> IngressConversion {
    let mut remarks: Vec<_> =
        input.skipped.iter().map(|object| format!("{object} is not an Ingress and was not converted.")).collect();
    let mut refusals = Vec::new();
    let mut hosts = Vec::new();
    for raw in &input.ingresses {
        match protected_hosts(raw, settings) {
            Ok(Some(protected)) => hosts.extend(protected),
            Ok(None) => remarks.push(unprotected(raw)),
            Err(reasons) => refusals.push(refusal(raw, reasons)),
        }
    }
    let hosts = refuse_shared_hosts(&input.ingresses, hosts, settings.target, &mut refusals);
    let manifests = match settings.target {
        Target::Traefik => traefik::manifests(&hosts),
        Target::GatewayApi | Target::EnvoyGateway => gateway_api::manifests(&hosts, settings),
        Target::Nginx => nginx::manifests(&hosts),
    };
    IngressConversion { remarks, manifests, refusals }
}

impl IngressConversion {
    /// Returns the text of the manifests.
    pub fn text(&self) -> String {
        let remarks = self.remarks.iter().map(|remark| emit::comment(remark));
        let manifests = self.manifests.iter().map(|manifest| {
            let remarks: String = manifest.remarks.iter().map(|remark| emit::comment(remark)).collect();
            format!("---\n{remarks}{}", manifest.body.document())
        });
        remarks.chain(manifests).collect()
    }
}

fn unprotected(raw: &RawIngress) -> String {
    format!(
        "{raw} has no auth-url and was not converted. If the ConfigMap of its controller has a global-auth-url, add the annotation."
    )
}

fn refusal(raw: &RawIngress, reasons: Vec<String>) -> IngressRefusal {
    IngressRefusal { ingress: raw.to_string(), reasons }
}

/// Returns the routes of one Ingress by host; `None` if it is not protected.
fn protected_hosts(raw: &RawIngress, settings: &IngressSettings) -> Result<Option<Vec<ProtectedHost>>, Vec<String>> {
    if !raw.is_protected() {
        return Ok(None);
    }
    route::of_ingress(raw, settings).map(Some)
}

/// Requests for a refused route would reach the remaining routes of its host, which may have another protection. So all
/// Ingresses of this host are refused.
fn refuse_shared_hosts(
    all: &[RawIngress],
    mut hosts: Vec<ProtectedHost>,
    target: Target,
    refusals: &mut Vec<IngressRefusal>,
) -> Vec<ProtectedHost> {
    for raw in all {
        let conflicts: BTreeSet<_> =
            hosts.iter().filter(|host| host.ingress == raw.index).filter_map(|own| conflict(own, &hosts, target)).collect();
        if !conflicts.is_empty() {
            refusals.push(refusal(raw, conflicts.into_iter().collect()));
        }
    }
    loop {
        let is_refused = |raw: &RawIngress| refusals.iter().any(|refusal| refusal.ingress == raw.to_string());
        let refused_hosts: BTreeSet<_> = all.iter().filter(|raw| is_refused(raw)).flat_map(RawIngress::host_names).collect();
        let next = all
            .iter()
            .find(|raw| raw.is_protected() && !is_refused(raw) && raw.host_names().any(|host| refused_hosts.contains(host)));
        let Some(next) = next else {
            hosts.retain(|host| !is_refused(&all[host.ingress]));
            return hosts;
        };
        let reason = "it shares a host with a refused Ingress, whose paths its routes would serve".to_owned();
        refusals.push(refusal(next, vec![reason]));
    }
}

/// Returns the reason if the routes of one host do not fit together. Gateways differ in their interpretation of paths, so that a
/// path could lead to a less restricted route.
fn conflict(own: &ProtectedHost, all: &[ProtectedHost], target: Target) -> Option<String> {
    let of_host: Vec<_> = all.iter().filter(|other| other.host == own.host).collect();
    if of_host.iter().any(|other| other.restrictions != own.restrictions) {
        return Some(format!(
            "auth-url: other Ingresses of {} restrict users differently; write access rules with paths into the role map instead",
            own.host
        ));
    }
    if target == Target::Nginx { nginx::unsupported(&of_host) } else { None }
}
