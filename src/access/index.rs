//! Finds the first rule whose path patterns match a path, by a tree of all patterns.
//!
//! A search reads the path segment by segment. The nodes that match so far are a set of bits, and the transitions of a
//! segment lead from them to the next nodes. The transitions are looked up by the segment's text, and an automaton reads
//! the wildcards of all rules at once. So the cost of a segment is a few steps for every 64 nodes and one for each branch of
//! the tree with this text, whatever was read before.

use std::collections::{BTreeMap, HashMap};

use super::{
    automaton::PatternAutomaton,
    pattern::{PathPattern, Segment},
    state_set::{ActiveStates, SparseStateSet, StateNumber, StateSet, Transitions, dense, sparse, words},
};

/// The position of a rule in its list.
pub(super) type RuleNumber = usize;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathIndex {
    /// The root, and its `**`.
    start: StateSet,
    /// The nodes of `**`, in which each segment stays.
    double_stars: StateSet,
    /// The nodes that are followed by the node of a `**`. It is entered without a segment.
    before_double_stars: SparseStateSet,
    /// The transitions of `*`, which every segment takes.
    any: Transitions,
    literals: HashMap<Box<str>, Transitions>,
    /// Each other wildcard, as a set of its own, with its transitions.
    wildcards: PatternAutomaton,
    wildcard_transitions: Box<[Transitions]>,
    before_wildcards: SparseStateSet,
    /// The nodes of `**` at the end of all patterns that reach them. The rest of a path does not change a set of only these.
    final_double_stars: StateSet,
    ends: StateSet,
    /// For each node, the rules with a pattern that ends there, in their order.
    rules: Box<[Box<[RuleNumber]>]>,
}

impl PathIndex {
    /// Builds the index from the patterns of every rule, in the order of the rules.
    pub(super) fn new<'a>(patterns: impl IntoIterator<Item = (RuleNumber, &'a PathPattern)>) -> Self {
        let mut tree = PatternTree::default();
        patterns.into_iter().for_each(|(rule, pattern)| tree.add(rule, pattern));
        tree.into_index()
    }

    /// Returns the first rule that has a pattern for this path and fulfills `is_match`.
    pub(super) fn first(&self, path: &str, is_match: impl Fn(RuleNumber) -> bool) -> Option<RuleNumber> {
        self.first_counting(path, is_match, &mut 0)
    }

    fn first_counting(&self, path: &str, is_match: impl Fn(RuleNumber) -> bool, steps: &mut usize) -> Option<RuleNumber> {
        let (segments, has_trailing_slash) = match path.strip_prefix('/')? {
            "" => (None, true),
            rest => rest.strip_suffix('/').map_or((Some(rest), false), |rest| (Some(rest), true)),
        };
        let mut active = ActiveStates::new(&self.start);
        let mut next = active.clone();
        for segment in segments.into_iter().flat_map(|segments| segments.split('/')) {
            self.step(&active, &mut next, segment, steps);
            std::mem::swap(&mut active, &mut next);
            if active.are_within(&self.final_double_stars) {
                break;
            }
        }
        let first = self.first_rule_at(&active, None, &is_match);
        if !has_trailing_slash {
            return first;
        }
        // `/a` also matches `/a/`, and `*` also matches the empty segment after the slash.
        self.step(&active, &mut next, "", steps);
        self.first_rule_at(&next, first, &is_match)
    }

    fn step(&self, active: &ActiveStates, next: &mut ActiveStates, segment: &str, steps: &mut usize) {
        next.keep_from(active, &self.double_stars);
        *steps += self.double_stars.len() + self.before_wildcards.len() + self.before_double_stars.len();
        next.take(active, &self.any, steps);
        if let Some(transitions) = self.literals.get(segment) {
            next.take(active, transitions, steps);
        }
        if active.has_any_of(&self.before_wildcards) {
            let read = self.wildcards.read_counting(segment, steps);
            for wildcard in self.wildcards.matching_sets(&read) {
                next.take(active, &self.wildcard_transitions[wildcard], steps);
            }
        }
        next.add_successors(&self.before_double_stars);
    }

    fn first_rule_at(
        &self,
        active: &ActiveStates,
        known: Option<RuleNumber>,
        is_match: impl Fn(RuleNumber) -> bool,
    ) -> Option<RuleNumber> {
        active.intersection(&self.ends).fold(known, |best, node| {
            let mut better = self.rules[node].iter().copied().take_while(|rule| best.is_none_or(|best| *rule < best));
            better.find(|rule| is_match(*rule)).or(best)
        })
    }
}

/// The tree before its nodes have states.
struct PatternTree<'a> {
    nodes: Vec<SegmentNode<'a>>,
    known: HashMap<(NodeNumber, Segment<'a>), NodeNumber>,
}

#[derive(Default)]
struct SegmentNode<'a> {
    children: Vec<(Segment<'a>, NodeNumber)>,
    rules: Vec<RuleNumber>,
}

type NodeNumber = usize;

const ROOT: NodeNumber = 0;

impl Default for PatternTree<'_> {
    fn default() -> Self {
        Self { nodes: vec![SegmentNode::default()], known: HashMap::new() }
    }
}

impl<'a> PatternTree<'a> {
    fn add(&mut self, rule: RuleNumber, pattern: &'a PathPattern) {
        let end = pattern.segments().fold(ROOT, |node, segment| self.child(node, segment));
        let rules = &mut self.nodes[end].rules;
        if rules.last() != Some(&rule) {
            rules.push(rule);
        }
    }

    fn child(&mut self, parent: NodeNumber, segment: Segment<'a>) -> NodeNumber {
        *self.known.entry((parent, segment)).or_insert_with(|| {
            let child = self.nodes.len();
            self.nodes.push(SegmentNode::default());
            let children = &mut self.nodes[parent].children;
            // `**` is the first child, so that its state is the next one.
            let index = if segment == Segment::DoubleStar { 0 } else { children.len() };
            children.insert(index, (segment, child));
            child
        })
    }

    /// The nodes in the order of their states: each node is followed by its first child.
    fn in_order(&self) -> Vec<NodeNumber> {
        let (mut order, mut rest) = (Vec::new(), vec![ROOT]);
        while let Some(node) = rest.pop() {
            order.push(node);
            rest.extend(self.nodes[node].children.iter().rev().map(|(_, child)| *child));
        }
        order
    }

    fn into_index(self) -> PathIndex {
        let order = self.in_order();
        let edges = self.edges(&order);
        let mut nodes: Vec<_> = self.nodes.into_iter().map(|node| node.rules).collect();
        edges.into_index(order.iter().map(|node| std::mem::take(&mut nodes[*node]).into()).collect())
    }

    fn edges(&self, order: &[NodeNumber]) -> Edges<'a> {
        let mut states = vec![0; order.len()];
        order.iter().enumerate().for_each(|(state, node)| states[*node] = state);
        let mut edges = Edges::default();
        for (state, node) in order.iter().enumerate() {
            for (segment, child) in &self.nodes[*node].children {
                let to = states[*child];
                if *segment != Segment::DoubleStar {
                    edges.by_segment.entry(*segment).or_default().push((state, to));
                    continue;
                }
                edges.double_stars.push(to);
                if self.nodes[*child].children.is_empty() {
                    edges.final_double_stars.push(to);
                }
            }
        }
        edges
    }
}

/// The edges of the tree, from state to state, in their order.
#[derive(Default)]
struct Edges<'a> {
    by_segment: BTreeMap<Segment<'a>, Vec<(StateNumber, StateNumber)>>,
    double_stars: Vec<StateNumber>,
    final_double_stars: Vec<StateNumber>,
}

impl Edges<'_> {
    fn into_index(mut self, rules: Box<[Box<[RuleNumber]>]>) -> PathIndex {
        let words = words(rules.len());
        let any = self.by_segment.remove(&Segment::Wildcard("*")).unwrap_or_default();
        let (mut literals, mut wildcards, mut wildcard_transitions) = (HashMap::new(), Vec::new(), Vec::new());
        let mut before_wildcards = Vec::new();
        for (segment, edges) in &self.by_segment {
            match segment {
                Segment::Literal(text) => drop(literals.insert(Box::from(*text), Transitions::new(edges))),
                Segment::Wildcard(text) => {
                    wildcards.push(PathPattern::of_segment(text));
                    wildcard_transitions.push(Transitions::new(edges));
                    before_wildcards.extend(edges.iter().map(|(from, _)| *from));
                }
                Segment::DoubleStar => {}
            }
        }
        before_wildcards.sort_unstable();
        let before_double_stars: Vec<_> = self.double_stars.iter().map(|state| state - 1).collect();
        let start: &[StateNumber] = if before_double_stars.first() == Some(&ROOT) { &[ROOT, ROOT + 1] } else { &[ROOT] };
        let ends: Vec<_> = (0..rules.len()).filter(|state| !rules[*state].is_empty()).collect();
        PathIndex {
            start: dense(start, words),
            double_stars: dense(&self.double_stars, words),
            before_double_stars: sparse(&before_double_stars),
            final_double_stars: dense(&self.final_double_stars, words),
            any: Transitions::new(&any),
            literals,
            wildcards: PatternAutomaton::new(wildcards.iter().map(std::slice::from_ref)),
            wildcard_transitions: wildcard_transitions.into(),
            before_wildcards: sparse(&before_wildcards),
            ends: dense(&ends, words),
            rules,
        }
    }
}

#[cfg(test)]
mod tests;
