//! Finds the rules whose conditions match a user's claims without evaluating every rule.
//!
//! Rules are grouped by provider and value selector, so that each selector is read once. In a group, a pattern without
//! wildcards is found by the value, and a pattern that ends or begins with `*` by the prefixes or suffixes of the value
//! with the lengths in use. All other patterns are matched one by one.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::condition::{Condition, ValueSelector};
use crate::{
    glob::{Glob, Shape},
    principal::IdentityClaims,
};

/// The position of a rule in the list from which the index was built.
pub(super) type RoleRuleNumber = u32;

#[derive(Clone, Debug, Default)]
pub(super) struct RuleIndex(Vec<Group>);

#[derive(Clone, Debug)]
struct Group {
    provider: Option<Box<str>>,
    selector: ValueSelector,
    exact: HashMap<Box<str>, Vec<RoleRuleNumber>>,
    prefixes: AffixIndex,
    suffixes: AffixIndex,
    others: Vec<(Glob, RoleRuleNumber)>,
}

/// Rules by prefix or suffix, grouped by its length in bytes.
type AffixIndex = BTreeMap<usize, HashMap<Box<str>, Vec<RoleRuleNumber>>>;

impl RuleIndex {
    /// Each entry is a rule's provider and the condition by which the index finds the rule.
    pub fn new<'a>(entries: impl Iterator<Item = (Option<&'a str>, &'a Condition)>) -> Self {
        let mut groups: HashMap<(Option<&str>, &ValueSelector), Group> = HashMap::new();
        for (number, (provider, condition)) in (0..).zip(entries) {
            let group =
                groups.entry((provider, &condition.selector)).or_insert_with(|| Group::new(provider, &condition.selector));
            group.add(condition, number);
        }
        Self(groups.into_values().collect())
    }

    /// Calls `found` with each value of the identity that matches and with the rules whose condition it matches, in their
    /// order. A rule may occur several times, with different values.
    pub fn visit<'a>(&self, identity: &'a IdentityClaims, mut found: impl FnMut(&[RoleRuleNumber], &Cow<'a, str>)) {
        let matches_provider = |group: &&Group| identity.is_from(group.provider.as_deref());
        for group in self.0.iter().filter(matches_provider) {
            for value in group.selector.values(identity) {
                group.look_up(&group.selector.case.fold(&value), |rules| found(rules, &value));
            }
        }
    }
}

impl Group {
    fn new(provider: Option<&str>, selector: &ValueSelector) -> Self {
        Self {
            provider: provider.map(Box::from),
            selector: selector.clone(),
            exact: HashMap::new(),
            prefixes: AffixIndex::new(),
            suffixes: AffixIndex::new(),
            others: Vec::new(),
        }
    }

    fn add(&mut self, condition: &Condition, number: RoleRuleNumber) {
        let rules = match condition.pattern.shape() {
            Shape::Exactly(text) => self.exact.entry(text.into()).or_default(),
            Shape::BeginsWith(text) => affix_rules(&mut self.prefixes, text),
            Shape::EndsWith(text) => affix_rules(&mut self.suffixes, text),
            Shape::Other => return self.others.push((condition.pattern.clone(), number)),
        };
        rules.push(number);
    }

    fn look_up(&self, value: &str, mut found: impl FnMut(&[RoleRuleNumber])) {
        self.exact.get(value).into_iter().for_each(|rules| found(rules));
        for (length, texts) in self.prefixes.range(..=value.len()) {
            let prefix = value.get(..*length);
            prefix.and_then(|prefix| texts.get(prefix)).into_iter().for_each(|rules| found(rules));
        }
        for (length, texts) in self.suffixes.range(..=value.len()) {
            let suffix = value.get(value.len() - length..);
            suffix.and_then(|suffix| texts.get(suffix)).into_iter().for_each(|rules| found(rules));
        }
        self.others.iter().filter(|(pattern, _)| pattern.matches(value)).for_each(|(_, number)| found(&[*number]));
    }
}

fn affix_rules(texts: &mut AffixIndex, text: String) -> &mut Vec<RoleRuleNumber> {
    texts.entry(text.len()).or_default().entry(text.into()).or_default()
}
