//! Which rules' path patterns match a path: all patterns in one tree, walked segment by segment.
//!
//! The walk's cost is that of the path's segments and of the patterns that are still possible there,
//! not of the number of rules.

use std::collections::HashMap;

use smallvec::{SmallVec, smallvec};

use super::pattern::{PathPattern, Segment};
use crate::glob::Glob;

/// The place of a rule in its list.
pub(super) type RuleNumber = usize;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Index(Vec<Node>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    literal: HashMap<Box<str>, NodeNumber>,
    wild: Vec<(Glob, NodeNumber)>,
    /// The node behind `**`, which is entered without a segment and left by none.
    deep: Option<NodeNumber>,
    is_deep: bool,
    /// The rules with a pattern that ends here, in their order.
    rules: Vec<RuleNumber>,
}

type NodeNumber = usize;
type Nodes = SmallVec<[NodeNumber; 16]>;

const ROOT: NodeNumber = 0;

impl Index {
    /// From every rule's patterns, in the rules' order.
    pub(super) fn new<'a>(patterns: impl IntoIterator<Item = (RuleNumber, &'a PathPattern)>) -> Self {
        let mut builder = Builder { nodes: vec![Node::default()], known: HashMap::new() };
        for (rule, pattern) in patterns {
            let end = pattern.segments().fold(ROOT, |node, segment| builder.child(node, segment));
            let rules = &mut builder.nodes[end].rules;
            if rules.last() != Some(&rule) {
                rules.push(rule);
            }
        }
        Self(builder.nodes)
    }

    /// The first rule that has a pattern for this path and is also `wanted`.
    pub(super) fn first(&self, path: &str, wanted: impl Fn(RuleNumber) -> bool) -> Option<RuleNumber> {
        let (segments, with_slash) = match path.strip_prefix('/')? {
            "" => (None, true),
            rest => rest.strip_suffix('/').map_or((Some(rest), false), |rest| (Some(rest), true)),
        };
        let mut at: Nodes = smallvec![ROOT];
        self.enter_deep(&mut at);
        for segment in segments.into_iter().flat_map(|segments| segments.split('/')) {
            at = self.step(&at, segment);
        }
        let mut first = self.first_of(&at, None, &wanted);
        if with_slash {
            // `/a/` is what `/a` selects, and `*` also stands for the nothing behind the slash.
            first = self.first_of(&self.step(&at, ""), first, &wanted);
        }
        first
    }

    fn step(&self, at: &Nodes, segment: &str) -> Nodes {
        let mut next = Nodes::new();
        for number in at {
            let node = &self.0[*number];
            next.extend(node.literal.get(segment).copied());
            next.extend(node.wild.iter().filter(|(pattern, _)| pattern.matches(segment)).map(|(_, child)| *child));
            next.extend(node.is_deep.then_some(*number));
        }
        self.enter_deep(&mut next);
        next
    }

    /// A place in the tree can be come to in several ways by `**`; it counts once.
    fn enter_deep(&self, at: &mut Nodes) {
        for index in 0..at.len() {
            at.extend(self.0[at[index]].deep);
        }
        at.sort_unstable();
        at.dedup();
    }

    fn first_of(&self, at: &Nodes, known: Option<RuleNumber>, wanted: impl Fn(RuleNumber) -> bool) -> Option<RuleNumber> {
        at.iter().fold(known, |best, number| {
            let rules = self.0[*number].rules.iter().copied();
            let mut better = rules.take_while(|rule| best.is_none_or(|best| *rule < best));
            better.find(|rule| wanted(*rule)).or(best)
        })
    }
}

struct Builder<'a> {
    nodes: Vec<Node>,
    known: HashMap<(NodeNumber, Segment<'a>), NodeNumber>,
}

impl<'a> Builder<'a> {
    fn child(&mut self, parent: NodeNumber, segment: Segment<'a>) -> NodeNumber {
        if let Some(known) = self.known.get(&(parent, segment)) {
            return *known;
        }
        let child = self.nodes.len();
        self.nodes.push(Node { is_deep: segment == Segment::Deep, ..Node::default() });
        self.known.insert((parent, segment), child);
        let parent = &mut self.nodes[parent];
        match segment {
            Segment::Literal(text) => drop(parent.literal.insert(text.into(), child)),
            Segment::Wild(pattern) => parent.wild.push((Glob::without_escapes(pattern), child)),
            Segment::Deep => parent.deep = Some(child),
        }
        child
    }
}

#[cfg(test)]
mod tests;
