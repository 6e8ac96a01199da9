//! Sets of states of a bit-parallel automaton (Shift-And), one bit each.
//!
//! A state is active while the input that was read can end there. The input moves each active state to the next state, for
//! 64 states in one step.

use smallvec::{SmallVec, smallvec};

pub(super) type StateNumber = usize;

/// A set in which many words have a state.
pub(super) type StateSet = SmallVec<[u64; 1]>;

/// A set in which few words have a state: these words, with their positions.
pub(super) type SparseStateSet = Box<[(usize, u64)]>;

/// Moves from states to other states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Transitions(Box<[TransitionGroup]>);

/// The transitions from states of one word, so that the transitions of inactive states are skipped together.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TransitionGroup {
    word: usize,
    from: u64,
    /// The states of `from` with a transition to the next state. They move together.
    to_next: u64,
    /// All other transitions.
    others: Box<[(StateNumber, StateNumber)]>,
}

/// The active states.
#[derive(Clone)]
pub(super) struct ActiveStates {
    /// The first word is always 0, so that each word has one before it.
    words: SmallVec<[u64; 4]>,
}

const WORD: usize = u64::BITS as usize;

pub(super) fn dense(states: &[StateNumber], words: usize) -> StateSet {
    let mut dense: StateSet = smallvec![0; words];
    states.iter().for_each(|state| dense[state / WORD] |= 1 << (state % WORD));
    dense
}

/// `states` must be in their order.
pub(super) fn sparse(states: &[StateNumber]) -> SparseStateSet {
    let by_word = states.chunk_by(|one, next| one / WORD == next / WORD);
    by_word.map(|states| (states[0] / WORD, states.iter().fold(0, |word, state| word | 1 << (state % WORD)))).collect()
}

/// The number of words that hold this number of states.
pub(super) fn words(states: usize) -> usize {
    states.div_ceil(WORD)
}

impl Transitions {
    /// `transitions` must be in the order of their beginnings.
    pub fn new(transitions: &[(StateNumber, StateNumber)]) -> Self {
        let by_word = transitions.chunk_by(|(one, _), (next, _)| one / WORD == next / WORD);
        Self(by_word.map(TransitionGroup::new).collect())
    }
}

impl TransitionGroup {
    fn new(transitions: &[(StateNumber, StateNumber)]) -> Self {
        let (to_next, others): (Vec<_>, Vec<_>) = transitions.iter().copied().partition(|(from, to)| *to == from + 1);
        let bits = |all: &[(StateNumber, StateNumber)]| all.iter().fold(0, |word, (from, _)| word | 1 << (from % WORD));
        Self { word: transitions[0].0 / WORD, from: bits(transitions), to_next: bits(&to_next), others: others.into() }
    }
}

impl ActiveStates {
    pub fn new(states: &StateSet) -> Self {
        Self { words: std::iter::once(0).chain(states.iter().copied()).collect() }
    }

    /// True if all active states are in the set.
    pub fn are_within(&self, states: &StateSet) -> bool {
        self.words[1..].iter().zip(states).all(|(active, states)| active & !states == 0)
    }

    pub fn has_any_of(&self, states: &[(usize, u64)]) -> bool {
        states.iter().any(|(word, states)| self.words[word + 1] & states != 0)
    }

    /// The active states that are in the set, in their order.
    pub fn intersection<'a>(&'a self, states: &'a StateSet) -> impl Iterator<Item = StateNumber> + 'a {
        let words = self.words[1..].iter().zip(states).map(|(active, states)| active & states).enumerate();
        words.flat_map(|(word, bits)| bits_of(bits).map(move |bit| word * WORD + bit))
    }

    /// Replaces `self` by the states of `before` that are in `staying`.
    pub fn keep_from(&mut self, before: &Self, staying: &StateSet) {
        for ((word, before), staying) in self.words[1..].iter_mut().zip(&before.words[1..]).zip(staying) {
            *word = before & staying;
        }
    }

    /// Replaces `self` by the states of `before` that are in `staying`, and by the next states of `before` that are in `accepting`.
    pub fn move_from(&mut self, before: &Self, accepting: &StateSet, staying: &StateSet) {
        let words = self.words[1..].iter_mut().zip(before.words.windows(2));
        for (((word, pair), accepting), staying) in words.zip(accepting).zip(staying) {
            *word = (next(pair) & accepting) | (pair[1] & staying);
        }
    }

    /// Adds the next states of `before` that are in `accepting`.
    pub fn add_next(&mut self, before: &Self, accepting: &[(usize, u64)]) {
        for (word, states) in accepting {
            self.words[word + 1] |= next(&before.words[*word..word + 2]) & states;
        }
    }

    /// Adds the states to which the transitions lead from `before`.
    pub fn take(&mut self, before: &Self, transitions: &Transitions, steps: &mut usize) {
        *steps += transitions.0.len();
        for group in &transitions.0 {
            let active = before.words[group.word + 1] & group.from;
            if active == 0 {
                continue;
            }
            self.add_after(group.word, active & group.to_next);
            *steps += group.others.len();
            for (from, to) in &group.others {
                if active >> (from % WORD) & 1 == 1 {
                    self.words[to / WORD + 1] |= 1 << (to % WORD);
                }
            }
        }
    }

    /// Adds the state after each active state of the set.
    pub fn add_successors(&mut self, states: &[(usize, u64)]) {
        for (word, states) in states {
            self.add_after(*word, self.words[word + 1] & states);
        }
    }

    /// Adds the state after each of these states of a word.
    fn add_after(&mut self, word: usize, states: u64) {
        self.words[word + 1] |= states << 1;
        if states >> (WORD - 1) == 1 {
            self.words[word + 2] |= 1;
        }
    }
}

/// The positions of the bits that are 1.
fn bits_of(word: u64) -> impl Iterator<Item = usize> {
    let rest = |rest: &u64| Some(rest & rest.wrapping_sub(1));
    let rests = std::iter::successors(Some(word), rest).take_while(|rest| *rest != 0);
    rests.map(|rest| rest.trailing_zeros() as usize)
}

/// The states after those of the second word, and after the last one of the first word.
fn next(pair: &[u64]) -> u64 {
    (pair[1] << 1) | (pair[0] >> (WORD - 1))
}
