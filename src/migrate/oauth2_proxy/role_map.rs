//! Writes the role map: one rule for each combination of conditions under which oauth2-proxy lets a user pass.

use super::access;
use super::input::Options;
use super::provider::{ConvertedProvider, ProviderKind};
use super::restriction::{self, Conditions};
use super::values::claim_path;
use crate::yaml::emit::{Map, YamlValue};

/// The role of all users, since oauth2-proxy has no roles.
const ROLE: &str = "internal_user";

/// More rules are hard to review.
const MAX_RULES: usize = 500;

pub fn convert(options: &Options, provider: &ConvertedProvider, remarks: &mut Vec<String>) -> Result<Map, Vec<String>> {
    let restrictions = restriction::all(options, provider);
    let count = restrictions.iter().try_fold(1_usize, |count, alternatives| count.checked_mul(alternatives.len()));
    if count.is_none_or(|count| count > MAX_RULES) {
        return Err(vec![format!(
            "email-domain: with the groups there are more than {MAX_RULES} combinations; write the role map yourself"
        )]);
    }
    let combinations = restrictions.iter().fold(vec![Conditions::new()], |combinations, alternatives| {
        let extended = |so_far: &Conditions| {
            alternatives.iter().map(|more| [so_far.as_slice(), more.as_slice()].concat()).collect::<Vec<_>>()
        };
        combinations.iter().flat_map(extended).collect()
    });
    if combinations.is_empty() {
        remarks.push(
            "No user gets a role: the options restrict users in a way that no rule can express. Write rules before you start."
                .to_owned(),
        );
    }
    let is_open = restrictions.is_empty();
    if is_open {
        remarks.push("Every account of the provider may sign in, as with oauth2-proxy.".to_owned());
    }
    let rules: YamlValue = combinations.iter().filter(|_| !is_open).map(|conditions| rule(conditions, provider)).collect();
    let mut map = Map::new().with("version", 1_u16).with("default_role", if is_open { ROLE } else { "none" });
    if !is_open && !combinations.is_empty() {
        map.set("rules", rules);
    }
    map.set_some("teams", teams(provider).map(|teams| vec![teams]));
    map.set_some("access", access::convert(options, remarks));
    Ok(map)
}

fn rule(conditions: &Conditions, provider: &ConvertedProvider) -> Map {
    let map = Map::new().with("provider", provider.id).with("role", ROLE);
    match conditions.as_slice() {
        [condition] => condition.add_to(map),
        several => map.with("all", several.iter().map(|condition| condition.add_to(Map::new())).collect::<YamlValue>()),
    }
}

/// The upstream receives the same groups as before.
fn teams(provider: &ConvertedProvider) -> Option<Map> {
    let map = Map::new().with("provider", provider.id);
    match provider.kind {
        ProviderKind::Google | ProviderKind::GitHub if !provider.has_directory => None,
        ProviderKind::Google => Some(map.with("source", "directory").with("claim", "groups").with("match", "*")),
        ProviderKind::GitHub => Some(map.with("source", "directory").with("claim", "teams").with("match", "*")),
        _ => Some(map.with("claim", claim_path(&provider.groups_claim)).with("match", "*")),
    }
}
