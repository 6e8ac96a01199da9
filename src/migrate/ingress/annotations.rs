//! The meaning of each annotation of ingress-nginx for a conversion.

use std::collections::BTreeSet;

use super::headers;
use super::manifest::RawIngress;
use crate::yaml::shown;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnotationEffect {
    /// Another module converts it.
    Converted,
    /// The target does this in another way, or does not need it.
    Replaced(&'static str),
    /// The target's manifests do not have it. The app stays protected.
    Lost(&'static str),
    /// It protects the app, or may do so.
    Protection(&'static str),
}

use AnnotationEffect::{Converted, Lost, Protection, Replaced};

const OF_CHECK: &str = "Vestibule's check does not need it.";
const PROXY: &str = "the gateway has settings of its own for its connections.";
const CORS: &str = "configure CORS in the app, or in the gateway before the check.";
const LIMIT: &str = "the gateway does not limit requests; configure its own limits.";
const SESSION: &str = "the gateway does not bind clients to a pod.";
const REDIRECT: &str = "configure the redirect in the gateway.";
const CERTIFICATES: &str = "client certificates are verified by ingress-nginx only.";
const SNIPPET: &str = "its directives may protect the app.";
const FIREWALL: &str = "the web application firewall of ingress-nginx protects the app.";
const ADDRESSES: &str = "client addresses are restricted by ingress-nginx only.";

/// The annotations of ingress-nginx, without their prefix. A name that ends with `*` matches all that begin with it.
pub const MEANINGS: &[(&str, AnnotationEffect)] = &[
    ("auth-url", Converted),
    ("auth-response-headers", Converted),
    ("rewrite-target", Converted),
    ("use-regex", Converted),
    ("backend-protocol", Converted),
    ("auth-signin", Replaced("Vestibule redirects browsers to its own sign-in page, and answers 401 to programs.")),
    ("auth-signin-redirect-param", Replaced("Vestibule has its own sign-in page.")),
    ("auth-method", Replaced(OF_CHECK)),
    ("auth-cache-key", Replaced(OF_CHECK)),
    ("auth-cache-duration", Replaced(OF_CHECK)),
    ("auth-keepalive*", Replaced(OF_CHECK)),
    ("auth-always-set-cookie", Replaced("the check sets no cookies.")),
    ("auth-proxy-set-headers", Replaced("the gateway sends its secret in another way.")),
    ("auth-realm", Replaced("Vestibule answers with its own challenge.")),
    ("enable-global-auth", Replaced("the route has its own check.")),
    ("auth-snippet", Protection("it has directives besides proxy_set_header, which may protect the app.")),
    ("auth-type", Protection("passwords are verified by ingress-nginx only.")),
    ("auth-secret", Protection("passwords are verified by ingress-nginx only.")),
    ("auth-secret-type", Protection("passwords are verified by ingress-nginx only.")),
    ("auth-tls-*", Protection(CERTIFICATES)),
    ("satisfy", Protection("it combines the auth URL with client addresses.")),
    ("whitelist-source-range", Protection(ADDRESSES)),
    ("allowlist-source-range", Protection(ADDRESSES)),
    ("denylist-source-range", Protection(ADDRESSES)),
    ("configuration-snippet", Protection(SNIPPET)),
    ("server-snippet", Protection(SNIPPET)),
    ("stream-snippet", Protection(SNIPPET)),
    ("enable-modsecurity", Protection(FIREWALL)),
    ("enable-owasp-core-rules", Protection(FIREWALL)),
    ("enable-owasp-modsecurity-crs", Protection(FIREWALL)),
    ("modsecurity-*", Protection(FIREWALL)),
    ("influxdb*", Lost(PROXY)),
    ("canary*", Protection("a canary takes some of the requests of another Ingress.")),
    ("ssl-passthrough", Protection("the gateway does not see the requests.")),
    ("ssl-redirect", Lost("redirect HTTP to HTTPS at the gateway's entry point or listener.")),
    ("force-ssl-redirect", Lost("redirect HTTP to HTTPS at the gateway's entry point or listener.")),
    ("preserve-trailing-slash", Lost(REDIRECT)),
    ("from-to-www-redirect", Lost(REDIRECT)),
    ("app-root", Lost(REDIRECT)),
    ("permanent-redirect*", Lost(REDIRECT)),
    ("temporal-redirect*", Lost(REDIRECT)),
    ("relative-redirects", Lost(REDIRECT)),
    ("server-alias", Lost("other names of the host have no route; write an Ingress for each of them.")),
    ("default-backend", Lost("the gateway answers errors itself.")),
    ("custom-http-errors", Lost("the gateway answers errors itself.")),
    ("disable-proxy-intercept-errors", Lost("the gateway answers errors itself.")),
    ("enable-cors", Lost(CORS)),
    ("cors-*", Lost(CORS)),
    ("limit-*", Lost(LIMIT)),
    ("global-rate-limit*", Lost(LIMIT)),
    ("affinity*", Lost(SESSION)),
    ("session-cookie-*", Lost(SESSION)),
    ("upstream-hash-by*", Lost(SESSION)),
    ("load-balance", Lost(SESSION)),
    ("service-upstream", Lost(PROXY)),
    ("proxy-body-size", Lost("the gateway's own limit for bodies applies.")),
    ("client-body-buffer-size", Lost(PROXY)),
    ("client-header-*", Lost(PROXY)),
    ("client-body-*", Lost(PROXY)),
    ("http2-push-preload", Lost(PROXY)),
    ("large-client-header-buffers", Lost(PROXY)),
    ("proxy-ssl-*", Lost("the gateway does not verify the certificate of the app; configure it there.")),
    ("proxy-*", Lost(PROXY)),
    ("ssl-ciphers", Lost(PROXY)),
    ("ssl-prefer-server-ciphers", Lost(PROXY)),
    ("secure-backends", Lost(PROXY)),
    ("upstream-vhost", Lost("the app receives the host of the request.")),
    ("x-forwarded-prefix", Lost("the app does not receive the removed prefix.")),
    ("connection-proxy-header", Lost(PROXY)),
    ("websocket-services", Lost(PROXY)),
    ("custom-headers", Lost("the response has no further headers.")),
    ("mirror-*", Lost("requests are not mirrored.")),
    ("enable-access-log", Lost(PROXY)),
    ("enable-rewrite-log", Lost(PROXY)),
    ("enable-opentracing", Lost(PROXY)),
    ("enable-opentelemetry", Lost(PROXY)),
    ("opentracing-*", Lost(PROXY)),
    ("opentelemetry-*", Lost(PROXY)),
    ("enable-http2", Lost(PROXY)),
    ("enable-influxdb", Lost(PROXY)),
];

pub fn meaning(name: &str) -> AnnotationEffect {
    let is_named = |pattern: &str| pattern.strip_suffix('*').map_or(pattern == name, |prefix| name.starts_with(prefix));
    let known = MEANINGS.iter().find(|(pattern, _)| is_named(pattern));
    known.map_or(Protection("it is not known, and may protect the app."), |(_, meaning)| *meaning)
}

/// Returns the remarks about the annotations of a protected Ingress, or the reasons to refuse it. Values are never repeated,
/// since an annotation may contain a secret.
pub fn review(raw: &RawIngress, dropped: &BTreeSet<String>) -> Result<Vec<String>, Vec<String>> {
    let (mut remarks, mut reasons) = (Vec::new(), Vec::new());
    for (name, value) in raw.annotations() {
        let shown = shown(name);
        let shown = shown.trim_matches('`');
        match meaning(name) {
            Converted => {}
            Replaced(text) => remarks.push(format!("{shown} has no counterpart: {text}")),
            Lost(text) => remarks.push(format!("{shown} is not carried over: {text}")),
            Protection(_) if name == "auth-snippet" && sets_only_headers(value) => {
                remarks.push("auth-snippet has no counterpart: the gateway sets the headers of the auth request.".to_owned());
            }
            Protection(_) if dropped.contains(name) => remarks.push(format!("{shown} was dropped, as the command line says.")),
            Protection(text) => {
                reasons
                    .push(format!("{shown}: {text} If the app needs no such protection, repeat the command with --drop {shown}"));
            }
        }
    }
    let others = raw.metadata.annotations.iter().flatten().filter(|(name, _)| !name.starts_with(super::manifest::PREFIX)).count();
    if others > 0 {
        remarks.push(format!("{others} annotations of other programs are not carried over."));
    }
    if reasons.is_empty() { Ok(remarks) } else { Err(reasons) }
}

/// True if a snippet only sets headers of the request to which it applies.
fn sets_only_headers(snippet: &str) -> bool {
    let braces = snippet.contains(['{', '}']);
    !braces && directives(snippet).all(|directive| directive.starts_with(&["proxy_set_header"]))
}

/// Returns the headers that the app has received from a dropped snippet, in lower case. The client could set them from now on.
pub fn headers_of_snippets(raw: &RawIngress) -> Vec<String> {
    const OF_PROXIES: [&str; 5] = ["host", "connection", "upgrade", "x-real-ip", "accept-encoding"];
    let snippets = ["configuration-snippet", "server-snippet"].into_iter().filter_map(|name| raw.annotation(name));
    let names = snippets.flat_map(|snippet| {
        let set = directives(snippet).filter(|directive| directive.first() == Some(&"proxy_set_header"));
        set.filter_map(|directive| directive.get(1).map(|name| name.trim_matches(['"', '\'']).to_ascii_lowercase()))
            .collect::<Vec<_>>()
    });
    names
        .filter(|name| headers::is_name(name) && !OF_PROXIES.contains(&name.as_str()) && !name.starts_with("x-forwarded-"))
        .collect()
}

/// Splits a snippet into directives, and these into words. Comments are left out.
fn directives(snippet: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = snippet.lines().map(|line| line.split_once('#').map_or(line, |(before, _)| before));
    let directives = lines.flat_map(|line| line.split([';', '{', '}']));
    directives.map(|directive| directive.split_whitespace().collect::<Vec<_>>()).filter(|words| !words.is_empty())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("auth-tls-secret", true)]
    #[case("auth-something-else", true)]
    #[case("a-new-annotation", true)]
    #[case("configuration-snippet", true)]
    #[case("proxy-read-timeout", false)]
    #[case("cors-allow-origin", false)]
    #[case("auth-keepalive-requests", false)]
    fn an_annotation_that_may_protect_is_refused(#[case] name: &str, #[case] refused: bool) {
        assert_eq!(matches!(meaning(name), Protection(_)), refused);
    }

    #[rstest]
    #[case("proxy_set_header X-Original-URL $scheme://$host$request_uri;\nproxy_set_header A \"b\";", true)]
    #[case("# deny all;\nproxy_set_header A b;", true)]
    #[case("proxy_set_header A b; deny all;", false)]
    #[case("if ($x) { return 403; }", false)]
    fn a_snippet_with_headers_only_does_not_protect(#[case] snippet: &str, #[case] expected: bool) {
        assert_eq!(sets_only_headers(snippet), expected);
    }
}
