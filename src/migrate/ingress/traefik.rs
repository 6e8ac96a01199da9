//! Writes Traefik's IngressRoutes and Middlewares. The header lists are those of deploy/traefik.

use std::collections::BTreeSet;

use super::Manifest;
use super::headers::{self, GATEWAY_SECRET, title_case};
use super::manifest::ObjectRef;
use super::rewrite::{PathScope, Rewrite};
use super::route::{BackendRoute, PUBLIC_PATHS, PUBLIC_PORT, Port, ProtectedHost};
use crate::yaml::emit::{Map, YamlValue};

/// The value that the operator replaces. The check refuses it.
const PLACEHOLDER: &str = "REPLACE-WITH-THE-GATEWAY-SECRET";

/// Vestibule's own pages come before all routes of the host.
const PUBLIC_PRIORITY: i64 = 1_000_000;

pub fn manifests(hosts: &[ProtectedHost]) -> Vec<Manifest> {
    let mut manifests: Vec<_> = hosts.iter().flat_map(protected).collect();
    let mut written = BTreeSet::new();
    for host in hosts.iter().filter(|host| written.insert((&host.host, &host.vestibule))) {
        manifests.extend(public(host));
    }
    manifests
}

/// The middlewares come first, so that the route is never without them.
fn protected(host: &ProtectedHost) -> Vec<Manifest> {
    let mut manifests = vec![
        plain(headers_middleware(host, "websocket", [("Upgrade".to_owned(), "websocket"), ("Connection".to_owned(), "Upgrade")])),
        plain(headers_middleware(host, "no-upgrade", [("Upgrade".to_owned(), ""), ("Connection".to_owned(), "")])),
        plain(headers_middleware(host, "clean", cleaned_headers().into_iter().map(|name| (name, "")))),
        Manifest {
            remarks: vec![
                "Replace the value with one of the lines of `check.secret_file`. Without such a file, remove this Middleware and its name \
                 below."
                    .to_owned(),
            ],
            body: headers_middleware(host, "secret", [(title_case(GATEWAY_SECRET), PLACEHOLDER)]),
        },
        plain(check(host)),
        plain(object("Middleware", &middleware_name(host, "refuse"), refuse_everyone())),
        plain(object("ServersTransport", &middleware_name(host, "upstream"), upstream_transport())),
    ];
    let rewrites = host.routes.iter().enumerate().filter_map(|(index, route)| rewrite(host, index, route));
    manifests.extend(rewrites.map(plain));
    manifests.push(plain(ingress_route(host)));
    manifests[0].remarks.clone_from(&host.remarks);
    manifests
}

fn plain(body: Map) -> Manifest {
    Manifest { remarks: Vec::new(), body }
}

fn object(kind: &str, name: &ObjectRef, spec: Map) -> Map {
    Map::new()
        .with("apiVersion", "traefik.io/v1alpha1")
        .with("kind", kind)
        .with("metadata", Map::new().with("name", name.name.as_str()).with("namespace", name.namespace.as_str()))
        .with("spec", spec)
}

fn middleware_name(host: &ProtectedHost, part: &str) -> ObjectRef {
    ObjectRef { namespace: host.namespace.clone(), name: format!("{}-vestibule-{part}", host.name) }
}

fn headers_middleware(host: &ProtectedHost, part: &str, set: impl IntoIterator<Item = (String, &'static str)>) -> Map {
    object("Middleware", &middleware_name(host, part), custom_headers(set))
}

fn custom_headers(set: impl IntoIterator<Item = (String, &'static str)>) -> Map {
    let set = set.into_iter().fold(Map::new(), |map, (name, value)| map.with(name, value));
    Map::new().with("headers", Map::new().with("customRequestHeaders", set))
}

/// Headers of the client that only gateways set.
fn cleaned_headers() -> Vec<String> {
    headers::REMOVED.into_iter().chain(headers::FORWARDED).map(title_case).collect()
}

fn check(host: &ProtectedHost) -> Map {
    let listed = headers::sent_to_upstream().into_iter().chain(headers::REMOVED).map(str::to_owned);
    let listed: YamlValue = listed.chain(host.former_headers.iter().cloned()).map(|name| title_case(&name)).collect();
    let address = format!("{}/auth/traefik?{}", host.check_origin(), host.restrictions.query(&host.host));
    let forward = Map::new()
        .with("address", address)
        .with("trustForwardHeader", false)
        .with("maxResponseBodySize", 1_048_576_i64)
        .with_comment(
            "Traefik removes each of these headers, and sets it if the response has it. Another header passes from the client.",
            "authResponseHeaders",
            listed,
        );
    object("Middleware", &middleware_name(host, "check"), Map::new().with("forwardAuth", forward))
}

fn rewrite(host: &ProtectedHost, index: usize, route: &BackendRoute) -> Option<Map> {
    let spec = match &route.matched.rewrite {
        Rewrite::None => return None,
        Rewrite::StripPrefix => {
            Map::new().with("stripPrefix", Map::new().with("prefixes", vec![route.matched.path.trim_end_matches('/')]))
        }
        Rewrite::Replace(path) => Map::new().with("replacePath", Map::new().with("path", path.as_str())),
    };
    Some(object("Middleware", &rewrite_name(host, index), spec))
}

fn rewrite_name(host: &ProtectedHost, index: usize) -> ObjectRef {
    middleware_name(host, &format!("rewrite-{}", index + 1))
}

fn ingress_route(host: &ProtectedHost) -> Map {
    let of_route = |(index, route)| [Upgrade::WebSocket, Upgrade::None].map(|upgrade| rule(host, index, route, upgrade));
    let routes: YamlValue = service_workers(host).into_iter().chain(host.routes.iter().enumerate().flat_map(of_route)).collect();
    let name = ObjectRef { namespace: host.namespace.clone(), name: host.name.clone() };
    let secret = host.certificate.as_ref().map(|certificate| Map::new().with_some("secretName", certificate.secret.as_deref()));
    object("IngressRoute", &name, entry_points(host).with("routes", routes).with_some("tls", secret))
}

fn entry_points(host: &ProtectedHost) -> Map {
    let name = if host.certificate.is_some() { "websecure" } else { "web" };
    Map::new().with_comment("The entry points are those of your Traefik.", "entryPoints", vec![name])
}

fn refuse_everyone() -> Map {
    Map::new().with("ipAllowList", Map::new().with("sourceRange", vec!["255.255.255.255/32"]))
}

/// Idle connections to a stopping pod of the app must be closed before it ends.
fn upstream_transport() -> Map {
    let timeouts = Map::new().with("dialTimeout", "5s").with("responseHeaderTimeout", "600s").with("idleConnTimeout", "2s");
    Map::new().with("forwardingTimeouts", timeouts)
}

/// No connection is kept open: a malformed request of one client could close the connection on which Traefik sends the form of
/// another client, and Traefik does not repeat a POST.
fn public_transport() -> Map {
    let timeouts = Map::new().with("dialTimeout", "1s").with("responseHeaderTimeout", "60s");
    Map::new().with("maxIdleConnsPerHost", -1_i64).with("forwardingTimeouts", timeouts)
}

/// A service worker of the app would see every later response of this host, such as Vestibule's pages with keys.
fn service_workers(host: &ProtectedHost) -> Option<Map> {
    let route = host.routes.first()?;
    let rule = Map::new()
        .with_comment("Refuses service workers of the app. Remove this rule if the app needs them.", "kind", "Rule")
        .with("match", format!("Host(`{}`) && HeaderRegexp(`Service-Worker`, `.`)", host.host))
        .with("priority", PUBLIC_PRIORITY - 1)
        .with("middlewares", vec![reference(&middleware_name(host, "refuse"))])
        .with("services", vec![service(host, route)]);
    Some(rule)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Upgrade {
    WebSocket,
    None,
}

fn rule(host: &ProtectedHost, index: usize, route: &BackendRoute, upgrade: Upgrade) -> Map {
    let (condition, first) = match upgrade {
        Upgrade::WebSocket => (" && HeaderRegexp(`Upgrade`, `^(?i:websocket)$`)", "websocket"),
        Upgrade::None => ("", "no-upgrade"),
    };
    let path = &route.matched.path;
    let mut middlewares: Vec<_> =
        [first, "clean", "secret", "check"].map(|part| reference(&middleware_name(host, part))).to_vec();
    if route.matched.rewrite != Rewrite::None {
        middlewares.push(reference(&rewrite_name(host, index)));
    }
    let length = i64::try_from(path.len()).unwrap_or(i64::MAX / 8);
    let exact = i64::from(route.matched.matches == PathScope::Exact);
    let websocket = i64::from(upgrade == Upgrade::WebSocket);
    Map::new()
        .with("kind", "Rule")
        .with("match", format!("Host(`{}`) && {}{condition}", host.host, path_rule(path, route.matched.matches)))
        .with("priority", 100 + 4 * length + 2 * exact + websocket)
        .with("middlewares", middlewares)
        .with("services", vec![service(host, route)])
}

fn service(host: &ProtectedHost, route: &BackendRoute) -> Map {
    let port = match &route.port {
        Port::Name(name) => YamlValue::from(name.as_str()),
        Port::Number(number) => YamlValue::from(*number),
    };
    let transport = middleware_name(host, "upstream");
    Map::new()
        .with("name", route.service.as_str())
        .with("port", port)
        .with_some("scheme", host.scheme)
        .with("serversTransport", transport.name)
}

/// `PathPrefix` also matches names that only begin like the last segment.
fn path_rule(path: &str, matches: PathScope) -> String {
    match (matches, path.trim_end_matches('/')) {
        (PathScope::Exact, _) => format!("Path(`{path}`)"),
        (PathScope::Prefix, "") => "PathPrefix(`/`)".to_owned(),
        (PathScope::Prefix, prefix) => format!("(Path(`{prefix}`) || PathPrefix(`{prefix}/`))"),
    }
}

fn reference(name: &ObjectRef) -> Map {
    Map::new().with("name", name.name.as_str()).with("namespace", name.namespace.as_str())
}

/// The routes to Vestibule's own pages, in its namespace, so that no reference leads to another one.
fn public(host: &ProtectedHost) -> [Manifest; 3] {
    let ObjectRef { namespace, name } = &host.vestibule;
    let in_namespace = |end: &str| ObjectRef { namespace: namespace.clone(), name: format!("{}-vestibule-{end}", host.host) };
    let (clean, transport) = (in_namespace("clean"), in_namespace("public"));
    let paths: Vec<_> = PUBLIC_PATHS.iter().map(|path| path_rule(path, PathScope::Prefix)).collect();
    let service = Map::new()
        .with("name", format!("{name}-public"))
        .with("port", PUBLIC_PORT)
        .with("serversTransport", transport.name.as_str());
    let route = Map::new()
        .with("kind", "Rule")
        .with("match", format!("Host(`{}`) && ({})", host.host, paths.join(" || ")))
        .with("priority", PUBLIC_PRIORITY)
        .with("middlewares", vec![reference(&clean)])
        .with("services", vec![service]);
    let tls = host.certificate.is_some().then(Map::new);
    let spec = entry_points(host).with("routes", vec![route]).with_some("tls", tls);
    let cleaned = custom_headers(cleaned_headers().into_iter().map(|name| (name, "")));
    [
        plain(object("Middleware", &clean, cleaned)),
        plain(object("ServersTransport", &transport, public_transport())),
        plain(object("IngressRoute", &transport, spec)),
    ]
}
