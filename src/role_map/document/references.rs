//! Checks the names in a document against the configuration.

use super::litellm;
use crate::access::{AccessRules, UpstreamCredential};
use crate::principal::{HeaderEncoding, Source};
use crate::role_map::RoleMap;
use crate::yaml::{Mistake, Mistakes, Place, shown};

/// The configured names that a document may use, and the settings that apply to it. Rules are not checked against a list
/// that is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfiguredNames {
    /// The ids of providers, and of token issuers without a provider.
    pub providers: Option<Vec<String>>,
    /// The ids of the providers whose directory provisions users.
    pub provisioned_providers: Option<Vec<String>>,
    /// The names of upstream credentials, and `assertion` if assertions are configured.
    pub upstream_credentials: Option<Vec<String>>,
    /// The encoding of identity headers for access rules that set none.
    pub identity_encoding: HeaderEncoding,
}

impl ConfiguredNames {
    /// Returns a warning if the upstream trusts a static credential and the role map does not limit the requests with it.
    pub fn access_warning(&self, map: &RoleMap) -> Option<String> {
        let names = self.upstream_credentials.iter().flatten();
        let names: Vec<&str> = names.map(String::as_str).filter(|name| *name != UpstreamCredential::Assertion.as_str()).collect();
        (!names.is_empty() && map.access().is_none()).then(|| {
            format!(
                "upstream_credential.static ({}): the role map has no `access` rules, so every user with a role can send any \
                 request with this credential to the upstream; add `access` rules",
                names.join(", ")
            )
        })
    }
}

pub(in crate::role_map) fn check_configured(map: &RoleMap, configured: &ConfiguredNames) -> Result<(), Mistakes> {
    let mut mistakes = Vec::new();
    if let Some(ids) = &configured.providers {
        check_providers(map, ids, &mut mistakes);
    }
    if let Some(ids) = &configured.provisioned_providers {
        check_provisioned_sources(map, ids, &mut mistakes);
    }
    if let Some(names) = &configured.upstream_credentials {
        check_upstream_credentials(map, names, &mut mistakes);
    }
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes.into()) }
}

/// A rule must name a configured provider. With several providers it must name one, since otherwise the claims of any
/// provider could grant the role.
fn check_providers(map: &RoleMap, configured: &[String], mistakes: &mut Vec<Mistake>) {
    let rules = map.rules.iter().map(|rule| (rule.provider.as_deref(), rule.origin.name.as_str(), rule.origin.line));
    let teams = map.teams.iter().map(|rule| (rule.provider.as_deref(), rule.origin.name.as_str(), rule.origin.line));
    // LiteLLM's fields share the provider of their section. It is reported once.
    let teams = teams.filter(|(_, name, _)| map.mappings.is_none() || !name.starts_with(litellm::SECTION));
    let teams =
        teams.map(|(id, name, line)| (id, if name.starts_with(litellm::SECTION) { litellm::SECTION } else { name }, line));
    let mappings = map.mappings.iter().map(|mappings| (mappings.provider.as_deref(), litellm::SECTION, mappings.line));
    for (provider, name, line) in rules.chain(mappings).chain(teams) {
        let text = match provider {
            Some(id) if !configured.iter().any(|known| known == id) => format!("provider {} is not configured", shown(id)),
            None if configured.len() > 1 => {
                "with several providers a rule must name one; otherwise claims of any provider would count".to_owned()
            }
            _ => continue,
        };
        mistakes.push(Mistake::new(format!("{name}.provider"), Place::Line(line), text));
    }
}

/// A rule may name the source `scim` only if it can have claims: if a directory of the rule's provider is configured.
fn check_provisioned_sources(map: &RoleMap, configured: &[String], mistakes: &mut Vec<Mistake>) {
    let rules = map.rules.iter().flat_map(|rule| rule.conditions.iter().map(move |found| (&rule.provider, &rule.origin, found)));
    let teams = map.teams.iter().map(|rule| (&rule.provider, &rule.origin, &rule.condition));
    for (provider, origin, condition) in rules.chain(teams) {
        if condition.selector.source != Some(Source::Scim) {
            continue;
        }
        let text = match provider.as_deref() {
            _ if configured.is_empty() => "scim has no claims, because `scim` is not configured".to_owned(),
            Some(id) if !configured.iter().any(|known| known == id) => {
                format!("scim has no claims of provider {}; `scim.provider` is {}", shown(id), configured.join(", "))
            }
            _ => continue,
        };
        mistakes.push(Mistake::new(format!("{}.source", origin.name.as_str()), Place::Line(origin.line), text));
    }
}

fn check_upstream_credentials(map: &RoleMap, configured: &[String], mistakes: &mut Vec<Mistake>) {
    for rule in map.access.iter().flat_map(AccessRules::rules) {
        let named = match &rule.upstream_credential {
            Some(named @ (UpstreamCredential::Assertion | UpstreamCredential::Static(_))) => named.as_str(),
            _ => continue,
        };
        if !configured.iter().any(|known| known == named) {
            let known = if configured.is_empty() { "none".to_owned() } else { configured.join(", ") };
            // The message does not repeat the name, which may be a misplaced credential.
            let text = format!("is not configured under `upstream_credential`; configured: {known}");
            mistakes.push(Mistake::new(format!("{}.upstream_credential", rule.name), Place::Line(rule.line), text));
        }
    }
}
