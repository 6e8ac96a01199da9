//! Matches a text with several sets of path patterns at once, by a bit-parallel automaton (Shift-And) over characters.
//!
//! Each character of a pattern is a state of the automaton, which is one bit. A state is active while the text that was read
//! can end there. A character moves each active state to the next state, if that one accepts the character; `*` and `**`
//! are states that stay active. So a character costs at most three steps for every 64 states, for every set of patterns
//! and every text. Nothing is retried.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::{
    pattern::{PathPattern, Segment},
    state_set::{ActiveStates, SparseStateSet, StateNumber, StateSet, dense, sparse, words},
};

/// The position of a set in the list from which the automaton was built.
pub(super) type SetNumber = usize;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PatternAutomaton {
    /// The active states after the slash with which every path begins.
    start: StateSet,
    /// The states of `?`, which accept every character except a slash.
    any: StateSet,
    /// The states of `*` and `**`. They stay active on every character except a slash.
    loops: StateSet,
    /// The states of `**`, which also stay active on a slash.
    slash_loops: StateSet,
    /// The classes of ASCII characters, and those of other characters that occur in a pattern, in their order.
    ascii: Box<[u8; 128]>,
    others: Box<[(char, CharacterClass)]>,
    /// The states that accept a character of each class.
    accepting: Box<[AcceptingStates]>,
    /// The states of `**` before another segment. It is entered together with that segment's slash, since `**` also matches
    /// no segment.
    skips: SparseStateSet,
    /// The states of `**` at the end of a pattern. The rest of a text does not change a state of only these.
    final_double_stars: StateSet,
    /// The states at which a pattern ends, and the set of each of them.
    ends: StateSet,
    end_sets: Box<[(StateNumber, SetNumber)]>,
    number_of_sets: usize,
}

/// All characters that occur in no pattern are one class, and each other character is a class of its own.
type CharacterClass = usize;

const NO_LITERAL: CharacterClass = 0;

/// The smaller one of two forms.
#[derive(Clone, Debug, PartialEq, Eq)]
enum AcceptingStates {
    /// With the states of `?`, unless the character is a slash.
    Dense(StateSet),
    Sparse(SparseStateSet),
}

const SLASH: char = '/';

impl PatternAutomaton {
    pub(super) fn new<'a, S: IntoIterator<Item = &'a PathPattern>>(sets: impl IntoIterator<Item = S>) -> Self {
        let mut builder = AutomatonBuilder::default();
        for set in sets {
            set.into_iter().for_each(|pattern| builder.add(pattern));
            builder.number_of_sets += 1;
        }
        builder.build()
    }

    pub(super) fn number_of_sets(&self) -> usize {
        self.number_of_sets
    }

    /// Reads the text after the first slash of a path.
    pub(super) fn read(&self, text: &str) -> ActiveStates {
        self.read_counting(text, &mut 0)
    }

    /// Reads a text, and counts the steps.
    pub(super) fn read_counting(&self, text: &str, steps: &mut usize) -> ActiveStates {
        let mut active = ActiveStates::new(&self.start);
        let mut next = active.clone();
        for character in text.chars() {
            self.step(&active, &mut next, character, steps);
            std::mem::swap(&mut active, &mut next);
            if active.are_within(&self.final_double_stars) {
                break;
            }
        }
        active
    }

    /// The sets with a pattern that matches the text that was read, in their order.
    pub(super) fn matching_sets(&self, read: &ActiveStates) -> SmallVec<[SetNumber; 4]> {
        let mut sets: SmallVec<_> = read.intersection(&self.ends).map(|state| self.set_at(state)).collect();
        sets.dedup();
        sets
    }

    fn set_at(&self, end: StateNumber) -> SetNumber {
        let index = self.end_sets.partition_point(|(state, _)| *state < end);
        self.end_sets[index].1
    }

    fn step(&self, active: &ActiveStates, next: &mut ActiveStates, character: char, steps: &mut usize) {
        let loops = if character == SLASH { &self.slash_loops } else { &self.loops };
        let (accepting, in_addition) = self.accepting(character);
        next.move_from(active, accepting, loops);
        next.add_next(active, in_addition);
        *steps += accepting.len() + in_addition.len();
        if character == SLASH {
            next.add_successors(&self.skips);
            *steps += self.skips.len();
        }
    }

    fn accepting(&self, character: char) -> (&StateSet, &[(usize, u64)]) {
        let class = match self.ascii.get(character as usize) {
            Some(class) => usize::from(*class),
            None => {
                let found = self.others.binary_search_by_key(&character, |(known, _)| *known);
                found.map_or(NO_LITERAL, |index| self.others[index].1)
            }
        };
        match &self.accepting[class] {
            AcceptingStates::Dense(states) => (states, &[]),
            AcceptingStates::Sparse(states) => (&self.any, states),
        }
    }
}

/// Lists of states, in their order.
#[derive(Default)]
struct AutomatonBuilder {
    length: usize,
    start: Vec<StateNumber>,
    any: Vec<StateNumber>,
    loops: Vec<StateNumber>,
    slash_loops: Vec<StateNumber>,
    literals: BTreeMap<char, Vec<StateNumber>>,
    skips: Vec<StateNumber>,
    final_double_stars: Vec<StateNumber>,
    ends: Vec<(StateNumber, SetNumber)>,
    number_of_sets: usize,
}

impl AutomatonBuilder {
    /// Adds a pattern to the set that is being built.
    fn add(&mut self, pattern: &PathPattern) {
        // Only the first slash of the path leads to the first state. The last state of the pattern before does not.
        let first = self.add_state();
        self.start.push(first);
        let mut previous = None;
        for segment in pattern.segments() {
            match previous {
                None => {}
                Some(Segment::DoubleStar) => self.add_slash_after_double_star(first),
                Some(_) => self.add_slash(),
            }
            self.add_segment(segment);
            previous = Some(segment);
        }
        self.add_ends(first, previous);
    }

    fn add_ends(&mut self, first: StateNumber, last_segment: Option<Segment<'_>>) {
        let last = self.length - 1;
        match last_segment {
            None => self.add_end(last),
            Some(Segment::DoubleStar) => {
                if last > first {
                    self.add_end(last - 1);
                }
                self.add_end(last);
                self.final_double_stars.push(last);
            }
            // A trailing slash is ignored.
            Some(_) => {
                self.add_end(last);
                self.add_slash();
                self.add_end(last + 1);
            }
        }
    }

    fn add_end(&mut self, state: StateNumber) {
        self.ends.push((state, self.number_of_sets));
    }

    fn add_state(&mut self) -> StateNumber {
        self.length += 1;
        self.length - 1
    }

    fn add_slash(&mut self) {
        let state = self.add_state();
        self.literals.entry(SLASH).or_default().push(state);
    }

    /// `first` is the first state of the pattern.
    fn add_slash_after_double_star(&mut self, first: StateNumber) {
        let double_star = self.length - 1;
        self.skips.push(double_star);
        self.add_slash();
        if double_star == first {
            self.start.push(double_star + 1);
        }
    }

    /// Adds the states after the slash of the segment. `**` needs none, since it begins with a slash that is followed by
    /// anything.
    fn add_segment(&mut self, segment: Segment<'_>) {
        match segment {
            Segment::DoubleStar => {
                self.loops.push(self.length - 1);
                self.slash_loops.push(self.length - 1);
            }
            Segment::Literal(text) | Segment::Wildcard(text) => text.chars().for_each(|character| self.add_character(character)),
        }
    }

    fn add_character(&mut self, character: char) {
        match character {
            '*' => self.loops.push(self.length - 1),
            '?' => {
                let state = self.add_state();
                self.any.push(state);
            }
            literal => {
                let state = self.add_state();
                self.literals.entry(literal).or_default().push(state);
            }
        }
    }

    fn build(mut self) -> PatternAutomaton {
        self.literals.entry(SLASH).or_default();
        let words = words(self.length);
        let any = dense(&self.any, words);
        let mut accepting = vec![AcceptingStates::Dense(any.clone())];
        let (mut ascii, mut others) = (Box::new([NO_LITERAL as u8; 128]), Vec::new());
        for (class, (character, states)) in (NO_LITERAL + 1..).zip(&self.literals) {
            accepting.push(AcceptingStates::new(*character, states, &any));
            match ascii.get_mut(*character as usize) {
                // ASCII characters come first.
                Some(ascii) => *ascii = class as u8,
                None => others.push((*character, class)),
            }
        }
        PatternAutomaton {
            start: dense(&self.start, words),
            loops: dense(&self.loops, words),
            slash_loops: dense(&self.slash_loops, words),
            ascii,
            others: others.into(),
            accepting: accepting.into(),
            skips: sparse(&self.skips),
            final_double_stars: dense(&self.final_double_stars, words),
            ends: dense(&self.ends.iter().map(|(state, _)| *state).collect::<Vec<_>>(), words),
            end_sets: self.ends.into(),
            number_of_sets: self.number_of_sets,
            any,
        }
    }
}

impl AcceptingStates {
    fn new(character: char, states: &[StateNumber], any: &StateSet) -> Self {
        let in_words = sparse(states);
        if character == SLASH {
            return Self::Dense(dense(states, any.len()));
        }
        if in_words.len() * 2 < any.len() {
            return Self::Sparse(in_words);
        }
        Self::Dense(dense(states, any.len()).iter().zip(any).map(|(states, any)| states | any).collect())
    }
}

#[cfg(test)]
mod tests;
