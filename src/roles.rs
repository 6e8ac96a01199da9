//! The role map: what the claims of a person's identities grant. Plain functions, no I/O.

mod claim;
mod document;
mod glob;
mod in_force;

use std::borrow::Cow;
use std::collections::BTreeSet;

pub use document::{Mistake, RoleMapError, What};
pub use in_force::{InForce, RoleMaps, compile};

use crate::principal::{Grant, IdentityClaims, Role, RuleName, Team};
use claim::ClaimPath;
use glob::Glob;

/// A compiled document. `Default` is the map without a document: no rules, the default role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleMap {
    default_role: Option<(Role, RuleName)>,
    rules: Vec<Rule>,
    teams: Vec<TeamRule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    selector: Selector,
    role: Role,
    /// The role's place in the list of roles: 0 is the highest privilege.
    rank: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct TeamRule {
    selector: Selector,
    /// Taken off the front of a value that has it.
    strip: Box<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Selector {
    provider: Option<Box<str>>,
    claim: ClaimPath,
    glob: Glob,
    origin: Origin,
}

/// Where in the document a rule stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    name: RuleName,
    line: u64,
}

const MOST_TEAMS: usize = 128;

/// nginx takes 4 KB of response headers by default and answers 500 beyond; the other identity
/// headers and a cookie need up to a third of it.
const TEAMS_BYTES: usize = 2560;

impl RoleMap {
    /// Reads and compiles a document; all mistakes of meaning are reported at once.
    pub fn parse(text: &str) -> Result<Self, RoleMapError> {
        document::parse(text)
    }

    /// Whether every rule fits the configured providers: it names one of them, and it names one at
    /// all when there are several, since otherwise any of them could grant what one was meant to.
    pub fn check_providers(&self, configured: &[&str]) -> Result<(), RoleMapError> {
        document::check_providers(self, configured)
    }

    pub fn rule_count(&self) -> usize {
        self.rules.len() + self.teams.len()
    }

    /// What a person with these identities gets: of all rules over all identities the one with the
    /// highest privilege (the first of equals), else the default role.
    pub fn judge(&self, identities: &[IdentityClaims]) -> Grant {
        let best = self
            .rules
            .iter()
            .filter(|rule| rule.selector.selects(identities))
            .min_by_key(|rule| rule.rank)
            .map(|rule| (rule.role.clone(), rule.selector.origin.name.clone()));
        let (role, rule) = best.or_else(|| self.default_role.clone()).unzip();
        let (teams, dropped) = self.teams_of(identities);
        Grant { role, teams, rule, dropped }
    }

    fn teams_of(&self, identities: &[IdentityClaims]) -> (Vec<Team>, u32) {
        let values: BTreeSet<Cow<'_, str>> = self.teams.iter().flat_map(|rule| rule.values(identities)).collect();
        let found = values.len();
        let mut bytes = 0;
        let teams: Vec<Team> = values
            .into_iter()
            .filter(|value| fits_a_list(value))
            .take_while(|value| {
                bytes += value.len() + 1;
                bytes <= TEAMS_BYTES
            })
            .take(MOST_TEAMS)
            .map(Team::new)
            .collect();
        let dropped = u32::try_from(found - teams.len()).unwrap_or(u32::MAX);
        (teams, dropped)
    }
}

impl Default for RoleMap {
    fn default() -> Self {
        document::default_map()
    }
}

impl TeamRule {
    fn values<'a>(&'a self, identities: &'a [IdentityClaims]) -> impl Iterator<Item = Cow<'a, str>> {
        let values = self.selector.values(identities);
        values.map(|value| without_prefix(value, &self.strip))
    }
}

impl Selector {
    fn selects(&self, identities: &[IdentityClaims]) -> bool {
        self.values(identities).next().is_some()
    }

    /// The matching values in every source of every identity that the rule is about.
    fn values<'a>(&'a self, identities: &'a [IdentityClaims]) -> impl Iterator<Item = Cow<'a, str>> {
        identities
            .iter()
            .filter(|identity| self.is_about(identity))
            .flat_map(IdentityClaims::sources)
            .flat_map(|claims| self.claim.values(claims))
            .filter(|value| self.glob.matches(value))
    }

    fn is_about(&self, identity: &IdentityClaims) -> bool {
        self.provider.as_deref().is_none_or(|provider| provider == identity.provider)
    }
}

fn without_prefix<'a>(value: Cow<'a, str>, prefix: &str) -> Cow<'a, str> {
    match value {
        Cow::Borrowed(value) => Cow::Borrowed(value.strip_prefix(prefix).unwrap_or(value)),
        Cow::Owned(value) => Cow::Owned(value.strip_prefix(prefix).unwrap_or(&value).to_owned()),
    }
}

/// Teams travel in one header, separated by commas, and a reader trims blanks: a value that would
/// arrive as another one, or as several, is left out.
fn fits_a_list(value: &str) -> bool {
    !value.is_empty() && value.trim() == value && !value.chars().any(|c| c == ',' || c.is_control())
}

#[cfg(test)]
mod tests;
