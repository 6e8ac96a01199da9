//! Combines the parts of an Ingress to the protected routes of each of its hosts.

use super::annotations;
use super::headers;
use super::manifest::{ObjectRef, RawIngress, RawPath, Tls, is_label, is_name};
use super::protection::{self, CheckParameters, Product, Protection};
use super::rewrite::{self, MatchedPath, PathScope};
use super::{IngressSettings, Target};
use crate::yaml::shown;

/// The routes of one Ingress for one host. All have the same check.
#[derive(Clone, Debug)]
pub struct ProtectedHost {
    /// The number of the Ingress in the input.
    pub ingress: usize,
    pub namespace: String,
    /// The name of the first object; further objects append to it.
    pub name: String,
    pub host: String,
    pub certificate: Option<Certificate>,
    pub routes: Vec<BackendRoute>,
    pub restrictions: CheckParameters,
    /// The release of Vestibule's chart.
    pub vestibule: ObjectRef,
    pub product: Product,
    /// Headers that the former product has set, and which a client must not set from now on, in lower case.
    pub former_headers: Vec<String>,
    pub scheme: Option<&'static str>,
    pub remarks: Vec<String>,
}

/// The host is served with TLS.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The Secret; the gateway's default certificate if there is none.
    pub secret: Option<String>,
}

#[derive(Clone, Debug)]
pub struct BackendRoute {
    pub matched: MatchedPath,
    pub service: String,
    pub port: Port,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    Name(String),
    Number(u16),
}

impl ProtectedHost {
    /// The URL of the check without its path. The Services have the names and ports of the chart.
    pub fn check_origin(&self) -> String {
        format!("http://{}-check.{}.svc.cluster.local:{CHECK_PORT}", self.vestibule.name, self.vestibule.namespace)
    }
}

pub const CHECK_PORT: u16 = 4181;
pub const PUBLIC_PORT: u16 = 4180;

/// Vestibule's own pages, which authenticate requests themselves.
pub const PUBLIC_PATHS: [&str; 3] = ["/sso", "/vestibule", "/onboarding"];

/// The Gateway API limits the headers that a filter removes to 16.
const MAX_FORMER_HEADERS: usize = 7;

/// Longer names leave no room for the ends of further names.
const MAX_NAME: usize = 180;

/// Returns the routes by host, or all reasons to refuse the Ingress.
pub fn of_ingress(raw: &RawIngress, settings: &IngressSettings) -> Result<Vec<ProtectedHost>, Vec<String>> {
    let mut reasons = Vec::new();
    let mut keep = |result: Result<Vec<String>, Vec<String>>| result.map_err(|found| reasons.extend(found)).unwrap_or_default();
    let remarks = keep(annotations::review(raw, &settings.dropped));
    let former_headers = keep(former_headers(raw).map_err(|reason| vec![reason]));
    let parts = read_parts(raw, settings);
    if let (true, Ok((protection, vestibule, by_host))) = (reasons.is_empty(), &parts) {
        let context = Context { raw, settings, protection, vestibule, former_headers: &former_headers };
        let hosts = by_host.iter().enumerate();
        let mut hosts: Vec<_> = hosts.map(|(index, (host, routes))| context.host(index, host, routes.clone())).collect();
        if let Some(first) = hosts.first_mut() {
            first.remarks.splice(0..0, remarks);
        }
        return Ok(hosts);
    }
    reasons.extend(parts.err().unwrap_or_default());
    Err(reasons)
}

type HostRoutes = Vec<(String, Vec<BackendRoute>)>;

fn read_parts(raw: &RawIngress, settings: &IngressSettings) -> Result<(Protection, ObjectRef, HostRoutes), Vec<String>> {
    let mut reasons: Vec<String> = check_names(raw, settings).err().into_iter().collect();
    let hosts: Vec<_> = raw.host_names().collect();
    let protection = protection::parse(raw.annotation("auth-url").unwrap_or_default(), &hosts);
    let protection = protection.and_then(|protection| supported(protection, settings.target));
    let protection = protection.map_err(|reason| reasons.push(reason)).ok();
    let routes = routes_by_host(raw, settings.target).map_err(|found| reasons.extend(found)).ok();
    let named = protection.as_ref().and_then(|protection| settings.vestibule.clone().or_else(|| protection.vestibule.clone()));
    if protection.is_some() && named.is_none() {
        reasons.push("auth-url: does not name a Service of Vestibule; use --vestibule NAMESPACE/NAME".to_owned());
    }
    match (protection, named, routes) {
        (Some(protection), Some(named), Some(routes)) if reasons.is_empty() => Ok((protection, named, routes)),
        _ => Err(reasons),
    }
}

fn check_names(raw: &RawIngress, settings: &IngressSettings) -> Result<(), String> {
    let namespace = raw.metadata.namespace.as_deref().unwrap_or(&settings.namespace);
    let secrets = raw.spec.tls.iter().filter_map(|tls| tls.secret_name.as_deref());
    if !is_name(&raw.metadata.name) || raw.metadata.name.len() > MAX_NAME {
        return Err(format!("metadata.name: must be a name of at most {MAX_NAME} characters"));
    }
    if !is_label(namespace) {
        return Err("metadata.namespace: is not a name".to_owned());
    }
    match secrets.into_iter().all(is_name) {
        true => Ok(()),
        false => Err("tls: a secretName is not a name".to_owned()),
    }
}

/// Only the URL of the check in Traefik's manifests can have parameters: in those of Envoy, the query is the client's.
fn supported(protection: Protection, target: Target) -> Result<Protection, String> {
    if target == Target::Traefik || protection.restrictions.is_empty() {
        return Ok(protection);
    }
    Err("auth-url: the manifests of this gateway cannot restrict a route to roles, teams or groups; write an access rule for the host into \
         the role map, and remove the parameters"
        .to_owned())
}

/// Returns the headers of `auth-response-headers`, and of snippets, that Vestibule's check does not set.
fn former_headers(raw: &RawIngress) -> Result<Vec<String>, String> {
    let listed =
        raw.annotation("auth-response-headers").unwrap_or_default().split(',').map(|name| name.trim().to_ascii_lowercase());
    let listed: Vec<_> = listed.filter(|name| !name.is_empty()).collect();
    if !listed.iter().all(|name| headers::is_name(name)) {
        return Err("auth-response-headers: has a name that is not the name of a header".to_owned());
    }
    let own: Vec<_> = headers::sent_to_upstream().into_iter().chain(headers::REMOVED).chain(["host", "set-cookie"]).collect();
    let all = listed.into_iter().chain(annotations::headers_of_snippets(raw));
    let mut former: Vec<_> = all.filter(|name| !own.contains(&name.as_str())).collect();
    former.sort();
    former.dedup();
    if former.len() > MAX_FORMER_HEADERS {
        return Err(format!("auth-response-headers: has more than {MAX_FORMER_HEADERS} headers that Vestibule does not set"));
    }
    Ok(former)
}

fn routes_by_host(raw: &RawIngress, target: Target) -> Result<HostRoutes, Vec<String>> {
    let mut reasons = Vec::new();
    if raw.spec.default_backend.is_some() {
        reasons.push(
            "defaultBackend: serves hosts that no route names, so the check could not verify the host; remove it".to_owned(),
        );
    }
    let mut by_host: HostRoutes = Vec::new();
    for rule in &raw.spec.rules {
        let host = rule.host.as_deref().unwrap_or_default();
        if !is_name(host) {
            reasons.push(format!(
                "host: {} is not one host; the check's URL must name the host, so write an Ingress for each",
                shown(host)
            ));
            continue;
        }
        let paths = rule.http.iter().flat_map(|http| &http.paths).map(|path| route(raw, path, target));
        let (routes, wrong): (Vec<_>, Vec<_>) = paths.partition(Result::is_ok);
        reasons.extend(wrong.into_iter().filter_map(Result::err));
        let routes = routes.into_iter().filter_map(Result::ok);
        match by_host.iter_mut().find(|(known, _)| known == host) {
            Some((_, known)) => known.extend(routes),
            None => by_host.push((host.to_owned(), routes.collect())),
        }
    }
    if by_host.iter().all(|(_, routes)| routes.is_empty()) && reasons.is_empty() {
        reasons.push("rules: has no path".to_owned());
    }
    by_host.retain(|(_, routes)| !routes.is_empty());
    if reasons.is_empty() { Ok(by_host) } else { Err(reasons) }
}

fn route(raw: &RawIngress, path: &RawPath, target: Target) -> Result<BackendRoute, String> {
    let service = path.backend.service.as_ref().ok_or("backend: is not a Service")?;
    if !is_label(&service.name) {
        return Err("backend: the Service has an invalid name".to_owned());
    }
    let port = match (&service.port.number, &service.port.name) {
        (Some(number), _) if *number > 0 => Port::Number(*number),
        (None, Some(name)) if is_label(name) && target == Target::Traefik => Port::Name(name.clone()),
        (None, Some(_)) => return Err("backend: names its port; write the port's number".to_owned()),
        _ => return Err("backend: has no valid port".to_owned()),
    };
    let use_regex = raw.annotation("use-regex") == Some("true");
    let target = raw.annotation("rewrite-target").filter(|target| !target.is_empty());
    let text = path.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/");
    let path_type = path.path_type.as_deref().unwrap_or("ImplementationSpecific");
    Ok(BackendRoute { matched: rewrite::read(text, path_type, use_regex, target)?, service: service.name.clone(), port })
}

struct Context<'a> {
    raw: &'a RawIngress,
    settings: &'a IngressSettings,
    protection: &'a Protection,
    vestibule: &'a ObjectRef,
    former_headers: &'a [String],
}

impl Context<'_> {
    fn host(&self, index: usize, host: &str, routes: Vec<BackendRoute>) -> ProtectedHost {
        let metadata = &self.raw.metadata;
        let number = if index == 0 { String::new() } else { format!("-{}", index + 1) };
        ProtectedHost {
            ingress: self.raw.index,
            namespace: metadata.namespace.clone().unwrap_or_else(|| self.settings.namespace.clone()),
            name: format!("{}{number}", metadata.name),
            host: host.to_owned(),
            certificate: self
                .raw
                .spec
                .tls
                .iter()
                .find(|tls| covers(tls, host))
                .map(|tls| Certificate { secret: tls.secret_name.clone() }),
            remarks: if index == 0 { self.remarks(&routes) } else { Vec::new() },
            routes,
            restrictions: self.protection.restrictions.clone(),
            vestibule: self.vestibule.clone(),
            product: self.protection.product,
            former_headers: self.former_headers.to_vec(),
            scheme: self.scheme(),
        }
    }

    fn scheme(&self) -> Option<&'static str> {
        match self.raw.annotation("backend-protocol").map(str::to_ascii_uppercase).as_deref() {
            Some("GRPC") => Some("h2c"),
            Some("HTTPS" | "GRPCS") => Some("https"),
            _ => None,
        }
    }

    fn remarks(&self, routes: &[BackendRoute]) -> Vec<String> {
        let mut remarks = Vec::new();
        match self.protection.product {
            Product::Vestibule => {}
            Product::OAuth2Proxy => remarks.push(
                "Vestibule replaces oauth2-proxy. Convert its options with `vestibule migrate oauth2-proxy` first: they restrict users."
                    .to_owned(),
            ),
            Product::Authelia => remarks.push(
                "Vestibule replaces Authelia. Write its access_control rules into the role map first (docs/from-authelia.md): they say \
                 which users are authorized."
                    .to_owned(),
            ),
        }
        if !self.protection.restrictions.is_empty() && self.protection.product == Product::OAuth2Proxy {
            remarks.push("allowed_groups of the auth URL are teams now: the role map must name them in `teams`.".to_owned());
        }
        if self.protection.product != Product::Vestibule && !self.former_headers.is_empty() {
            let names = self.former_headers.join(", ");
            remarks.push(format!(
                "The app no longer receives {names}. It can read the identity from X-Auth-Request-User and -Email."
            ));
        }
        if self.scheme().is_some() && self.settings.target != Target::Traefik {
            remarks.push("backend-protocol is not carried over: configure the protocol of the app at its Service.".to_owned());
        }
        let is_widened = |route: &BackendRoute| route.matched.matches == PathScope::Prefix && !route.matched.path.ends_with('/');
        if routes.iter().any(is_widened) {
            remarks.push(
                "A path such as /v1 matches /v1 and /v1/…, but not /v1beta, also with pathType ImplementationSpecific."
                    .to_owned(),
            );
        }
        remarks
    }
}

/// True if the certificate of the section is for the host.
fn covers(tls: &Tls, host: &str) -> bool {
    let parent = host.split_once('.').map(|(_, parent)| parent);
    let matches = |name: &String| name == host || name.strip_prefix("*.").is_some_and(|rest| Some(rest) == parent);
    tls.hosts.is_empty() || tls.hosts.iter().any(matches)
}
