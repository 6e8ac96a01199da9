//! Tests the conversion of Ingresses.

mod refusals;
mod targets;

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::yaml::{Subset, json::to_json, parse_stream};

const TARGETS: [Target; 4] = [Target::Traefik, Target::EnvoyGateway, Target::GatewayApi, Target::Nginx];

fn settings(target: Target) -> IngressSettings {
    IngressSettings {
        target,
        namespace: "llm".to_owned(),
        vestibule: Some(ObjectRef { namespace: "auth".to_owned(), name: "door".to_owned() }),
        gateway: Some(ObjectRef { namespace: "gateways".to_owned(), name: "public".to_owned() }),
        dropped: BTreeSet::new(),
    }
}

fn convert_text(text: &str, settings: &IngressSettings) -> IngressConversion {
    let mut input = Input::default();
    input.read(text).expect("the manifests are valid");
    convert(input, settings)
}

/// An Ingress for `app.example.com` with the annotations, each a line without the prefix.
fn ingress(annotations: &[&str]) -> String {
    let annotations: String = annotations.iter().map(|line| format!("    nginx.ingress.kubernetes.io/{line}\n")).collect();
    format!(
        "apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: app
  namespace: apps
  annotations:
    cert-manager.io/issuer: x
{annotations}spec:
  tls: [{{hosts: [app.example.com], secretName: app-tls}}]
  rules:
    - host: app.example.com
      http:
        paths:
          - {{path: /, pathType: Prefix, backend: {{service: {{name: app, port: {{number: 80}}}}}}}}
"
    )
}

const AUTH: &str = "auth-url: http://oauth2-proxy.auth.svc.cluster.local:4180/oauth2/auth";

/// Parses the output, as the API server's client does.
fn documents(conversion: &IngressConversion) -> Vec<Value> {
    let text = conversion.text();
    let parsed = parse_stream(&text, Subset::Plain);
    assert!(parsed.mistakes.is_empty(), "{text}\n{:?}", parsed.mistakes);
    parsed.roots.iter().map(to_json).filter(|value| !value.is_null()).collect()
}

fn text_at<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list_at<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The objects of a kind.
fn of_kind<'a>(documents: &'a [Value], kind: &'static str) -> impl Iterator<Item = &'a Value> {
    documents.iter().filter(move |document| text_at(document, "/kind") == kind)
}

/// Returns the routes to an app that have no check. The Service of Vestibule's own pages is `door-public`.
fn unprotected(documents: &[Value], target: Target) -> Vec<String> {
    let open = |route: &Value| {
        list_at(route, "/backendRefs")
            .iter()
            .chain(list_at(route, "/services"))
            .any(|backend| text_at(backend, "/name") != "door-public")
    };
    let mut found = Vec::new();
    for document in of_kind(documents, "IngressRoute") {
        let routes = list_at(document, "/spec/routes").iter().filter(|route| open(route));
        found.extend(routes.filter(|route| !has_check(route, documents)).map(ToString::to_string));
    }
    for document in of_kind(documents, "HTTPRoute") {
        let has_policy = of_kind(documents, "SecurityPolicy").any(|policy| protects(policy, document));
        let rules = list_at(document, "/spec/rules").iter().filter(|route| open(route));
        let has_filter =
            |rule: &&Value| list_at(rule, "/filters").iter().any(|filter| text_at(filter, "/type") == "ExternalAuth");
        found.extend(
            rules
                .filter(|rule| if target == Target::EnvoyGateway { !has_policy } else { !has_filter(rule) })
                .map(ToString::to_string),
        );
    }
    for document in of_kind(documents, "ConfigMap") {
        let text = text_at(document, "/data/vestibule.conf.template");
        if text.matches("proxy_pass http://vestibule_protected").count()
            != text.matches("auth_request /_vestibule_check;").count()
        {
            found.push(text.to_owned());
        }
    }
    found
}

/// True if a middleware of the route sends an auth request to the check, or refuses all requests.
fn has_check(route: &Value, documents: &[Value]) -> bool {
    list_at(route, "/middlewares").iter().any(|reference| {
        of_kind(documents, "Middleware").any(|middleware| {
            let is_same = ["name", "namespace"]
                .iter()
                .all(|field| text_at(middleware, &format!("/metadata/{field}")) == text_at(reference, &format!("/{field}")));
            let address = text_at(middleware, "/spec/forwardAuth/address");
            is_same && (address.contains("/auth/traefik?host=") || middleware.pointer("/spec/ipAllowList").is_some())
        })
    })
}

fn protects(policy: &Value, route: &Value) -> bool {
    let target = |field: &str| text_at(policy, &format!("/spec/targetRefs/0/{field}"));
    let has_check = text_at(policy, "/spec/extAuth/http/path").starts_with("/auth/envoy/")
        && policy.pointer("/spec/extAuth/failOpen") == Some(&false.into());
    has_check
        && target("name") == text_at(route, "/metadata/name")
        && text_at(policy, "/metadata/namespace") == text_at(route, "/metadata/namespace")
}

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}
