//! Evaluates the rules that grant roles. Of all rules that match an identity, the one with the highest privilege wins.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::condition::{Condition, ValueSelector};
use super::index::{RoleRuleNumber, RuleIndex};
use super::{Rank, RuleOrigin};
use crate::{
    glob::Shape,
    principal::{IdentityClaims, Role},
};

#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub origin: RuleOrigin,
    pub provider: Option<Box<str>>,
    /// The conditions, which must all match in one identity. There is at least one.
    pub conditions: Vec<Condition>,
    pub role: Role,
    pub rank: Rank,
}

/// The rules in the order of privilege, and of the document among equals. The first rule that matches wins.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    rules: Vec<Rule>,
    index: RuleIndex,
}

impl Rules {
    pub fn new(mut rules: Vec<Rule>) -> Self {
        rules.sort_by_key(|rule| rule.rank);
        let counts = count_conditions(&rules);
        // The most selective condition comes first, and the index finds the rule by it: a condition that can be looked up
        // and that few other rules have. `email_verified` is `true` for nearly every user.
        for Rule { provider, conditions, .. } in &mut rules {
            conditions.sort_by_cached_key(|condition| {
                let shape = condition.pattern.shape();
                (shape == Shape::Other, counts[&condition_key(provider.as_deref(), condition)], Reverse(shape))
            });
        }
        let index = RuleIndex::new(rules.iter().map(|rule| (rule.provider.as_deref(), &rule.conditions[0])));
        Self { rules, index }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    pub fn find_best(&self, identities: &[IdentityClaims]) -> Option<&Rule> {
        let mut best = RoleRuleNumber::MAX;
        for identity in identities {
            self.index.visit(identity, |rules, _| {
                let better = rules.iter().take_while(|number| **number < best);
                let matches = |number: &&RoleRuleNumber| self.rules[**number as usize].is_match_of_further_conditions(identity);
                best = better.copied().find(|number| matches(&number)).unwrap_or(best);
            });
        }
        self.rules.get(best as usize)
    }

    /// Finds the best rule without the index. Tests compare it with [`Self::find_best`].
    pub fn find_best_exhaustively(&self, identities: &[IdentityClaims]) -> Option<&Rule> {
        self.rules.iter().find(|rule| identities.iter().any(|identity| rule.matches(identity)))
    }
}

/// A rule's provider, a value selector and a pattern. Equal conditions of several rules have equal keys.
type ConditionKey = (Option<Box<str>>, ValueSelector, String);

fn condition_key(provider: Option<&str>, condition: &Condition) -> ConditionKey {
    (provider.map(Box::from), condition.selector.clone(), condition.pattern.to_string())
}

/// Counts the conditions with equal keys.
fn count_conditions(rules: &[Rule]) -> HashMap<ConditionKey, usize> {
    let mut counts = HashMap::new();
    for rule in rules {
        for condition in &rule.conditions {
            *counts.entry(condition_key(rule.provider.as_deref(), condition)).or_default() += 1;
        }
    }
    counts
}

impl Rule {
    pub fn matches_provider(&self, identity: &IdentityClaims) -> bool {
        identity.is_from(self.provider.as_deref())
    }

    pub fn matches(&self, identity: &IdentityClaims) -> bool {
        self.matches_provider(identity) && self.conditions.iter().all(|condition| condition.matches(identity))
    }

    fn is_match_of_further_conditions(&self, identity: &IdentityClaims) -> bool {
        self.conditions[1..].iter().all(|condition| condition.matches(identity))
    }
}
