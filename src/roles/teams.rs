//! The rules that name teams: values of claims, filtered, stripped and mapped, as far as a header carries them.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use super::Origin;
use super::condition::Condition;
use super::index::Index;
use crate::principal::{IdentityClaims, Team};

#[derive(Clone, Debug)]
pub(super) struct TeamRule {
    pub origin: Origin,
    pub provider: Option<Box<str>>,
    pub condition: Condition,
    /// Taken off the front of a value that has it.
    pub strip: Box<str>,
    /// The teams' names by what is left; what it lacks names no team.
    pub map: Option<HashMap<Box<str>, Box<str>>>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct TeamRules {
    rules: Vec<TeamRule>,
    index: Index,
}

pub(super) const MOST_TEAMS: usize = 128;

/// nginx takes 4 KB of response headers by default and answers 500 beyond; the other identity
/// headers and a cookie need up to a third of it.
pub(super) const TEAMS_BYTES: usize = 2560;

impl TeamRules {
    pub fn new(rules: Vec<TeamRule>) -> Self {
        let index = Index::new(rules.iter().map(|rule| (rule.provider.as_deref(), &rule.condition)));
        Self { rules, index }
    }

    pub fn iter(&self) -> impl Iterator<Item = &TeamRule> {
        self.rules.iter()
    }

    /// The teams, sorted, with `more` besides what the rules name, and how many values were left out.
    pub fn of<'a>(&'a self, identities: &'a [IdentityClaims], more: impl Iterator<Item = Cow<'a, str>>) -> (Vec<Team>, u32) {
        let mut names: BTreeSet<_> = more.collect();
        for identity in identities {
            self.index.visit(identity, |rules, value| {
                names.extend(rules.iter().filter_map(|number| self.rules[*number as usize].name(value)));
            });
        }
        bounded(&names)
    }

    /// What [`Self::of`] must agree with: every rule tried, one after the other.
    pub fn of_by_trying<'a>(
        &'a self,
        identities: &'a [IdentityClaims],
        more: impl Iterator<Item = Cow<'a, str>>,
    ) -> (Vec<Team>, u32) {
        let mut names: BTreeSet<_> = more.collect();
        for rule in &self.rules {
            let about = identities.iter().filter(|identity| rule.is_about(identity));
            names.extend(about.flat_map(|identity| rule.condition.matching(identity)).filter_map(|value| rule.name(&value)));
        }
        bounded(&names)
    }
}

impl TeamRule {
    pub fn is_about(&self, identity: &IdentityClaims) -> bool {
        identity.is_from(self.provider.as_deref())
    }

    pub fn names_any(&self, identity: &IdentityClaims) -> bool {
        self.is_about(identity) && self.condition.matching(identity).iter().any(|value| self.name(value).is_some())
    }

    /// The team that a matching value stands for.
    pub fn name<'a>(&'a self, value: &Cow<'a, str>) -> Option<Cow<'a, str>> {
        let left = without_prefix(value, &self.strip);
        match &self.map {
            None => Some(left),
            Some(map) => map.get(&*left).map(|name| Cow::Borrowed(&**name)),
        }
    }
}

fn bounded(names: &BTreeSet<Cow<'_, str>>) -> (Vec<Team>, u32) {
    let mut bytes = 0;
    let teams: Vec<Team> = names
        .iter()
        .filter(|name| fits_a_list(name))
        // One that is too long must not take those after it along.
        .filter(|name| {
            let longer = bytes + name.len() + 1;
            let fits = longer <= TEAMS_BYTES;
            bytes = if fits { longer } else { bytes };
            fits
        })
        .take(MOST_TEAMS)
        .map(|name| Team::new(&**name))
        .collect();
    let dropped = u32::try_from(names.len() - teams.len()).unwrap_or(u32::MAX);
    (teams, dropped)
}

fn without_prefix<'a>(value: &Cow<'a, str>, prefix: &str) -> Cow<'a, str> {
    match value {
        Cow::Borrowed(value) => Cow::Borrowed(value.strip_prefix(prefix).unwrap_or(value)),
        Cow::Owned(value) => Cow::Owned(value.strip_prefix(prefix).unwrap_or(value).to_owned()),
    }
}

/// Teams travel in one header, separated by commas, and a reader trims blanks: a value that would
/// arrive as another one, or as several, is left out.
pub(super) fn fits_a_list(value: &str) -> bool {
    !value.is_empty() && value.trim() == value && !value.chars().any(|c| c == ',' || c.is_control())
}
