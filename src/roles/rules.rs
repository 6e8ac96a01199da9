//! The rules that grant roles. Every one is tried over every identity; the highest privilege wins.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::condition::{Condition, Place};
use super::index::{Index, Number};
use super::{Origin, Rank};
use crate::{
    glob::Shape,
    principal::{IdentityClaims, Role},
};

#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub origin: Origin,
    pub provider: Option<Box<str>>,
    /// All of them must hold, in one identity. There is at least one.
    pub conditions: Vec<Condition>,
    pub role: Role,
    pub rank: Rank,
}

/// The rules in the order of privilege, the document's order among equals: the first that holds wins.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    rules: Vec<Rule>,
    index: Index,
}

impl Rules {
    pub fn new(mut rules: Vec<Rule>) -> Self {
        rules.sort_by_key(|rule| rule.rank);
        let shared = shared(&rules);
        // The condition that selects least stands first and finds the rule: one that can be looked up, and that
        // few other rules have. `email_verified` is `true` for nearly everybody.
        for Rule { provider, conditions, .. } in &mut rules {
            conditions.sort_by_cached_key(|condition| {
                let shape = condition.pattern.shape();
                (shape == Shape::Other, shared[&asked(provider.as_deref(), condition)], Reverse(shape))
            });
        }
        let index = Index::new(rules.iter().map(|rule| (rule.provider.as_deref(), &rule.conditions[0])));
        Self { rules, index }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    pub fn best(&self, identities: &[IdentityClaims]) -> Option<&Rule> {
        let mut best = Number::MAX;
        for identity in identities {
            self.index.visit(identity, |rules, _| {
                let better = rules.iter().take_while(|number| **number < best);
                let holds = |number: &&Number| self.rules[**number as usize].further_conditions_hold(identity);
                best = better.copied().find(|number| holds(&number)).unwrap_or(best);
            });
        }
        self.rules.get(best as usize)
    }

    /// What [`Self::best`] must agree with: every rule tried, one after the other.
    pub fn best_by_trying(&self, identities: &[IdentityClaims]) -> Option<&Rule> {
        self.rules.iter().find(|rule| identities.iter().any(|identity| rule.holds(identity)))
    }
}

/// What a condition asks, and of whose claims.
type Asked = (Option<Box<str>>, Place, String);

fn asked(provider: Option<&str>, condition: &Condition) -> Asked {
    (provider.map(Box::from), condition.place.clone(), condition.pattern.to_string())
}

/// How many conditions ask the same.
fn shared(rules: &[Rule]) -> HashMap<Asked, usize> {
    let mut shared = HashMap::new();
    for rule in rules {
        for condition in &rule.conditions {
            *shared.entry(asked(rule.provider.as_deref(), condition)).or_default() += 1;
        }
    }
    shared
}

impl Rule {
    pub fn is_about(&self, identity: &IdentityClaims) -> bool {
        identity.is_from(self.provider.as_deref())
    }

    pub fn holds(&self, identity: &IdentityClaims) -> bool {
        self.is_about(identity) && self.conditions.iter().all(|condition| condition.holds(identity))
    }

    fn further_conditions_hold(&self, identity: &IdentityClaims) -> bool {
        self.conditions[1..].iter().all(|condition| condition.holds(identity))
    }
}
