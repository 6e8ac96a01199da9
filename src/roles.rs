//! The role map: what the claims of a person's identities grant. Plain functions, no I/O.
//!
//! A document is read and judged whole ([`document`]), and compiled: rules that grant roles ([`rules`]),
//! rules that name teams ([`teams`]), LiteLLM's own mappings ([`litellm`]), and the access rules.

mod condition;
mod document;
mod documents;
mod explain;
mod in_force;
mod index;
mod litellm;
mod local;
mod rules;
mod teams;

pub use document::{Configured, schema};
pub use documents::{Documents, Verdict};
pub use explain::{Explanation, Given, NearMiss};
pub use in_force::{InForce, RefusedEdit, RoleMaps, compile, text_of};

use std::collections::BTreeSet;

use crate::yaml::Mistakes;
use crate::{
    access::AccessRules,
    principal::{Grant, IdentityClaims, Pinned, Role, RuleName, Source},
};
use litellm::Mappings;
use local::Local;
use rules::{Rule, Rules};
use teams::TeamRules;

/// A role's place in the list of roles: 0 is the highest privilege.
type Rank = usize;

/// A compiled document. `Default` is the map without a document: no rules, the default role.
#[derive(Clone, Debug)]
pub struct RoleMap {
    roles: Vec<Role>,
    default_role: Option<Role>,
    rules: Rules,
    teams: TeamRules,
    mappings: Option<Mappings>,
    access: Option<AccessRules>,
    missing_source: MissingSource,
    grants: Grants,
    local: Local,
    /// Sources that rules name, each with the provider that the rule is about.
    named_sources: Vec<(Option<Box<str>>, Source)>,
}

/// What becomes of a person while a source that a rule names says nothing of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MissingSource {
    Ignored,
    Refused,
}

/// Whether a person's grant follows their claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grants {
    FollowClaims,
    StayAsFirstGiven,
}

/// Where in the document a rule stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    name: RuleName,
    line: u64,
}

const DEFAULT_ROLE_RULE: &str = "default_role";

impl RoleMap {
    /// Reads and compiles a document; all its mistakes are reported at once.
    pub fn parse(text: &str) -> Result<Self, Mistakes> {
        document::parse(text, std::iter::empty())
    }

    /// The same with fragments, each with the name of where it comes from: rules and teams that others than the
    /// document's owner may add, as far as it delegates roles to them.
    pub fn parse_with_fragments<'a>(text: &str, fragments: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, Mistakes> {
        document::parse(text, fragments)
    }

    /// What holds while there ought to be a document and is none: nothing is granted to anybody.
    pub fn closed() -> Self {
        document::closed_map()
    }

    /// Whether every rule fits what is configured elsewhere.
    pub fn check_configured(&self, configured: &Configured) -> Result<(), Mistakes> {
        document::check(self, configured)
    }

    pub fn rule_count(&self) -> usize {
        let mappings = self.mappings.as_ref().map_or(0, |mappings| mappings.mappings.len());
        let access = self.access.as_ref().map_or(0, |access| access.rules().len());
        self.rules.iter().count() + self.teams.iter().count() + mappings + access
    }

    /// The ids of the providers that rules name, each once.
    pub fn named_providers(&self) -> Vec<&str> {
        let mappings = self.mappings.iter().map(|mappings| &mappings.provider);
        let teams = self.teams.iter().map(|rule| &rule.provider);
        let all = self.rules.iter().map(|rule| &rule.provider).chain(teams).chain(mappings);
        let ids: BTreeSet<_> = all.filter_map(Option::as_deref).collect();
        ids.into_iter().collect()
    }

    /// What requests need; `None`: every signed-in person may do everything.
    pub fn access(&self) -> Option<&AccessRules> {
        self.access.as_ref()
    }

    /// What a person gets: what was pinned at their first sign-in, if grants are to stay so, else what
    /// their claims say now.
    pub fn grant(&self, identities: &[IdentityClaims], pinned: Option<&Pinned>) -> Grant {
        // A role that is no longer listed is none any more.
        let pinned = pinned.filter(|pinned| self.grants == Grants::StayAsFirstGiven && self.roles.contains(&pinned.role));
        match pinned {
            None => self.judge(identities),
            Some(Pinned { role, rule, teams }) => {
                Grant { role: Some(role.clone()), rule: Some(rule.clone()), teams: teams.clone(), ..Grant::default() }
            }
        }
    }

    /// The roles from this one downwards; all of them where it is none.
    pub fn roles_from(&self, highest: Option<&Role>) -> &[Role] {
        let first = highest.and_then(|highest| self.roles.iter().position(|role| role == highest));
        &self.roles[first.unwrap_or(0)..]
    }

    /// What people get whom no rule names.
    pub fn default_role(&self) -> Option<&Role> {
        self.default_role.as_ref()
    }

    /// The role of this name, if it is listed.
    pub fn role(&self, name: &str) -> Option<Role> {
        self.roles.iter().find(|role| role.as_str() == name).cloned()
    }

    /// Whichever of two roles has the lower privilege; none where one of them isn't listed any more.
    pub fn lower_of(&self, one: &Role, other: &Role) -> Option<Role> {
        let rank = |wanted: &Role| self.roles.iter().position(|role| role == wanted);
        let lower = rank(one)?.max(rank(other)?);
        Some(self.roles[lower].clone())
    }

    /// What is to be kept of a grant for good.
    pub fn pin(&self, grant: &Grant) -> Option<Pinned> {
        let (role, rule) = (grant.role.clone()?, grant.rule.clone()?);
        (self.grants == Grants::StayAsFirstGiven).then(|| Pinned { role, rule, teams: grant.teams.clone() })
    }

    /// What these claims say: of all rules over all identities the one with the highest privilege
    /// (the first of equals), else the default role.
    pub fn judge(&self, identities: &[IdentityClaims]) -> Grant {
        self.judge_or(identities, || self.by_default())
    }

    /// The same for a workload: it has a role by a rule, or none. The default role is for people.
    pub fn judge_workload(&self, identities: &[IdentityClaims]) -> Grant {
        self.judge_or(identities, || None)
    }

    fn judge_or(&self, identities: &[IdentityClaims], otherwise: impl FnOnce() -> Option<(Role, RuleName)>) -> Grant {
        if let Some(source) = self.refused_for(identities) {
            return Grant { missing_source: Some(source), ..Grant::default() };
        }
        let (role, rule) = self.best_of(self.rules.best(identities), identities).or_else(otherwise).unzip();
        let (teams, dropped) = self.teams.of(identities, self.local_teams(identities));
        Grant { role, teams, rule, dropped, missing_source: None }
    }

    /// What [`Self::judge`] must agree with: every rule tried, one after the other. For tests and benchmarks.
    #[doc(hidden)]
    pub fn judge_by_trying(&self, identities: &[IdentityClaims]) -> Grant {
        let best = self.best_of(self.rules.best_by_trying(identities), identities);
        let (role, rule) = best.or_else(|| self.by_default()).unzip();
        let (teams, dropped) = self.teams.of_by_trying(identities, self.local_teams(identities));
        Grant { role, teams, rule, dropped, missing_source: None }
    }

    /// The sources that a rule names for this identity and that say nothing.
    pub fn missing_sources(&self, identity: &IdentityClaims) -> impl Iterator<Item = Source> {
        let named = move |source: Source| {
            self.named_sources.iter().any(|(provider, named)| *named == source && identity.is_from(provider.as_deref()))
        };
        Source::ALL.into_iter().filter(move |source| identity.source(*source).is_none() && named(*source))
    }

    fn refused_for(&self, identities: &[IdentityClaims]) -> Option<Source> {
        let refused = self.missing_source == MissingSource::Refused;
        identities.iter().filter(|_| refused).find_map(|identity| self.missing_sources(identity).next())
    }

    fn best_of(&self, rule: Option<&Rule>, identities: &[IdentityClaims]) -> Option<(Role, RuleName)> {
        let rule = rule.map(|rule| (rule.rank, rule.role.clone(), rule.origin.name.clone()));
        let mapping = self.mappings.as_ref().and_then(|mappings| mappings.best(identities));
        let mapping = mapping.map(|mapping| (mapping.rank, mapping.role.clone(), mapping.origin.name.clone()));
        let all = rule.into_iter().chain(mapping).chain(self.local_role(identities));
        all.min_by_key(|(rank, ..)| *rank).map(|(_, role, rule)| (role, rule))
    }

    fn by_default(&self) -> Option<(Role, RuleName)> {
        self.default_role.clone().map(|role| (role, RuleName::new(DEFAULT_ROLE_RULE)))
    }
}

impl Default for RoleMap {
    fn default() -> Self {
        document::default_map()
    }
}

#[cfg(test)]
mod tests;
