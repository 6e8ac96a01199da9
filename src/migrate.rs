//! Converts the configuration of other products: Ingresses of ingress-nginx to the manifests of another gateway, and the
//! options of oauth2-proxy to a configuration and a role map.

pub mod ingress;
pub mod oauth2_proxy;
