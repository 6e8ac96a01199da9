//! Evaluates the rules that name teams: filters, strips and maps claim values, within the limits of a header.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use super::RuleOrigin;
use super::capture::Capture;
use super::condition::Condition;
use super::index::RuleIndex;
pub(super) use crate::principal::MAX_TEAMS_BYTES;
use crate::principal::{IdentityClaims, Team, names_within};

#[derive(Clone, Debug)]
pub(super) struct TeamRule {
    pub origin: RuleOrigin,
    pub provider: Option<Box<str>>,
    pub condition: Condition,
    /// Finds the team's name within a value.
    pub capture: Option<Capture>,
    /// The prefix that is removed from names.
    pub strip: Box<str>,
    /// The teams' names by stripped value. Values without an entry name no team.
    pub map: Option<HashMap<Box<str>, Box<str>>>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct TeamRules {
    rules: Vec<TeamRule>,
    index: RuleIndex,
    commas: CommaPolicy,
}

/// The policy for team names with a comma, which only percent-encoded headers can carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum CommaPolicy {
    #[default]
    Drop,
    Keep,
}

pub(super) const MAX_TEAMS: usize = 128;

impl TeamRules {
    pub fn new(rules: Vec<TeamRule>, commas: CommaPolicy) -> Self {
        let index = RuleIndex::new(rules.iter().map(|rule| (rule.provider.as_deref(), &rule.condition)));
        Self { rules, index, commas }
    }

    pub fn with_commas(self) -> Self {
        Self { commas: CommaPolicy::Keep, ..self }
    }

    pub fn iter(&self) -> impl Iterator<Item = &TeamRule> {
        self.rules.iter()
    }

    /// Returns the sorted teams of the rules and of `more`, and the number of values that were dropped.
    pub fn collect<'a>(&'a self, identities: &'a [IdentityClaims], more: impl Iterator<Item = Cow<'a, str>>) -> (Vec<Team>, u32) {
        let mut names: BTreeSet<_> = more.collect();
        for identity in identities {
            self.index.visit(identity, |rules, value| {
                names.extend(rules.iter().filter_map(|number| self.rules[*number as usize].team_name(value)));
            });
        }
        limit_teams(&names, self.commas)
    }

    /// Collects the teams without the index. Tests compare it with [`Self::collect`].
    pub fn collect_exhaustively<'a>(
        &'a self,
        identities: &'a [IdentityClaims],
        more: impl Iterator<Item = Cow<'a, str>>,
    ) -> (Vec<Team>, u32) {
        let mut names: BTreeSet<_> = more.collect();
        for rule in &self.rules {
            let identities = identities.iter().filter(|identity| rule.matches_provider(identity));
            let values = identities.flat_map(|identity| rule.condition.matching_values(identity));
            names.extend(values.filter_map(|value| rule.team_name(&value)));
        }
        limit_teams(&names, self.commas)
    }
}

impl TeamRule {
    pub fn matches_provider(&self, identity: &IdentityClaims) -> bool {
        identity.is_from(self.provider.as_deref())
    }

    pub fn has_team(&self, identity: &IdentityClaims) -> bool {
        self.matches_provider(identity)
            && self.condition.matching_values(identity).iter().any(|value| self.team_name(value).is_some())
    }

    /// Returns the team's name for a matching value.
    pub fn team_name<'a>(&'a self, value: &Cow<'a, str>) -> Option<Cow<'a, str>> {
        let named = match &self.capture {
            Some(capture) => Cow::Owned(capture.name(value)?),
            None => value.clone(),
        };
        let stripped = strip_prefix(&named, &self.strip);
        match &self.map {
            None => Some(stripped),
            Some(map) => map.get(&*stripped).map(|name| Cow::Borrowed(&**name)),
        }
    }
}

fn limit_teams(names: &BTreeSet<Cow<'_, str>>, commas: CommaPolicy) -> (Vec<Team>, u32) {
    let valid = names.iter().filter(|name| match commas {
        CommaPolicy::Drop => is_valid_team_name(name),
        CommaPolicy::Keep => is_valid_in_list(name),
    });
    let teams: Vec<Team> = names_within(valid, MAX_TEAMS_BYTES).take(MAX_TEAMS).map(|name| Team::new(&**name)).collect();
    let dropped = u32::try_from(names.len() - teams.len()).unwrap_or(u32::MAX);
    (teams, dropped)
}

fn strip_prefix<'a>(value: &Cow<'a, str>, prefix: &str) -> Cow<'a, str> {
    match value {
        Cow::Borrowed(value) => Cow::Borrowed(value.strip_prefix(prefix).unwrap_or(value)),
        Cow::Owned(value) => Cow::Owned(value.strip_prefix(prefix).unwrap_or(value).to_owned()),
    }
}

/// True if a name can be sent unchanged in the teams header, which separates teams by commas.
pub(super) fn is_valid_team_name(value: &str) -> bool {
    is_valid_in_list(value) && !value.contains(',')
}

/// True if a name has no control character, and no blank that a reader of the header trims.
fn is_valid_in_list(value: &str) -> bool {
    !value.is_empty() && value.trim() == value && !value.chars().any(char::is_control)
}
