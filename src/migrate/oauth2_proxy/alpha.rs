//! Reads the alpha configuration of oauth2-proxy: its fields, and the options that they correspond to.

use super::input::{Layer, split};
use super::option;
use crate::yaml::tree::NodeValue;
use crate::yaml::{Node, shown};

/// The fields of the first provider, with the option that each corresponds to.
const PROVIDER_FIELDS: &[(&str, &str)] = &[
    ("clientID", "client-id"),
    ("clientSecret", "client-secret"),
    ("clientSecretFile", "client-secret-file"),
    ("provider", "provider"),
    ("name", "provider-display-name"),
    ("caFiles", "provider-ca-file"),
    ("useSystemTrustStore", "use-system-trust-store"),
    ("loginURL", "login-url"),
    ("authRequestResponseMode", "auth-request-response-mode"),
    ("redeemURL", "redeem-url"),
    ("profileURL", "profile-url"),
    ("skipClaimsFromProfileURL", "skip-claims-from-profile-url"),
    ("resource", "resource"),
    ("validateURL", "validate-url"),
    ("scope", "scope"),
    ("allowedGroups", "allowed-group"),
    ("code_challenge_method", "code-challenge-method"),
    ("backendLogoutURL", "backend-logout-url"),
    ("keycloakConfig.groups", "keycloak-group"),
    ("keycloakConfig.roles", "allowed-role"),
    ("azureConfig.tenant", "azure-tenant"),
    ("azureConfig.graphGroupField", "azure-graph-group-field"),
    ("microsoftEntraIDConfig.allowedTenants", "entra-id-allowed-tenant"),
    ("microsoftEntraIDConfig.federatedTokenAuth", "entra-id-federated-token-auth"),
    ("bitbucketConfig.team", "bitbucket-team"),
    ("bitbucketConfig.repository", "bitbucket-repository"),
    ("githubConfig.org", "github-org"),
    ("githubConfig.team", "github-team"),
    ("githubConfig.repo", "github-repo"),
    ("githubConfig.token", "github-token"),
    ("githubConfig.users", "github-user"),
    ("gitlabConfig.group", "gitlab-group"),
    ("gitlabConfig.projects", "gitlab-project"),
    ("googleConfig.group", "google-group"),
    ("googleConfig.adminEmail", "google-admin-email"),
    ("googleConfig.serviceAccountJson", "google-service-account-json"),
    ("googleConfig.useApplicationDefaultCredentials", "google-use-application-default-credentials"),
    ("googleConfig.targetPrincipal", "google-target-principal"),
    ("googleConfig.useOrganizationID", "google-use-organization-id"),
    ("googleConfig.adminAPIUserScope", "google-admin-api-user-scope"),
    ("oidcConfig.issuerURL", "oidc-issuer-url"),
    ("oidcConfig.insecureAllowUnverifiedEmail", "insecure-oidc-allow-unverified-email"),
    ("oidcConfig.insecureSkipIssuerVerification", "insecure-oidc-skip-issuer-verification"),
    ("oidcConfig.insecureSkipNonce", "insecure-oidc-skip-nonce"),
    ("oidcConfig.skipDiscovery", "skip-oidc-discovery"),
    ("oidcConfig.jwksURL", "oidc-jwks-url"),
    ("oidcConfig.publicKeyFiles", "oidc-public-key-file"),
    ("oidcConfig.emailClaim", "oidc-email-claim"),
    ("oidcConfig.groupsClaim", "oidc-groups-claim"),
    ("oidcConfig.userIDClaim", "user-id-claim"),
    ("oidcConfig.audienceClaims", "oidc-audience-claim"),
    ("oidcConfig.extraAudiences", "oidc-extra-audience"),
    ("oidcConfig.enabledSigningAlgs", "oidc-enabled-signing-alg"),
    ("loginGovConfig.jwtKey", "jwt-key"),
    ("loginGovConfig.jwtKeyFile", "jwt-key-file"),
    ("loginGovConfig.pubjwkURL", "pubjwk-url"),
];

/// Fields without an option, and the reason why Vestibule has no counterpart.
const OTHER_FIELDS: &[(&str, &str)] = &[
    ("providers[].id", "the provider's id in URLs and role maps is a short name."),
    ("providers[].ADFSConfig", "`providers[].scopes` has the scopes."),
    ("providers[].additionalClaims", "rules can read every claim."),
    ("providers[].loginURLParameters", "parameters with one fixed value are `authorization_params`; users cannot choose values."),
    ("upstreamConfig", "the gateway forwards requests to the upstream; configure it there."),
    ("injectRequestHeaders", "the upstream receives the identity headers `X-Auth-Request-…`, and no others."),
    ("injectResponseHeaders", "the check answers with the identity headers `X-Auth-Request-…`, and no others."),
    ("server", "`listen.public` and `listen.check` have the addresses; the gateway terminates TLS."),
    ("metricsServer", "`listen.admin` has the address of `/metrics`."),
];

/// Parameters of the login URL that are options.
const PARAMETERS: &[(&str, &str)] =
    &[("prompt", "prompt"), ("acr_values", "acr-values"), ("resource", "resource"), ("approval_prompt", "approval-prompt")];

#[derive(Default)]
pub struct AlphaFields {
    pub layer: Layer,
    pub remarks: Vec<String>,
    pub unknown: Vec<String>,
}

/// Renders the fields as Markdown.
pub fn reference() -> String {
    let mut text = "\n### Alpha configuration\n\n| field | option or Vestibule |\n| --- | --- |\n".to_owned();
    let provider = PROVIDER_FIELDS.iter().map(|(field, option)| format!("| `providers[].{field}` | `{option}` |\n"));
    let other = OTHER_FIELDS.iter().map(|(field, meaning)| format!("| `{field}` | {meaning} |\n"));
    text.extend(provider.chain(other));
    text
}

pub fn read(root: &Node) -> AlphaFields {
    let mut fields = AlphaFields::default();
    for (key, node) in entries(root) {
        match (key, &node.value) {
            ("providers", NodeValue::Seq(providers)) => fields.providers(providers),
            _ => fields.other(key, key),
        }
    }
    fields
}

impl AlphaFields {
    /// oauth2-proxy uses the first provider only.
    fn providers(&mut self, providers: &[Node]) {
        for (key, node) in providers.iter().take(1).flat_map(entries) {
            match &node.value {
                NodeValue::Seq(parameters) if key == "loginURLParameters" => self.login_parameters(parameters),
                NodeValue::Map(_) if !is_other(&format!("providers[].{key}")) => {
                    entries(node).for_each(|(inner, node)| self.provider_field(&format!("{key}.{inner}"), node));
                }
                _ => self.provider_field(key, node),
            }
        }
        if providers.len() > 1 {
            self.remarks.push("Only the first provider is converted, since oauth2-proxy uses no other.".to_owned());
        }
    }

    fn provider_field(&mut self, field: &str, node: &Node) {
        let known = PROVIDER_FIELDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(field));
        match known.and_then(|(_, flag)| option::of_flag(flag)) {
            Some(entry) => _ = self.layer.insert(entry.flag, split(entry, texts(node))),
            None => self.other(&format!("providers[].{field}"), field),
        }
    }

    fn login_parameters(&mut self, parameters: &[Node]) {
        for parameter in parameters {
            let field =
                |name: &str| entries(parameter).find(|(key, _)| *key == name).map(|(_, node)| texts(node)).unwrap_or_default();
            let name = field("name").pop().unwrap_or_default();
            let known = PARAMETERS.iter().find(|(known, _)| *known == name).and_then(|(_, flag)| option::of_flag(flag));
            match (known, field("default")) {
                (Some(entry), defaults) if defaults.len() == 1 => _ = self.layer.insert(entry.flag, defaults),
                _ => self.remarks.push(format!("the parameter {} of the login URL is not converted.", shown(&name))),
            }
        }
    }

    fn other(&mut self, path: &str, shown_as: &str) {
        match OTHER_FIELDS.iter().find(|(field, _)| field.eq_ignore_ascii_case(path)) {
            Some((field, meaning)) => self.remarks.push(format!("{field} is not converted: {meaning}")),
            None => self.unknown.push(shown(shown_as)),
        }
    }
}

fn is_other(path: &str) -> bool {
    OTHER_FIELDS.iter().any(|(field, _)| field.eq_ignore_ascii_case(path))
}

fn entries(node: &Node) -> impl Iterator<Item = (&str, &Node)> {
    let entries = match &node.value {
        NodeValue::Map(entries) => entries.as_slice(),
        _ => &[],
    };
    entries.iter().map(|entry| (entry.key.as_str(), &entry.value))
}

/// The value or the values of a field; none if it has another form.
fn texts(node: &Node) -> Vec<String> {
    match &node.value {
        NodeValue::Scalar(scalar) if !node.is_null() => vec![scalar.text.clone()],
        NodeValue::Seq(nodes) => nodes.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_of_a_provider_is_an_option() {
        assert!(PROVIDER_FIELDS.iter().chain(PARAMETERS).all(|(_, flag)| option::of_flag(flag).is_some()));
    }
}
