//! Whether a document fits what is configured elsewhere.

use super::litellm;
use super::mistakes::{Mistakes, RoleMapError, What};
use crate::access::{AccessRules, UpstreamCredential};
use crate::roles::RoleMap;

/// What a document may name. What is `None` isn't known, and rules are not judged by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configured {
    /// The ids of providers, and of token issuers that stand for none.
    pub providers: Option<Vec<String>>,
    /// The names of upstream credentials, and `assertion` where it can be signed.
    pub upstream_credentials: Option<Vec<String>>,
}

pub(in crate::roles) fn check(map: &RoleMap, configured: &Configured) -> Result<(), RoleMapError> {
    let mut mistakes = Mistakes::default();
    if let Some(ids) = &configured.providers {
        check_providers(map, ids, &mut mistakes);
    }
    if let Some(names) = &configured.upstream_credentials {
        check_upstream_credentials(map, names, &mut mistakes);
    }
    mistakes.into_result()
}

/// A rule names one of the providers, and it names one at all when there are several, since otherwise any of them could
/// grant what one was meant to.
fn check_providers(map: &RoleMap, configured: &[String], mistakes: &mut Mistakes) {
    let rules = map.rules.iter().map(|rule| (rule.provider.as_deref(), rule.origin.name.as_str(), rule.origin.line));
    let teams = map.teams.iter().map(|rule| (rule.provider.as_deref(), rule.origin.name.as_str(), rule.origin.line));
    // LiteLLM's fields share their section's provider.
    let teams =
        teams.map(|(id, name, line)| (id, if name.starts_with(litellm::SECTION) { litellm::SECTION } else { name }, line));
    let mappings = map.mappings.iter().map(|mappings| (mappings.provider.as_deref(), litellm::SECTION, mappings.line));
    for (provider, name, line) in rules.chain(mappings).chain(teams) {
        let what = match provider {
            Some(id) if !configured.iter().any(|known| known == id) => What::UnknownProvider(id.to_owned()),
            None if configured.len() > 1 => What::NoProvider,
            _ => continue,
        };
        mistakes.add(format!("{name}.provider"), line, what);
    }
}

fn check_upstream_credentials(map: &RoleMap, configured: &[String], mistakes: &mut Mistakes) {
    for rule in map.access.iter().flat_map(AccessRules::rules) {
        let named = match &rule.upstream_credential {
            Some(named @ (UpstreamCredential::Assertion | UpstreamCredential::Static(_))) => named.as_str(),
            _ => continue,
        };
        if !configured.iter().any(|known| known == named) {
            let known = if configured.is_empty() { "nothing".to_owned() } else { configured.join(", ") };
            let what = What::UnknownUpstreamCredential(known);
            mistakes.add(format!("{}.upstream_credential", rule.name), rule.line, what);
        }
    }
}
