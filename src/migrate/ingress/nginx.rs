//! Writes ConfigMaps with the configuration of deploy/nginx, each for an nginx of its own.

use super::Manifest;
use super::headers;
use super::manifest::ObjectRef;
use super::protection::Product;
use super::rewrite::{PathScope, Rewrite};
use super::route::{CHECK_PORT, PUBLIC_PORT, Port, ProtectedHost};
use crate::yaml::emit::Map;

const TEMPLATE: &str = include_str!("../../../deploy/nginx/vestibule.conf.template");

/// The line of the template after which further headers are removed.
const REMOVED_HEADER: &str = "        proxy_set_header X-Rewrite-URL \"\";\n";

/// The template has one upstream. Returns the reason if the routes of a host need more.
pub fn unsupported(hosts: &[&ProtectedHost]) -> Option<String> {
    let routes = || hosts.iter().flat_map(|host| host.routes.iter().map(move |route| (&host.namespace, route)));
    let (namespace, first) = routes().next()?;
    let same = routes().all(|(other, route)| other == namespace && route.service == first.service && route.port == first.port);
    let serves_all = routes().any(|(_, route)| route.matched.path == "/" && route.matched.matches == PathScope::Prefix);
    let has_rewrite =
        routes().any(|(_, route)| route.matched.rewrite != Rewrite::None) || hosts.iter().any(|host| host.scheme.is_some());
    let text = match (same, serves_all, has_rewrite) {
        (false, ..) => "the template of nginx has one Service for a host, but its paths lead to several",
        (_, false, _) => "the template of nginx serves the path / of a host, but no Ingress does",
        (_, _, true) => "the template of nginx has no rewrite-target and no backend-protocol",
        _ => return None,
    };
    Some(format!("{}: {text}; extend deploy/nginx/vestibule.conf.template yourself", hosts.first()?.host))
}

/// Writes one ConfigMap for each host, from the first Ingress that serves its path `/`.
pub fn manifests(hosts: &[ProtectedHost]) -> Vec<Manifest> {
    let serves_all = |host: &&ProtectedHost| host.routes.iter().any(|route| route.matched.path == "/");
    let mut written = std::collections::BTreeSet::new();
    hosts.iter().filter(serves_all).filter(|host| written.insert(&host.host)).map(|host| config_map(host, hosts)).collect()
}

fn config_map(host: &ProtectedHost, all: &[ProtectedHost]) -> Manifest {
    let of_host = || all.iter().filter(|other| other.host == host.host);
    let mut remarks: Vec<_> = of_host().flat_map(|other| other.remarks.clone()).collect();
    remarks.push(
        "Mount this ConfigMap at /etc/nginx/templates of the official nginx image, and set VESTIBULE_GATEWAY_SECRET in its environment. Each \
         of these ConfigMaps is for an nginx of its own."
            .to_owned(),
    );
    if host.certificate.is_some() {
        remarks.push("Mount the certificate's Secret at /etc/nginx/tls.".to_owned());
    }
    let headers: String =
        of_host().flat_map(|other| other.former_headers.iter().map(|name| directives(other.product, name))).collect();
    let name = ObjectRef { namespace: host.namespace.clone(), name: format!("{}-vestibule-nginx", host.name) };
    let body = Map::new()
        .with("apiVersion", "v1")
        .with("kind", "ConfigMap")
        .with("metadata", Map::new().with("name", name.name).with("namespace", name.namespace))
        .with("data", Map::new().with("vestibule.conf.template", configuration(host, &headers)));
    Manifest { remarks, body }
}

/// Fills in the template. All values are names, host names and ports.
fn configuration(host: &ProtectedHost, headers: &str) -> String {
    let ObjectRef { namespace, name } = &host.vestibule;
    let listen = match host.certificate {
        Some(_) => "8443 ssl; ssl_certificate /etc/nginx/tls/tls.crt; ssl_certificate_key /etc/nginx/tls/tls.key",
        None => "8080",
    };
    let server = |end: &str, port: u16| format!("server {name}-{end}.{namespace}.svc.cluster.local:{port} max_fails=0;");
    let upstream = host.routes.first().map_or(String::new(), |route| {
        let port = match &route.port {
            Port::Number(number) => number.to_string(),
            Port::Name(name) => name.clone(),
        };
        format!("{}.{}.svc.cluster.local:{port}", route.service, host.namespace)
    });
    TEMPLATE
        .replace("${VESTIBULE_LISTEN}", listen)
        .replace("${VESTIBULE_SERVER_NAME}", &host.host)
        .replace("${VESTIBULE_PUBLIC_SERVERS}", &server("public", PUBLIC_PORT))
        .replace("${VESTIBULE_CHECK_SERVERS}", &server("check", CHECK_PORT))
        .replace("${VESTIBULE_UPSTREAM}", &upstream)
        .replace("${VESTIBULE_ALLOW_SERVICE_WORKERS}", "")
        .replace(REMOVED_HEADER, &format!("{REMOVED_HEADER}{headers}"))
}

/// Returns the directives for a header of `auth-response-headers`. Vestibule sets those of its static upstream credentials. The
/// headers of another product are removed.
fn directives(product: Product, header: &str) -> String {
    let name = headers::title_case(header);
    if product != Product::Vestibule {
        return format!("        proxy_set_header {name} \"\";\n");
    }
    let variable = header.replace('-', "_");
    format!(
        "        auth_request_set $vestibule_static_{variable} $upstream_http_{variable};\n        \
         proxy_set_header {name} $vestibule_static_{variable};\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vestibules_own_headers_are_copied_and_those_of_other_products_removed() {
        let copied = "        auth_request_set $vestibule_static_x_key $upstream_http_x_key;\n        proxy_set_header X-Key $vestibule_static_x_key;\n";
        assert_eq!(directives(Product::Vestibule, "x-key"), copied);
        assert_eq!(directives(Product::Authelia, "remote-user"), "        proxy_set_header Remote-User \"\";\n");
    }

    #[test]
    fn the_template_has_the_line_for_further_headers() {
        assert_eq!(TEMPLATE.matches(REMOVED_HEADER).count(), 1);
    }
}
