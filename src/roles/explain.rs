//! Why somebody got what they got: the rules that gave it, and those that came close.

use serde::Serialize;

use super::condition::{Case, Condition, Place};
use super::litellm::{Mapping, Mappings};
use super::local::TEAMS_RULE;
use super::teams::{TeamRule, fits_a_list};
use super::{Grants, Origin, RoleMap};
use crate::principal::{Grant, IdentityClaims, Role, RuleName, Source};

/// What the role map says of some claims, with its reasons. For the operator who has the claims: it tells them.
#[derive(Debug, Serialize)]
pub struct Explanation {
    pub role: Option<Role>,
    /// What gave the role.
    pub rule: Option<RuleName>,
    /// Where it stands; `None` for the default role.
    pub line: Option<u64>,
    /// A source that a rule relies on is missing, and the role map refuses such a person.
    pub refused_for_missing: Option<Source>,
    pub teams: Vec<Given>,
    /// Values that matched and name no team: no header can carry them, or there were too many.
    pub dropped_teams: Vec<Given>,
    /// Rules that held and gave less, or no more, than the one that won.
    pub outranked: Vec<Given>,
    pub near_misses: Vec<NearMiss>,
    /// Sources that rules name and that say nothing.
    pub missing_sources: Vec<Source>,
    /// Whether this holds for a first login only: who has signed in before keeps what they were given then.
    pub first_login_only: bool,
}

/// What a rule gave: a role, or a team.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Given {
    pub what: String,
    pub rule: RuleName,
    /// `None` for what an invitation gave.
    pub line: Option<u64>,
}

/// A rule that did not hold, though it was about something that these claims have.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct NearMiss {
    pub rule: RuleName,
    pub line: u64,
    /// What it would give; `None` for a rule that names teams.
    pub role: Option<Role>,
    pub why: String,
    #[serde(skip)]
    distance: Distance,
}

/// How far a rule was from holding; the nearest are told first.
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
        self.explain_grant(identities, self.judge(identities))
    }

    /// The same for a workload, whom the default role is not for.
    pub fn explain_workload(&self, identities: &[IdentityClaims]) -> Explanation {
        self.explain_grant(identities, self.judge_workload(identities))
    }

    fn explain_grant(&self, identities: &[IdentityClaims], grant: Grant) -> Explanation {
        let (teams, dropped_teams) = self.teams_given(identities, &grant);
        let mut missing_sources: Vec<_> = identities.iter().flat_map(|identity| self.missing_sources(identity)).collect();
        missing_sources.dedup();
        Explanation {
            outranked: self.outranked(identities, &grant),
            near_misses: self.near_misses(identities),
            refused_for_missing: grant.missing_source,
            line: grant.rule.as_ref().and_then(|rule| self.line_of(rule)),
            role: grant.role,
            rule: grant.rule,
            teams,
            dropped_teams,
            missing_sources,
            first_login_only: self.grants == Grants::StayAsFirstGiven,
        }
    }

    /// Where in the document a rule stands.
    pub fn line_of(&self, rule: &RuleName) -> Option<u64> {
        let mappings = self.mappings.iter().flat_map(|mappings| &mappings.mappings);
        let mut origins = self.rules.iter().map(|rule| &rule.origin).chain(mappings.map(|mapping| &mapping.origin));
        origins.find(|origin| origin.name == *rule).map(|origin| origin.line)
    }

    fn outranked(&self, identities: &[IdentityClaims], grant: &Grant) -> Vec<Given> {
        let rules = self.rules.iter().filter(|rule| identities.iter().any(|identity| rule.holds(identity)));
        let rules = rules.map(|rule| given(rule.role.as_str(), &rule.origin));
        let mapping = self.mappings.as_ref().and_then(|mappings| mappings.best(identities));
        let mapping = mapping.map(|mapping| given(mapping.role.as_str(), &mapping.origin));
        let local = self.local_role(identities).map(|(_, role, rule)| Given { what: role.to_string(), rule, line: None });
        rules.chain(mapping).chain(local).filter(|held| Some(&held.rule) != grant.rule.as_ref()).collect()
    }

    /// The teams with the rules that named them, and what named none.
    fn teams_given(&self, identities: &[IdentityClaims], grant: &Grant) -> (Vec<Given>, Vec<Given>) {
        let mut named = Vec::new();
        for rule in self.teams.iter() {
            let about = identities.iter().filter(|identity| rule.is_about(identity));
            for value in about.flat_map(|identity| rule.condition.matching(identity)) {
                named.extend(rule.name(&value).map(|name| given(&name, &rule.origin)));
            }
        }
        let local =
            |team: std::borrow::Cow<'_, str>| Given { what: team.into_owned(), rule: RuleName::new(TEAMS_RULE), line: None };
        named.extend(self.local_teams(identities).map(local));
        named.sort_by(|a, b| (&a.what, a.line).cmp(&(&b.what, b.line)));
        named.dedup();
        named.into_iter().partition(|name| fits_a_list(&name.what) && grant.teams.iter().any(|team| team.as_str() == name.what))
    }

    fn near_misses(&self, identities: &[IdentityClaims]) -> Vec<NearMiss> {
        let missed = self.rules.iter().filter(|rule| !identities.iter().any(|identity| rule.holds(identity)));
        let rules = missed.filter_map(|rule| {
            let reasons = identities.iter().filter_map(|identity| why_not(rule.provider.as_deref(), &rule.conditions, identity));
            near_miss(&rule.origin, Some(&rule.role), reasons)
        });
        let teams = self.teams.iter().filter(|rule| !identities.iter().any(|identity| rule.names_any(identity)));
        let teams = teams.filter_map(|rule| {
            near_miss(&rule.origin, None, identities.iter().filter_map(|identity| why_no_team(rule, identity)))
        });
        let mappings = self.mappings.iter().flat_map(|all| all.mappings.iter().map(move |mapping| (all, mapping)));
        let mappings = mappings.filter_map(|(all, mapping)| {
            let about = identities.iter().filter(|identity| all.is_about(identity));
            // One that counted for an identity is no miss.
            let reasons: Option<Vec<_>> = about.map(|identity| why_mapping_not(all, mapping, identity)).collect();
            near_miss(&mapping.origin, Some(&mapping.role), reasons?.into_iter().flatten())
        });
        let mut near: Vec<_> = rules.chain(teams).chain(mappings).collect();
        near.sort_by_key(|miss| (miss.distance, miss.line));
        near
    }
}

/// The nearest of the reasons that a rule has for each identity.
fn near_miss(origin: &Origin, role: Option<&Role>, reasons: impl Iterator<Item = (Distance, String)>) -> Option<NearMiss> {
    let (distance, why) = reasons.min_by_key(|(distance, _)| *distance)?;
    Some(NearMiss { rule: origin.name.clone(), line: origin.line, role: role.cloned(), why, distance })
}

fn given(what: &str, origin: &Origin) -> Given {
    Given { what: what.to_owned(), rule: origin.name.clone(), line: Some(origin.line) }
}

/// Why a rule does not hold for an identity; `None` where the two have nothing in common.
fn why_not(provider: Option<&str>, conditions: &[Condition], identity: &IdentityClaims) -> Option<(Distance, String)> {
    let failing: Vec<_> = conditions.iter().filter(|condition| !condition.holds(identity)).collect();
    if let Some(provider) = provider.filter(|provider| *provider != identity.provider) {
        let text = format!("it is about provider {provider:?}, and these claims are of {:?}", identity.provider);
        return failing.is_empty().then_some((Distance::OtherProvider, text));
    }
    let first = failing.first()?;
    let reason = why_condition_not(first, identity);
    let (held, all) = (conditions.len() - failing.len(), conditions.len());
    if held == 0 {
        return reason;
    }
    let why = reason.map_or_else(|| format!("the claim {} is absent", first.place.claim), |(_, why)| why);
    Some((Distance::SomeConditions, format!("{held} of its {all} conditions hold, but {why}")))
}

/// Why a rule names no team; `None` where it and the identity have nothing in common.
fn why_no_team(rule: &TeamRule, identity: &IdentityClaims) -> Option<(Distance, String)> {
    let unlisted = if rule.is_about(identity) { rule.condition.matching(identity) } else { Vec::new() };
    if unlisted.is_empty() {
        return why_not(rule.provider.as_deref(), std::slice::from_ref(&rule.condition), identity);
    }
    Some((Distance::Value, format!("{} has {}, and its `map` lists none of it", rule.condition.place.claim, listed(&unlisted))))
}

/// Why one of LiteLLM's mappings does not count for an identity; `None` where it does, `Some(None)` where the
/// two have nothing in common.
fn why_mapping_not(all: &Mappings, mapping: &Mapping, identity: &IdentityClaims) -> Option<Option<(Distance, String)>> {
    match all.first(identity) {
        Some(first) if first.origin == mapping.origin => None,
        Some(first) if mapping.condition.holds(identity) => {
            Some(Some((Distance::Shadowed, format!("{} matches too and stands before it", first.origin.name))))
        }
        _ => Some(match matching_but_for_case(&mapping.condition, identity) {
            // This section has no `ignore_case` to be told of.
            Some(value) => Some((Distance::Case, but_for_case(&mapping.condition, &value))),
            None => why_condition_not(&mapping.condition, identity),
        }),
    }
}

fn but_for_case(condition: &Condition, value: &str) -> String {
    format!("{} has {value:?}, which {} matches but for upper and lower case", condition.place.claim, condition.pattern)
}

fn why_condition_not(condition: &Condition, identity: &IdentityClaims) -> Option<(Distance, String)> {
    let Condition { place, pattern } = condition;
    let claim = &place.claim;
    if let Some(source) = place.source.filter(|source| identity.source(*source).is_none()) {
        return Some((Distance::SourceAbsent, format!("there are no claims from the {source}, which it names as its source")));
    }
    if let Some(value) = matching_but_for_case(condition, identity) {
        let text = format!("{claim} has {value:?}, which {pattern} matches only with `ignore_case: true`");
        return Some((Distance::Case, text));
    }
    let anywhere = Condition { place: Place { source: None, ..place.clone() }, pattern: pattern.clone() };
    if anywhere.holds(identity) {
        let source = place.source.map_or("", Source::as_str);
        let text = format!("{claim} matches {pattern} in another source than the {source}, which it names");
        return Some((Distance::OtherSource, text));
    }
    let values = place.values(identity);
    let present = Source::ALL.into_iter().filter_map(|source| identity.source(source)).any(|claims| claim.is_in(claims));
    match values.as_slice() {
        [] if present => Some((Distance::Value, format!("{claim} is there, but holds no text, number or boolean"))),
        [] => None,
        values => Some((Distance::Value, format!("{claim} has {}, and none matches {pattern}", listed(values)))),
    }
}

fn matching_but_for_case<'a>(condition: &Condition, identity: &'a IdentityClaims) -> Option<std::borrow::Cow<'a, str>> {
    let pattern = condition.pattern.in_lower_case();
    let mut values = condition.place.values(identity).into_iter();
    values.find(|value| pattern.matches(&Case::Ignored.fold(value)))
}

/// The first few, which are enough to see what is wrong.
fn listed(values: &[std::borrow::Cow<'_, str>]) -> String {
    const TOLD: usize = 5;
    let told: Vec<_> = values.iter().take(TOLD).map(|value| format!("{value:?}")).collect();
    let rest = values.len().saturating_sub(TOLD);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{}{more}", told.join(", "))
}
