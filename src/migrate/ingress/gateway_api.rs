//! Writes HTTPRoutes of the Gateway API, protected by the filter `ExternalAuth` or by a SecurityPolicy of Envoy Gateway.

use std::collections::BTreeSet;

use super::headers::{self, GATEWAY_SECRET};
use super::manifest::ObjectRef;
use super::rewrite::{PathScope, Rewrite};
use super::route::{BackendRoute, CHECK_PORT, PUBLIC_PATHS, PUBLIC_PORT, Port, ProtectedHost};
use super::{IngressSettings, Manifest, Target};
use crate::yaml::emit::{Map, YamlValue};

const GROUP: &str = "gateway.networking.k8s.io";

/// The maximum number of rules of an HTTPRoute.
const MAX_RULES: usize = 16;

pub fn manifests(hosts: &[ProtectedHost], settings: &IngressSettings) -> Vec<Manifest> {
    let mut manifests = grants(hosts, settings.target);
    let units = hosts.iter().flat_map(|host| {
        let chunks = host.routes.chunks(MAX_RULES).enumerate();
        chunks.map(move |(number, routes)| Unit { host, number, routes, settings })
    });
    manifests.extend(units.flat_map(|unit| unit.manifests()));
    let mut written = BTreeSet::new();
    let first_of_host = hosts.iter().filter(|host| written.insert((&host.host, &host.vestibule)));
    manifests.extend(first_of_host.map(|host| public(host, settings)));
    if let Some(first) = manifests.first_mut() {
        first.remarks.splice(0..0, about_gateway(settings.target).map(str::to_owned));
    }
    manifests
}

fn about_gateway(target: Target) -> [&'static str; 2] {
    let listeners =
        "The Gateway needs a listener for each host with its certificate, which must admit routes of all these namespaces.";
    let secret = match target {
        Target::EnvoyGateway => {
            "The Secret vestibule-gateway-secret must contain one of the lines of `check.secret_file` as `credential`, in each namespace of \
             these routes. In the EnvoyProxy, `filterOrder` must put the filter envoy.filters.http.credential_injector before \
             envoy.filters.http.ext_authz. Without `check.secret_file`, remove the HTTPRouteFilters and the filters that name them."
        }
        _ => {
            "The filter ExternalAuth cannot send the gateway secret, so a check with `check.secret_file` refuses every request. Admit only \
             the gateway by a NetworkPolicy. The filter is in the experimental channel; the gateway must be based on Envoy."
        }
    };
    [listeners, secret]
}

/// The routes of a host that fit into one HTTPRoute.
struct Unit<'a> {
    host: &'a ProtectedHost,
    number: usize,
    routes: &'a [BackendRoute],
    settings: &'a IngressSettings,
}

impl Unit<'_> {
    /// The policy comes before its route, so that the route is never without it.
    fn manifests(&self) -> Vec<Manifest> {
        let remarks = if self.number == 0 { self.host.remarks.clone() } else { Vec::new() };
        let policies = match self.settings.target {
            Target::EnvoyGateway => vec![self.secret_filter(), self.security_policy()],
            _ => Vec::new(),
        };
        let bodies = policies.into_iter().chain([self.http_route()]);
        let mut manifests: Vec<_> = bodies.map(|body| Manifest { remarks: Vec::new(), body }).collect();
        manifests[0].remarks = remarks;
        manifests
    }

    fn name(&self) -> ObjectRef {
        let number = if self.number == 0 { String::new() } else { format!("-part-{}", self.number + 1) };
        ObjectRef { namespace: self.host.namespace.clone(), name: format!("{}{number}", self.host.name) }
    }

    /// Adds the gateway secret to requests before the check.
    fn secret_filter(&self) -> Map {
        let secret = Map::new().with("valueRef", Map::new().with("name", "vestibule-gateway-secret"));
        let injection = Map::new().with("header", GATEWAY_SECRET).with("overwrite", true).with("credential", secret);
        let spec = Map::new().with("credentialInjection", injection);
        object("gateway.envoyproxy.io/v1alpha1", "HTTPRouteFilter", &self.filter_name(), spec)
    }

    fn filter_name(&self) -> ObjectRef {
        let ObjectRef { namespace, name } = self.name();
        ObjectRef { namespace, name: format!("{name}-gateway-secret") }
    }

    fn security_policy(&self) -> Map {
        let name = self.name();
        let target = Map::new().with("group", GROUP).with("kind", "HTTPRoute").with("name", name.name.as_str());
        let http = Map::new()
            .with("backendRefs", vec![self.check_service()])
            .with("path", self.check_path())
            .with("headersToBackend", self.headers_to_upstream());
        let check = Map::new()
            .with("failOpen", false)
            .with("statusOnError", 503_u16)
            .with("timeout", "5s")
            .with("headersToExtAuth", headers::sent_to_check())
            .with("http", http);
        object(
            "gateway.envoyproxy.io/v1alpha1",
            "SecurityPolicy",
            &name,
            Map::new().with("targetRefs", vec![target]).with("extAuth", check),
        )
    }

    fn http_route(&self) -> Map {
        let rules: YamlValue = self.routes.iter().map(|route| self.rule(route)).collect();
        route_object(&self.name(), self.settings, &self.host.host, rules)
    }

    fn rule(&self, route: &BackendRoute) -> Map {
        let check = match self.settings.target {
            Target::EnvoyGateway => extension(&self.filter_name().name),
            _ => self.external_auth(),
        };
        let mut filters = vec![check, remove_headers(self.removed_headers())];
        filters.extend(rewrite(&route.matched.rewrite));
        let port = match &route.port {
            Port::Number(number) => YamlValue::from(*number),
            Port::Name(name) => YamlValue::from(name.as_str()),
        };
        Map::new()
            .with("matches", vec![path_match(&route.matched.path, route.matched.matches)])
            .with("filters", filters)
            .with("backendRefs", vec![Map::new().with("name", route.service.as_str()).with("port", port)])
            .with_comment("Answers are streamed.", "timeouts", Map::new().with("request", "0s"))
    }

    fn external_auth(&self) -> Map {
        let http = Map::new()
            .with("path", self.check_path())
            .with("allowedHeaders", headers::sent_to_check())
            .with("allowedResponseHeaders", self.headers_to_upstream());
        let check = Map::new().with("protocol", "HTTP").with("backendRef", self.check_service()).with("http", http);
        Map::new().with("type", "ExternalAuth").with("externalAuth", check)
    }

    /// The path names the host, since the query is the client's.
    fn check_path(&self) -> String {
        format!("/auth/envoy/{}", self.host.host)
    }

    fn check_service(&self) -> Map {
        let ObjectRef { namespace, name } = &self.host.vestibule;
        Map::new().with("name", format!("{name}-check")).with("namespace", namespace.as_str()).with("port", CHECK_PORT)
    }

    /// Vestibule itself can set the headers of an upstream credential that are listed.
    fn headers_to_upstream(&self) -> YamlValue {
        let own = headers::sent_to_upstream().into_iter().map(str::to_owned);
        let further = self.host.former_headers.iter().filter(|_| self.is_own()).cloned();
        own.chain(further).collect()
    }

    fn removed_headers(&self) -> Vec<String> {
        let former = self.host.former_headers.iter().filter(|_| !self.is_own()).cloned();
        headers::REMOVED.into_iter().chain(headers::FORWARDED).map(str::to_owned).chain(former).collect()
    }

    fn is_own(&self) -> bool {
        self.host.product == super::protection::Product::Vestibule
    }
}

fn object(version: &str, kind: &str, name: &ObjectRef, spec: Map) -> Map {
    Map::new()
        .with("apiVersion", version)
        .with("kind", kind)
        .with("metadata", Map::new().with("name", name.name.as_str()).with("namespace", name.namespace.as_str()))
        .with("spec", spec)
}

fn route_object(name: &ObjectRef, settings: &IngressSettings, host: &str, rules: YamlValue) -> Map {
    let parents: YamlValue = settings
        .gateway
        .iter()
        .map(|gateway| Map::new().with("name", gateway.name.as_str()).with("namespace", gateway.namespace.as_str()))
        .collect();
    let spec = Map::new().with("parentRefs", parents).with("hostnames", vec![host]).with("rules", rules);
    object(&format!("{GROUP}/v1"), "HTTPRoute", name, spec)
}

fn path_match(path: &str, matches: PathScope) -> Map {
    let kind = match matches {
        PathScope::Exact => "Exact",
        PathScope::Prefix => "PathPrefix",
    };
    Map::new().with("path", Map::new().with("type", kind).with("value", path))
}

fn remove_headers(names: Vec<String>) -> Map {
    Map::new().with("type", "RequestHeaderModifier").with("requestHeaderModifier", Map::new().with("remove", names))
}

fn extension(name: &str) -> Map {
    let reference = Map::new().with("group", "gateway.envoyproxy.io").with("kind", "HTTPRouteFilter").with("name", name);
    Map::new().with("type", "ExtensionRef").with("extensionRef", reference)
}

fn rewrite(rewrite: &Rewrite) -> Option<Map> {
    let path = match rewrite {
        Rewrite::None => return None,
        Rewrite::StripPrefix => Map::new().with("type", "ReplacePrefixMatch").with("replacePrefixMatch", "/"),
        Rewrite::Replace(path) => Map::new().with("type", "ReplaceFullPath").with("replaceFullPath", path.as_str()),
    };
    Some(Map::new().with("type", "URLRewrite").with("urlRewrite", Map::new().with("path", path)))
}

/// The routes to Vestibule's own pages, in its namespace.
fn public(host: &ProtectedHost, settings: &IngressSettings) -> Manifest {
    let ObjectRef { namespace, name } = &host.vestibule;
    let rule = Map::new()
        .with("matches", PUBLIC_PATHS.map(|path| path_match(path, PathScope::Prefix)).to_vec())
        .with("filters", vec![remove_headers(vec![GATEWAY_SECRET.to_owned()])])
        .with("backendRefs", vec![Map::new().with("name", format!("{name}-public")).with("port", PUBLIC_PORT)]);
    let own = ObjectRef { namespace: namespace.clone(), name: format!("{}-vestibule-public", host.host) };
    Manifest { remarks: Vec::new(), body: route_object(&own, settings, &host.host, vec![rule].into()) }
}

/// Permits references to the check from other namespaces.
fn grants(hosts: &[ProtectedHost], target: Target) -> Vec<Manifest> {
    let (group, kind) = match target {
        Target::EnvoyGateway => ("gateway.envoyproxy.io", "SecurityPolicy"),
        _ => (GROUP, "HTTPRoute"),
    };
    let pairs: BTreeSet<_> = hosts.iter().map(|host| (&host.vestibule, &host.namespace)).collect();
    let foreign = pairs.into_iter().filter(|(vestibule, namespace)| vestibule.namespace != **namespace);
    let grant = |(vestibule, namespace): (&ObjectRef, &String)| {
        let from = Map::new().with("group", group).with("kind", kind).with("namespace", namespace.as_str());
        let to = Map::new().with("group", "").with("kind", "Service").with("name", format!("{}-check", vestibule.name));
        let own =
            ObjectRef { namespace: vestibule.namespace.clone(), name: format!("{}-check-from-{namespace}", vestibule.name) };
        let spec = Map::new().with("from", vec![from]).with("to", vec![to]);
        Manifest { remarks: Vec::new(), body: object(&format!("{GROUP}/v1beta1"), "ReferenceGrant", &own, spec) }
    };
    foreign.map(grant).collect()
}
