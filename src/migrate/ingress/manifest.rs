//! Reads Ingresses from Kubernetes manifests.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use crate::yaml::{self, Mistakes, Subset, shown};

/// The prefix of ingress-nginx' annotations.
pub const PREFIX: &str = "nginx.ingress.kubernetes.io/";

/// The name of an object in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectRef {
    pub namespace: String,
    pub name: String,
}

/// The objects of all manifests. Annotations may be secrets, so there is no `Debug`.
#[derive(Default)]
pub struct Input {
    pub ingresses: Vec<RawIngress>,
    /// The kinds and names of other objects.
    pub skipped: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("{0}")]
    Yaml(Mistakes),
    #[error("line {0}: is not a Kubernetes manifest with `apiVersion`, `kind` and `metadata`")]
    NotAManifest(u64),
    #[error(
        "{0}: does not have the form of an Ingress of networking.k8s.io/v1; labels and annotations must be texts, so quote them"
    )]
    Form(String),
    #[error("{0}: has the version {1}; get it as networking.k8s.io/v1, for example with `kubectl get ingress --output yaml`")]
    Version(String, String),
}

/// An Ingress as the manifest has it.
pub struct RawIngress {
    /// The number of the Ingress in the input.
    pub index: usize,
    pub metadata: ObjectMetadata,
    pub spec: Spec,
}

#[derive(Default, Deserialize)]
pub struct ObjectMetadata {
    #[serde(default)]
    pub name: String,
    pub namespace: Option<String>,
    pub annotations: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    pub default_backend: Option<Value>,
    #[serde(default)]
    pub tls: Vec<Tls>,
    #[serde(default)]
    pub rules: Vec<IngressRule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    #[serde(default)]
    pub hosts: Vec<String>,
    pub secret_name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct IngressRule {
    pub host: Option<String>,
    pub http: Option<HttpRule>,
}

#[derive(Debug, Deserialize)]
pub struct HttpRule {
    pub paths: Vec<RawPath>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RawPath {
    pub path: Option<String>,
    pub path_type: Option<String>,
    pub backend: RawBackend,
}

#[derive(Debug, Deserialize)]
pub struct RawBackend {
    pub service: Option<RawService>,
}

#[derive(Debug, Deserialize)]
pub struct RawService {
    pub name: String,
    #[serde(default)]
    pub port: RawPort,
}

#[derive(Debug, Default, Deserialize)]
pub struct RawPort {
    pub name: Option<String>,
    pub number: Option<u16>,
}

impl Input {
    /// Adds the objects of a text with one or more documents, or of a list.
    pub fn read(&mut self, text: &str) -> Result<(), ManifestError> {
        let parsed = yaml::parse_stream(text, Subset::Core);
        if !parsed.mistakes.is_empty() {
            return Err(ManifestError::Yaml(parsed.mistakes.into()));
        }
        for root in parsed.roots.iter().filter(|root| !root.is_null()) {
            self.add(yaml::json::to_json(root), root.place.line().unwrap_or_default())?;
        }
        Ok(())
    }

    fn add(&mut self, mut object: Value, line: u64) -> Result<(), ManifestError> {
        let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
        let (Some(version), Some(kind)) = (text("apiVersion"), text("kind")) else {
            return Err(ManifestError::NotAManifest(line));
        };
        if let Some(items) = object.get_mut("items").and_then(Value::as_array_mut).filter(|_| kind.ends_with("List")) {
            return std::mem::take(items).into_iter().try_for_each(|item| self.add_item(item, &version, &kind, line));
        }
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let label = format!("{} {} (line {line})", shown(&kind).trim_matches('`'), shown(name).trim_matches('`'));
        match (kind.as_str(), version.as_str()) {
            ("Ingress", "networking.k8s.io/v1") => self.add_ingress(object, label),
            ("Ingress", "extensions/v1beta1" | "networking.k8s.io/v1beta1") => Err(ManifestError::Version(label, version)),
            _ => {
                self.skipped.push(label);
                Ok(())
            }
        }
    }

    /// The items of an IngressList need no kind of their own.
    fn add_item(&mut self, mut item: Value, version: &str, kind: &str, line: u64) -> Result<(), ManifestError> {
        if let Some(object) = item.as_object_mut().filter(|_| kind != "List") {
            object.entry("apiVersion").or_insert_with(|| version.into());
            object.entry("kind").or_insert_with(|| kind.trim_end_matches("List").into());
        }
        self.add(item, line)
    }

    fn add_ingress(&mut self, object: Value, label: String) -> Result<(), ManifestError> {
        #[derive(Deserialize)]
        struct Object {
            metadata: ObjectMetadata,
            #[serde(default)]
            spec: Spec,
        }
        // The error would repeat values, which may be secrets.
        let Object { metadata, spec } = serde_json::from_value(object).map_err(|_| ManifestError::Form(label))?;
        self.ingresses.push(RawIngress { index: self.ingresses.len(), metadata, spec });
        Ok(())
    }
}

impl RawIngress {
    /// True if ingress-nginx sends auth requests for it.
    pub fn is_protected(&self) -> bool {
        self.annotations().any(|(name, _)| name == "auth-url")
    }

    /// The annotations of ingress-nginx, without their prefix.
    pub fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.metadata.annotations.iter().flatten();
        all.filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, value.as_str())))
    }

    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    pub fn host_names(&self) -> impl Iterator<Item = &str> {
        self.spec.rules.iter().map(|rule| rule.host.as_deref().unwrap_or_default())
    }
}

impl fmt::Display for RawIngress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = self.metadata.namespace.as_deref().unwrap_or_default();
        let separator = if namespace.is_empty() { "" } else { "/" };
        let name = format!("{namespace}{separator}{}", self.metadata.name);
        write!(f, "Ingress {}", shown(&name).trim_matches('`'))
    }
}

impl std::str::FromStr for ObjectRef {
    type Err = String;

    /// Parses `namespace/name`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (namespace, name) = text.split_once('/').ok_or("must be NAMESPACE/NAME")?;
        if is_label(namespace) && is_name(name) {
            return Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() });
        }
        Err("must be NAMESPACE/NAME, each of the letters a-z, digits and `-`".to_owned())
    }
}

/// True for a name of a Namespace or a Service (RFC 1123).
pub fn is_label(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// True for a name of most objects, and for a host name.
pub fn is_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}
