//! Evaluates the role map: grants a role and teams by the claims of a user's identities. Performs no I/O.
//!
//! A document is parsed and validated as a whole ([`document`]) and compiled into rules that grant roles ([`rules`]),
//! rules that name teams ([`teams`]), LiteLLM's mappings ([`litellm`]) and access rules.

mod active_role_map;
mod capture;
mod condition;
mod document;
mod explain;
mod fragments;
mod index;
mod litellm;
mod local_grants;
mod rules;
mod split;
mod teams;

pub use active_role_map::{ActiveRoleMap, RefusedEdit, RoleMaps, compile, decode_document};
pub use document::{ConfiguredNames, schema};
pub use explain::{Explanation, ListWarning, NearMiss, RuleGrant};
pub use fragments::{Documents, EditOutcome};

use std::collections::BTreeSet;

use crate::yaml::Mistakes;
use crate::{
    access::{AccessRules, MatchedRules, RouteRule, RouteRules},
    principal::{Grant, HeaderEncoding, IdentityClaims, PinnedGrant, Role, RuleName, Source},
};
use litellm::Mappings;
use local_grants::LocalClaimsPolicy;
use rules::{Rule, Rules};
use teams::TeamRules;

/// A role's place in the list of roles: 0 is the highest privilege.
type Rank = usize;

/// A compiled document. `Default` is the role map without a document: no rules, and the default role for all users.
#[derive(Clone, Debug)]
pub struct RoleMap {
    roles: Vec<Role>,
    default_role: Option<Role>,
    rules: Rules,
    teams: TeamRules,
    mappings: Option<Mappings>,
    access: Option<AccessRules>,
    routes: RouteRules,
    /// The encoding of identity headers for access rules that set none.
    identity_encoding: HeaderEncoding,
    missing_source: MissingSourcePolicy,
    grants: GrantPolicy,
    local: LocalClaimsPolicy,
    /// The sources that rules name, each with the rule's provider.
    named_sources: Vec<(Option<Box<str>>, Source)>,
}

/// The policy for a user without claims from a source that a rule names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MissingSourcePolicy {
    Ignore,
    Deny,
}

/// The policy for a user's grant when their claims change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GrantPolicy {
    FollowClaims,
    KeepFirstGrant,
}

/// The name of a rule and its line in the document.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RuleOrigin {
    name: RuleName,
    line: u64,
}

const DEFAULT_ROLE_RULE: &str = "default_role";

impl RoleMap {
    /// Parses and compiles a document. Reports all its mistakes at once.
    pub fn parse(text: &str) -> Result<Self, Mistakes> {
        document::parse(text, std::iter::empty())
    }

    /// Parses and compiles a document with fragments, given as pairs of name and text. Fragments add rules and teams; their
    /// rules may grant only roles that the document delegates.
    pub fn parse_with_fragments<'a>(text: &str, fragments: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, Mistakes> {
        document::parse(text, fragments)
    }

    /// The role map that grants nothing. It is active while a configured document is missing.
    pub fn closed() -> Self {
        document::closed_map()
    }

    /// Checks that the providers and upstream credentials that rules name are configured.
    pub fn check_configured(&self, configured: &ConfiguredNames) -> Result<(), Mistakes> {
        document::check_configured(self, configured)
    }

    /// Applies the configured encoding of identity headers: with percent-encoding, team names may have commas.
    #[must_use]
    pub fn with_identity_encoding(self, encoding: HeaderEncoding) -> Self {
        let teams = match encoding {
            HeaderEncoding::Utf8 => self.teams,
            HeaderEncoding::Percent => self.teams.with_commas(),
        };
        Self { teams, identity_encoding: encoding, ..self }
    }

    /// The restrictions of the route with this name.
    pub fn route(&self, name: &str) -> Option<&RouteRule> {
        self.routes.get(name)
    }

    /// The encoding of the identity headers for a request that these access rules matched.
    pub fn identity_encoding(&self, rules: Option<&MatchedRules<'_>>) -> HeaderEncoding {
        rules.map_or(self.identity_encoding, |rules| rules.identity_encoding(self.identity_encoding))
    }

    pub fn rule_count(&self) -> usize {
        let mappings = self.mappings.as_ref().map_or(0, |mappings| mappings.mappings.len());
        let access = self.access.as_ref().map_or(0, |access| access.rules().len());
        self.rules.iter().count() + self.teams.iter().count() + mappings + access
    }

    /// The distinct ids of the providers that rules name.
    pub fn named_providers(&self) -> Vec<&str> {
        let mappings = self.mappings.iter().map(|mappings| &mappings.provider);
        let teams = self.teams.iter().map(|rule| &rule.provider);
        let all = self.rules.iter().map(|rule| &rule.provider).chain(teams).chain(mappings);
        let ids: BTreeSet<_> = all.filter_map(Option::as_deref).collect();
        ids.into_iter().collect()
    }

    /// The access rules. `None` if there are none: then every signed-in user has access to every path.
    pub fn access(&self) -> Option<&AccessRules> {
        self.access.as_ref()
    }

    /// Returns the user's grant: the pinned grant of their first sign-in if the document keeps it, else the evaluation of
    /// their current claims.
    pub fn grant(&self, identities: &[IdentityClaims], pinned: Option<&PinnedGrant>) -> Grant {
        // A pinned role that the document no longer lists is void.
        let pinned = pinned.filter(|pinned| self.grants == GrantPolicy::KeepFirstGrant && self.roles.contains(&pinned.role));
        match pinned {
            None => self.evaluate(identities),
            Some(PinnedGrant { role, rule, teams, .. }) => {
                Grant { role: Some(role.clone()), rule: Some(rule.clone()), teams: teams.clone(), ..Grant::default() }
            }
        }
    }

    /// The roles of this privilege and lower; all roles if `highest` is not listed.
    pub fn roles_from(&self, highest: Option<&Role>) -> &[Role] {
        let first = highest.and_then(|highest| self.roles.iter().position(|role| role == highest));
        &self.roles[first.unwrap_or(0)..]
    }

    /// The role of users without a role from a rule.
    pub fn default_role(&self) -> Option<&Role> {
        self.default_role.as_ref()
    }

    /// The role of this name; `None` if it is not listed.
    pub fn role(&self, name: &str) -> Option<Role> {
        self.roles.iter().find(|role| role.as_str() == name).cloned()
    }

    /// Returns the role with the lower privilege; `None` if one of the roles is no longer listed.
    pub fn lower_role(&self, one: &Role, other: &Role) -> Option<Role> {
        let rank = |wanted: &Role| self.roles.iter().position(|role| role == wanted);
        let lower = rank(one)?.max(rank(other)?);
        Some(self.roles[lower].clone())
    }

    /// Returns the part of a grant that is stored for the user; `None` if grants follow claims or there is no role.
    pub fn pin(&self, grant: &Grant) -> Option<PinnedGrant> {
        let (role, rule) = (grant.role.clone()?, grant.rule.clone()?);
        (self.grants == GrantPolicy::KeepFirstGrant).then(|| PinnedGrant {
            role,
            rule,
            teams: grant.teams.clone(),
            identity: None,
        })
    }

    /// Evaluates the claims: the rule with the highest privilege over all identities wins (the first of equals), else the
    /// default role.
    pub fn evaluate(&self, identities: &[IdentityClaims]) -> Grant {
        self.evaluate_with_default(identities, || self.default_grant())
    }

    /// Evaluates a workload's claims. The default role is for users only, so a workload without a matching rule has no role.
    pub fn evaluate_workload(&self, identities: &[IdentityClaims]) -> Grant {
        self.evaluate_without_default(identities)
    }

    /// Evaluates claims that grant a role only if a rule matches.
    pub fn evaluate_without_default(&self, identities: &[IdentityClaims]) -> Grant {
        self.evaluate_with_default(identities, || None)
    }

    fn evaluate_with_default(&self, identities: &[IdentityClaims], default: impl FnOnce() -> Option<(Role, RuleName)>) -> Grant {
        if let Some(source) = self.find_missing_source(identities) {
            return Grant { missing_source: Some(source), ..Grant::default() };
        }
        let (role, rule) = self.choose_role(self.rules.find_best(identities), identities).or_else(default).unzip();
        let (teams, dropped) = self.teams.collect(identities, self.local_teams(identities));
        Grant { role, teams, rule, dropped, missing_source: None }
    }

    /// Evaluates the claims without the index, by matching every rule in turn. For tests and benchmarks, which compare it
    /// with [`Self::evaluate`].
    #[doc(hidden)]
    pub fn evaluate_exhaustively(&self, identities: &[IdentityClaims]) -> Grant {
        let best = self.choose_role(self.rules.find_best_exhaustively(identities), identities);
        let (role, rule) = best.or_else(|| self.default_grant()).unzip();
        let (teams, dropped) = self.teams.collect_exhaustively(identities, self.local_teams(identities));
        Grant { role, teams, rule, dropped, missing_source: None }
    }

    /// The sources that rules name for this identity's provider and from which it has no claims.
    pub fn missing_sources(&self, identity: &IdentityClaims) -> impl Iterator<Item = Source> {
        let named = move |source: Source| {
            self.named_sources.iter().any(|(provider, named)| *named == source && identity.is_from(provider.as_deref()))
        };
        Source::ALL.into_iter().filter(move |source| identity.source(*source).is_none() && named(*source))
    }

    fn find_missing_source(&self, identities: &[IdentityClaims]) -> Option<Source> {
        let denies = self.missing_source == MissingSourcePolicy::Deny;
        identities.iter().filter(|_| denies).find_map(|identity| self.missing_sources(identity).next())
    }

    fn choose_role(&self, rule: Option<&Rule>, identities: &[IdentityClaims]) -> Option<(Role, RuleName)> {
        let rule = rule.map(|rule| (rule.rank, rule.role.clone(), rule.origin.name.clone()));
        let mapping = self.mappings.as_ref().and_then(|mappings| mappings.find_best(identities));
        let mapping = mapping.map(|mapping| (mapping.rank, mapping.role.clone(), mapping.origin.name.clone()));
        let all = rule.into_iter().chain(mapping).chain(self.local_role(identities));
        all.min_by_key(|(rank, ..)| *rank).map(|(_, role, rule)| (role, rule))
    }

    fn default_grant(&self) -> Option<(Role, RuleName)> {
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
