//! Warns about patterns with wildcards on values that look like lists, in which a part of any entry can match.

use serde::Serialize;

use crate::json::Value;
use crate::principal::{IdentityClaims, RuleName, Source};
use crate::role_map::condition::Condition;
use crate::role_map::split::Split;
use crate::role_map::{RoleMap, RuleOrigin};

/// A rule that reads a list as one value.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct ListWarning {
    pub rule: RuleName,
    pub line: u64,
    #[serde(rename = "why")]
    pub reason: String,
}

impl RoleMap {
    /// The warnings of rules about roles and teams, in the order of lines.
    pub(super) fn list_warnings(&self, identities: &[IdentityClaims]) -> Vec<ListWarning> {
        let rules = self.rules.iter().flat_map(|rule| {
            let identities = identities.iter().filter(|identity| rule.matches_provider(identity));
            identities.flat_map(move |identity| rule.conditions.iter().map(move |condition| (&rule.origin, condition, identity)))
        });
        let teams = self.teams.iter().flat_map(|rule| {
            let identities = identities.iter().filter(|identity| rule.matches_provider(identity));
            identities.map(move |identity| (&rule.origin, &rule.condition, identity))
        });
        let warnings = rules.chain(teams).filter_map(|(origin, condition, identity)| warn(origin, condition, identity));
        let mut warnings: Vec<_> = warnings.collect();
        warnings.sort_by(|a, b| (a.line, &a.reason).cmp(&(b.line, &b.reason)));
        warnings.dedup();
        warnings
    }
}

fn warn(origin: &RuleOrigin, condition: &Condition, identity: &IdentityClaims) -> Option<ListWarning> {
    let Condition { selector, pattern } = condition;
    if selector.split.is_some() || !pattern.has_wildcard() {
        return None;
    }
    let values = selector.values(identity);
    let (value, split) = values.iter().find_map(|value| {
        let split = Split::detect(value)?;
        // An entry of a list may be a name with blanks.
        (split != Split::Space || is_single_text(condition, identity)).then_some((value, split))
    })?;
    let reason = format!(
        "{} has {value:?}, which looks like a list, and {pattern} has a wildcard, which can match a part of any entry; set `split: {}`",
        selector.claim,
        split.as_str()
    );
    Some(ListWarning { rule: origin.name.clone(), line: origin.line, reason })
}

/// True if the claim is one string in a source that the condition reads.
fn is_single_text(condition: &Condition, identity: &IdentityClaims) -> bool {
    let is_read = |source: &Source| condition.selector.source.is_none_or(|wanted| wanted == *source);
    let sources = Source::ALL.into_iter().filter(is_read).filter_map(|source| identity.source(source));
    sources.into_iter().any(|claims| condition.selector.claim.find(claims).is_some_and(Value::is_string))
}
