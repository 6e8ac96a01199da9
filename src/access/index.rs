//! Finds the first rule whose path patterns match a path, by a tree of all patterns.
//!
//! A search walks the tree segment by segment. Its cost depends on the number of segments and of the patterns that still match
//! there, not on the number of rules.

use std::collections::HashMap;

use smallvec::{SmallVec, smallvec};

use super::pattern::{PathPattern, Segment};
use crate::glob::Glob;

/// The position of a rule in its list.
pub(super) type RuleNumber = usize;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathIndex(Vec<Node>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    literal: HashMap<Box<str>, NodeNumber>,
    wildcard: Vec<(Glob, NodeNumber)>,
    /// The node of a following `**`. It is entered without a segment, and each segment stays in it.
    double_star: Option<NodeNumber>,
    is_double_star: bool,
    /// The rules with a pattern that ends at this node, in their order.
    rules: Vec<RuleNumber>,
}

type NodeNumber = usize;
type Nodes = SmallVec<[NodeNumber; 16]>;

const ROOT: NodeNumber = 0;

impl PathIndex {
    /// Builds the index from the patterns of every rule, in the order of the rules.
    pub(super) fn new<'a>(patterns: impl IntoIterator<Item = (RuleNumber, &'a PathPattern)>) -> Self {
        let mut builder = PathIndexBuilder { nodes: vec![Node::default()], known: HashMap::new() };
        for (rule, pattern) in patterns {
            let end = pattern.segments().fold(ROOT, |node, segment| builder.child(node, segment));
            let rules = &mut builder.nodes[end].rules;
            if rules.last() != Some(&rule) {
                rules.push(rule);
            }
        }
        Self(builder.nodes)
    }

    /// Returns the first rule that has a pattern for this path and fulfills `is_match`.
    pub(super) fn first(&self, path: &str, is_match: impl Fn(RuleNumber) -> bool) -> Option<RuleNumber> {
        let (segments, has_trailing_slash) = match path.strip_prefix('/')? {
            "" => (None, true),
            rest => rest.strip_suffix('/').map_or((Some(rest), false), |rest| (Some(rest), true)),
        };
        let mut at: Nodes = smallvec![ROOT];
        self.enter_double_stars(&mut at);
        for segment in segments.into_iter().flat_map(|segments| segments.split('/')) {
            at = self.step(&at, segment);
        }
        let mut first = self.first_rule_at(&at, None, &is_match);
        if has_trailing_slash {
            // `/a` also matches `/a/`, and `*` also matches the empty segment after the slash.
            first = self.first_rule_at(&self.step(&at, ""), first, &is_match);
        }
        first
    }

    fn step(&self, at: &Nodes, segment: &str) -> Nodes {
        let mut next = Nodes::new();
        for number in at {
            let node = &self.0[*number];
            next.extend(node.literal.get(segment).copied());
            next.extend(node.wildcard.iter().filter(|(pattern, _)| pattern.matches(segment)).map(|(_, child)| *child));
            next.extend(node.is_double_star.then_some(*number));
        }
        self.enter_double_stars(&mut next);
        next
    }

    /// Adds the nodes of following `**`. A node that was reached in several ways is kept once.
    fn enter_double_stars(&self, at: &mut Nodes) {
        for index in 0..at.len() {
            at.extend(self.0[at[index]].double_star);
        }
        at.sort_unstable();
        at.dedup();
    }

    fn first_rule_at(&self, at: &Nodes, known: Option<RuleNumber>, is_match: impl Fn(RuleNumber) -> bool) -> Option<RuleNumber> {
        at.iter().fold(known, |best, number| {
            let rules = self.0[*number].rules.iter().copied();
            let mut better = rules.take_while(|rule| best.is_none_or(|best| *rule < best));
            better.find(|rule| is_match(*rule)).or(best)
        })
    }
}

struct PathIndexBuilder<'a> {
    nodes: Vec<Node>,
    known: HashMap<(NodeNumber, Segment<'a>), NodeNumber>,
}

impl<'a> PathIndexBuilder<'a> {
    fn child(&mut self, parent: NodeNumber, segment: Segment<'a>) -> NodeNumber {
        if let Some(known) = self.known.get(&(parent, segment)) {
            return *known;
        }
        let child = self.nodes.len();
        self.nodes.push(Node { is_double_star: segment == Segment::DoubleStar, ..Node::default() });
        self.known.insert((parent, segment), child);
        let parent = &mut self.nodes[parent];
        match segment {
            Segment::Literal(text) => drop(parent.literal.insert(text.into(), child)),
            Segment::Wildcard(pattern) => parent.wildcard.push((Glob::without_escapes(pattern), child)),
            Segment::DoubleStar => parent.double_star = Some(child),
        }
        child
    }
}

#[cfg(test)]
mod tests;
