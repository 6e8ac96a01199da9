//! Checks a document against the configuration.

use super::litellm;
use crate::access::{AccessRules, UpstreamCredential};
use crate::roles::RoleMap;
use crate::yaml::{Mistake, Mistakes, Place, shown};

/// The names that a document may use. A list that is `None` isn't known, and rules are not checked against it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configured {
    /// The ids of providers, and of token issuers that stand for none.
    pub providers: Option<Vec<String>>,
    /// The names of upstream credentials, and `assertion` where it can be signed.
    pub upstream_credentials: Option<Vec<String>>,
}

pub(in crate::roles) fn check(map: &RoleMap, configured: &Configured) -> Result<(), Mistakes> {
    let mut mistakes = Vec::new();
    if let Some(ids) = &configured.providers {
        check_providers(map, ids, &mut mistakes);
    }
    if let Some(names) = &configured.upstream_credentials {
        check_upstream_credentials(map, names, &mut mistakes);
    }
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes.into()) }
}

/// A rule names one of the providers, and it names one at all when there are several, since otherwise any of them could
/// grant the roles that one was meant to.
fn check_providers(map: &RoleMap, configured: &[String], mistakes: &mut Vec<Mistake>) {
    let rules = map.rules.iter().map(|rule| (rule.provider.as_deref(), rule.origin.name.as_str(), rule.origin.line));
    let teams = map.teams.iter().map(|rule| (rule.provider.as_deref(), rule.origin.name.as_str(), rule.origin.line));
    // LiteLLM's fields share their section's provider, which is reported once.
    let teams = teams.filter(|(_, name, _)| map.mappings.is_none() || !name.starts_with(litellm::SECTION));
    let teams =
        teams.map(|(id, name, line)| (id, if name.starts_with(litellm::SECTION) { litellm::SECTION } else { name }, line));
    let mappings = map.mappings.iter().map(|mappings| (mappings.provider.as_deref(), litellm::SECTION, mappings.line));
    for (provider, name, line) in rules.chain(mappings).chain(teams) {
        let text = match provider {
            Some(id) if !configured.iter().any(|known| known == id) => format!("provider {} is not configured", shown(id)),
            None if configured.len() > 1 => {
                "with several providers a rule must name its own: anybody's claims would count".to_owned()
            }
            _ => continue,
        };
        mistakes.push(Mistake::new(format!("{name}.provider"), Place::Line(line), text));
    }
}

fn check_upstream_credentials(map: &RoleMap, configured: &[String], mistakes: &mut Vec<Mistake>) {
    for rule in map.access.iter().flat_map(AccessRules::rules) {
        let named = match &rule.upstream_credential {
            Some(named @ (UpstreamCredential::Assertion | UpstreamCredential::Static(_))) => named.as_str(),
            _ => continue,
        };
        if !configured.iter().any(|known| known == named) {
            let known = if configured.is_empty() { "nothing".to_owned() } else { configured.join(", ") };
            // The name is not repeated: it may be a credential in the wrong place.
            let text = format!("names nothing that is configured under `upstream_credential`: there is {known}");
            mistakes.push(Mistake::new(format!("{}.upstream_credential", rule.name), Place::Line(rule.line), text));
        }
    }
}
