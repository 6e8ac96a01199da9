//! Finds the rules that a person's claims select without trying every rule.
//!
//! Rules are grouped by where their values stand, so each place is read once. In a group, a pattern
//! without wildcards is found by the value, one that ends or begins with `*` by the value's beginnings
//! or ends of the lengths in use. What is left is tried one by one.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::condition::{Condition, Place};
use crate::{
    glob::{Glob, Shape},
    principal::IdentityClaims,
};

/// A rule's number: its place in the list that the index was built from.
pub(super) type Number = u32;

#[derive(Clone, Debug, Default)]
pub(super) struct Index(Vec<Group>);

#[derive(Clone, Debug)]
struct Group {
    provider: Option<Box<str>>,
    place: Place,
    exactly: HashMap<Box<str>, Vec<Number>>,
    begins_with: ByLength,
    ends_with: ByLength,
    others: Vec<(Glob, Number)>,
}

/// Texts by their length in bytes.
type ByLength = BTreeMap<usize, HashMap<Box<str>, Vec<Number>>>;

impl Index {
    /// Each entry is a rule's provider and the condition that it is found by.
    pub fn new<'a>(entries: impl Iterator<Item = (Option<&'a str>, &'a Condition)>) -> Self {
        let mut groups: HashMap<(Option<&str>, &Place), Group> = HashMap::new();
        for (number, (provider, condition)) in (0..).zip(entries) {
            let group = groups.entry((provider, &condition.place)).or_insert_with(|| Group::new(provider, &condition.place));
            group.add(condition, number);
        }
        Self(groups.into_values().collect())
    }

    /// Calls `found` with each value of the identity that some rules' condition matches, and with those
    /// rules, in their order. A rule may come several times, with different values.
    pub fn visit<'a>(&self, identity: &'a IdentityClaims, mut found: impl FnMut(&[Number], &Cow<'a, str>)) {
        let about = |group: &&Group| identity.is_from(group.provider.as_deref());
        for group in self.0.iter().filter(about) {
            for value in group.place.values(identity) {
                group.look_up(&group.place.case.fold(&value), |rules| found(rules, &value));
            }
        }
    }
}

impl Group {
    fn new(provider: Option<&str>, place: &Place) -> Self {
        Self {
            provider: provider.map(Box::from),
            place: place.clone(),
            exactly: HashMap::new(),
            begins_with: ByLength::new(),
            ends_with: ByLength::new(),
            others: Vec::new(),
        }
    }

    fn add(&mut self, condition: &Condition, number: Number) {
        let rules = match condition.pattern.shape() {
            Shape::Exactly(text) => self.exactly.entry(text.into()).or_default(),
            Shape::BeginsWith(text) => by_length(&mut self.begins_with, text),
            Shape::EndsWith(text) => by_length(&mut self.ends_with, text),
            Shape::Other => return self.others.push((condition.pattern.clone(), number)),
        };
        rules.push(number);
    }

    fn look_up(&self, value: &str, mut found: impl FnMut(&[Number])) {
        self.exactly.get(value).into_iter().for_each(|rules| found(rules));
        for (length, texts) in self.begins_with.range(..=value.len()) {
            let beginning = value.get(..*length);
            beginning.and_then(|beginning| texts.get(beginning)).into_iter().for_each(|rules| found(rules));
        }
        for (length, texts) in self.ends_with.range(..=value.len()) {
            let end = value.get(value.len() - length..);
            end.and_then(|end| texts.get(end)).into_iter().for_each(|rules| found(rules));
        }
        self.others.iter().filter(|(pattern, _)| pattern.matches(value)).for_each(|(_, number)| found(&[*number]));
    }
}

fn by_length(texts: &mut ByLength, text: String) -> &mut Vec<Number> {
    texts.entry(text.len()).or_default().entry(text.into()).or_default()
}
