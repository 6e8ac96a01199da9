//! The rules that grant roles. Every one is tried over every identity; the highest privilege wins.

use super::condition::Condition;
use super::index::{Index, Number};
use super::{Origin, Rank};
use crate::principal::{IdentityClaims, Role};

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
        // The condition that selects least stands first and finds the rule.
        for rule in &mut rules {
            rule.conditions.sort_by_cached_key(|condition| std::cmp::Reverse(condition.pattern.shape()));
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

impl Rule {
    pub fn is_about(&self, identity: &IdentityClaims) -> bool {
        self.provider.as_deref().is_none_or(|provider| provider == identity.provider)
    }

    pub fn holds(&self, identity: &IdentityClaims) -> bool {
        self.is_about(identity) && self.conditions.iter().all(|condition| condition.holds(identity))
    }

    fn further_conditions_hold(&self, identity: &IdentityClaims) -> bool {
        self.conditions[1..].iter().all(|condition| condition.holds(identity))
    }
}
