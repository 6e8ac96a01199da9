//! Explains a grant: the rules that granted it, and the rules that nearly matched.

mod list_warnings;

pub use list_warnings::ListWarning;

use serde::Serialize;

use super::condition::{Case, Condition, ValueSelector};
use super::litellm::{Mapping, Mappings};
use super::local_grants::TEAMS_RULE;
use super::teams::TeamRule;
use super::{GrantPolicy, RoleMap, RuleOrigin};
use crate::json::Value;
use crate::principal::{Grant, IdentityClaims, Role, RuleName, Source};

/// The evaluation of claims, with its reasons. It repeats claim values, so it is only for operators who have them.
#[derive(Debug, Serialize)]
pub struct Explanation {
    pub role: Option<Role>,
    /// The rule that granted the role.
    pub rule: Option<RuleName>,
    /// The line of the rule; `None` for the default role.
    pub line: Option<u64>,
    /// The source whose absence makes the role map deny access.
    pub refused_for_missing: Option<Source>,
    pub teams: Vec<RuleGrant>,
    /// Matching values that name no team, because a header cannot carry them or the limit was reached.
    pub dropped_teams: Vec<RuleGrant>,
    /// Rules that match and grant no higher privilege than the rule that won.
    pub outranked: Vec<RuleGrant>,
    pub near_misses: Vec<NearMiss>,
    /// Patterns with wildcards that are matched against a whole list.
    pub warnings: Vec<ListWarning>,
    /// Sources that rules name and that have no claims.
    pub missing_sources: Vec<Source>,
    /// True if the explanation applies only to a first login: users who have signed in before keep their first grant.
    pub first_login_only: bool,
}

/// A role or a team that a rule grants.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct RuleGrant {
    #[serde(rename = "what")]
    pub name: String,
    pub rule: RuleName,
    /// `None` for a grant of an invitation.
    pub line: Option<u64>,
}

/// A rule that does not match, although the claims have values for it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct NearMiss {
    pub rule: RuleName,
    pub line: u64,
    /// The role that the rule would grant; `None` for a rule that names teams.
    pub role: Option<Role>,
    #[serde(rename = "why")]
    pub reason: String,
    #[serde(skip)]
    distance: Distance,
}

/// The distance of a rule from matching. The nearest rules are listed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Distance {
    Shadowed,
    SomeConditions,
    Case,
    OtherSource,
    OtherProvider,
    SourceAbsent,
    Value,
}

impl RoleMap {
    pub fn explain(&self, identities: &[IdentityClaims]) -> Explanation {
        self.explain_grant(identities, self.evaluate(identities))
    }

    /// Explains the grant of a workload, to which the default role does not apply.
    pub fn explain_workload(&self, identities: &[IdentityClaims]) -> Explanation {
        self.explain_grant(identities, self.evaluate_workload(identities))
    }

    fn explain_grant(&self, identities: &[IdentityClaims], grant: Grant) -> Explanation {
        let (teams, dropped_teams) = self.explain_teams(identities, &grant);
        let mut missing_sources: Vec<_> = identities.iter().flat_map(|identity| self.missing_sources(identity)).collect();
        missing_sources.dedup();
        Explanation {
            outranked: self.outranked(identities, &grant),
            near_misses: self.near_misses(identities),
            warnings: self.list_warnings(identities),
            refused_for_missing: grant.missing_source,
            line: grant.rule.as_ref().and_then(|rule| self.line_of(rule)),
            role: grant.role,
            rule: grant.rule,
            teams,
            dropped_teams,
            missing_sources,
            first_login_only: self.grants == GrantPolicy::KeepFirstGrant,
        }
    }

    /// The line of a rule in the document.
    pub fn line_of(&self, rule: &RuleName) -> Option<u64> {
        let mappings = self.mappings.iter().flat_map(|mappings| &mappings.mappings);
        let mut origins = self.rules.iter().map(|rule| &rule.origin).chain(mappings.map(|mapping| &mapping.origin));
        origins.find(|origin| origin.name == *rule).map(|origin| origin.line)
    }

    fn outranked(&self, identities: &[IdentityClaims], grant: &Grant) -> Vec<RuleGrant> {
        let rules = self.rules.iter().filter(|rule| identities.iter().any(|identity| rule.matches(identity)));
        let rules = rules.map(|rule| rule_grant(rule.role.as_str(), &rule.origin));
        let mapping = self.mappings.as_ref().and_then(|mappings| mappings.find_best(identities));
        let mapping = mapping.map(|mapping| rule_grant(mapping.role.as_str(), &mapping.origin));
        let local = self.local_role(identities).map(|(_, role, rule)| RuleGrant { name: role.to_string(), rule, line: None });
        rules.chain(mapping).chain(local).filter(|granted| Some(&granted.rule) != grant.rule.as_ref()).collect()
    }

    /// Returns the teams with the rules that named them, and the values that were dropped.
    fn explain_teams(&self, identities: &[IdentityClaims], grant: &Grant) -> (Vec<RuleGrant>, Vec<RuleGrant>) {
        let mut named = Vec::new();
        for rule in self.teams.iter() {
            let identities = identities.iter().filter(|identity| rule.matches_provider(identity));
            for value in identities.flat_map(|identity| rule.condition.matching_values(identity)) {
                named.extend(rule.team_name(&value).map(|name| rule_grant(&name, &rule.origin)));
            }
        }
        let local =
            |team: std::borrow::Cow<'_, str>| RuleGrant { name: team.into_owned(), rule: RuleName::new(TEAMS_RULE), line: None };
        named.extend(self.local_teams(identities).map(local));
        named.sort_by(|a, b| (&a.name, a.line).cmp(&(&b.name, b.line)));
        named.dedup();
        named.into_iter().partition(|name| grant.teams.iter().any(|team| team.as_str() == name.name))
    }

    fn near_misses(&self, identities: &[IdentityClaims]) -> Vec<NearMiss> {
        let missed = self.rules.iter().filter(|rule| !identities.iter().any(|identity| rule.matches(identity)));
        let rules = missed.filter_map(|rule| {
            let reasons =
                identities.iter().filter_map(|identity| explain_mismatch(rule.provider.as_deref(), &rule.conditions, identity));
            near_miss(&rule.origin, Some(&rule.role), reasons)
        });
        let teams = self.teams.iter().filter(|rule| !identities.iter().any(|identity| rule.has_team(identity)));
        let teams = teams.filter_map(|rule| {
            near_miss(&rule.origin, None, identities.iter().filter_map(|identity| explain_team_mismatch(rule, identity)))
        });
        let mappings = self.mappings.iter().flat_map(|all| all.mappings.iter().map(move |mapping| (all, mapping)));
        let mappings = mappings.filter_map(|(all, mapping)| {
            let identities = identities.iter().filter(|identity| all.matches_provider(identity));
            // A mapping that counts for an identity is not a near miss.
            let reasons: Option<Vec<_>> = identities.map(|identity| explain_mapping_mismatch(all, mapping, identity)).collect();
            near_miss(&mapping.origin, Some(&mapping.role), reasons?.into_iter().flatten())
        });
        let mut near: Vec<_> = rules.chain(teams).chain(mappings).collect();
        near.sort_by_key(|miss| (miss.distance, miss.line));
        near
    }
}

/// Returns the near miss with the smallest distance among the identities.
fn near_miss(origin: &RuleOrigin, role: Option<&Role>, reasons: impl Iterator<Item = (Distance, String)>) -> Option<NearMiss> {
    let (distance, reason) = reasons.min_by_key(|(distance, _)| *distance)?;
    Some(NearMiss { rule: origin.name.clone(), line: origin.line, role: role.cloned(), reason, distance })
}

fn rule_grant(name: &str, origin: &RuleOrigin) -> RuleGrant {
    RuleGrant { name: name.to_owned(), rule: origin.name.clone(), line: Some(origin.line) }
}

/// Explains why a rule does not match an identity; `None` if the two have nothing in common.
fn explain_mismatch(provider: Option<&str>, conditions: &[Condition], identity: &IdentityClaims) -> Option<(Distance, String)> {
    let failing: Vec<_> = conditions.iter().filter(|condition| !condition.matches(identity)).collect();
    if let Some(provider) = provider.filter(|provider| *provider != identity.provider) {
        let text = format!("it is for provider {provider:?}, and these claims are from {:?}", identity.provider);
        return failing.is_empty().then_some((Distance::OtherProvider, text));
    }
    let first = failing.first()?;
    let reason = explain_condition_mismatch(first, identity);
    let (matched, all) = (conditions.len() - failing.len(), conditions.len());
    if matched == 0 {
        return reason;
    }
    let reason = reason.map_or_else(|| format!("the claim {} is absent", first.selector.claim), |(_, reason)| reason);
    Some((Distance::SomeConditions, format!("{matched} of its {all} conditions match, but {reason}")))
}

/// Explains why a rule names no team; `None` if it and the identity have nothing in common.
fn explain_team_mismatch(rule: &TeamRule, identity: &IdentityClaims) -> Option<(Distance, String)> {
    let unnamed = if rule.matches_provider(identity) { rule.condition.matching_values(identity) } else { Vec::new() };
    if unnamed.is_empty() {
        return explain_mismatch(rule.provider.as_deref(), std::slice::from_ref(&rule.condition), identity);
    }
    let is_captured =
        |value: &std::borrow::Cow<'_, str>| rule.capture.as_ref().is_none_or(|capture| capture.name(value).is_some());
    let reason =
        if unnamed.iter().any(is_captured) { "its `map` lists none of them" } else { "its `capture` matches none of them" };
    Some((Distance::Value, format!("{} has {}, and {reason}", rule.condition.selector.claim, format_values(&unnamed))))
}

/// Explains why one of LiteLLM's mappings does not count for an identity; `None` if it counts, `Some(None)` if the two have
/// nothing in common.
fn explain_mapping_mismatch(all: &Mappings, mapping: &Mapping, identity: &IdentityClaims) -> Option<Option<(Distance, String)>> {
    match all.find_first(identity) {
        Some(first) if first.origin == mapping.origin => None,
        Some(first) if mapping.condition.matches(identity) => {
            Some(Some((Distance::Shadowed, format!("{} matches too and comes before it", first.origin.name))))
        }
        _ => Some(match find_case_mismatch(&mapping.condition, identity) {
            // This section has no `ignore_case` to suggest.
            Some(value) => Some((Distance::Case, describe_case_mismatch(&mapping.condition, &value))),
            None => explain_condition_mismatch(&mapping.condition, identity),
        }),
    }
}

fn describe_case_mismatch(condition: &Condition, value: &str) -> String {
    format!("{} has {value:?}, which {} matches except for upper and lower case", condition.selector.claim, condition.pattern)
}

fn explain_condition_mismatch(condition: &Condition, identity: &IdentityClaims) -> Option<(Distance, String)> {
    let Condition { selector, pattern } = condition;
    let claim = &selector.claim;
    if let Some(source) = selector.source.filter(|source| identity.source(*source).is_none()) {
        return Some((Distance::SourceAbsent, format!("there are no claims from the {source}, which it names as its source")));
    }
    if let Some(value) = find_case_mismatch(condition, identity) {
        let text = format!("{claim} has {value:?}, which {pattern} matches only with `ignore_case: true`");
        return Some((Distance::Case, text));
    }
    let anywhere = Condition { selector: ValueSelector { source: None, ..selector.clone() }, pattern: pattern.clone() };
    if anywhere.matches(identity) {
        let source = selector.source.map_or("", Source::as_str);
        let text = format!("{claim} matches {pattern}, but not in the {source}, which it names as its source");
        return Some((Distance::OtherSource, text));
    }
    let values = selector.values(identity);
    let sources = || Source::ALL.into_iter().filter_map(|source| identity.source(source));
    let is_present = sources().any(|claims| claim.is_in(claims));
    let is_object = sources().any(|claims| claim.find(claims).is_some_and(Value::is_object));
    match values.as_slice() {
        [] if is_object => {
            Some((Distance::Value, format!("{claim} is an object, which has no value; write {claim}.{{}} for its keys")))
        }
        [] if is_present => Some((Distance::Value, format!("{claim} is present, but has no text, number or boolean"))),
        [] => None,
        values => Some((Distance::Value, format!("{claim} has {}, and none matches {pattern}", format_values(values)))),
    }
}

fn find_case_mismatch<'a>(condition: &Condition, identity: &'a IdentityClaims) -> Option<std::borrow::Cow<'a, str>> {
    let pattern = condition.pattern.in_lower_case();
    let mut values = condition.selector.values(identity).into_iter();
    values.find(|value| pattern.matches(&Case::Ignored.fold(value)))
}

/// Formats the first few values, which suffice to find a mistake.
fn format_values(values: &[std::borrow::Cow<'_, str>]) -> String {
    const MAX_VALUES: usize = 5;
    let formatted: Vec<_> = values.iter().take(MAX_VALUES).map(|value| format!("{value:?}")).collect();
    let rest = values.len().saturating_sub(MAX_VALUES);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{}{more}", formatted.join(", "))
}
