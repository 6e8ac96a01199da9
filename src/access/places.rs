//! Sets of places of a bit-parallel automaton (Shift-And), one bit each.
//!
//! A place is active while the input that was read can end there. The input moves each active place to the next place, for
//! 64 places in one step.

use smallvec::{SmallVec, smallvec};

pub(super) type Place = usize;

/// A set in which many words have a place.
pub(super) type Places = SmallVec<[u64; 1]>;

/// A set in which few words have a place: these words, with their positions.
pub(super) type SparsePlaces = Box<[(usize, u64)]>;

/// Moves from places to other places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Transitions(Box<[TransitionGroup]>);

/// The transitions from places of one word, so that the transitions of inactive places are skipped together.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TransitionGroup {
    word: usize,
    from: u64,
    /// The places of `from` with a transition to the next place. They move together.
    to_next: u64,
    /// All other transitions.
    others: Box<[(Place, Place)]>,
}

/// The active places.
#[derive(Clone)]
pub(super) struct ActivePlaces {
    /// The first word is always 0, so that each word has one before it.
    words: SmallVec<[u64; 4]>,
}

const WORD: usize = u64::BITS as usize;

pub(super) fn dense(places: &[Place], words: usize) -> Places {
    let mut dense: Places = smallvec![0; words];
    places.iter().for_each(|place| dense[place / WORD] |= 1 << (place % WORD));
    dense
}

/// `places` must be in their order.
pub(super) fn sparse(places: &[Place]) -> SparsePlaces {
    let by_word = places.chunk_by(|one, next| one / WORD == next / WORD);
    by_word.map(|places| (places[0] / WORD, places.iter().fold(0, |word, place| word | 1 << (place % WORD)))).collect()
}

/// The number of words that hold this number of places.
pub(super) fn words(places: usize) -> usize {
    places.div_ceil(WORD)
}

impl Transitions {
    /// `transitions` must be in the order of their beginnings.
    pub fn new(transitions: &[(Place, Place)]) -> Self {
        let by_word = transitions.chunk_by(|(one, _), (next, _)| one / WORD == next / WORD);
        Self(by_word.map(TransitionGroup::new).collect())
    }
}

impl TransitionGroup {
    fn new(transitions: &[(Place, Place)]) -> Self {
        let (to_next, others): (Vec<_>, Vec<_>) = transitions.iter().copied().partition(|(from, to)| *to == from + 1);
        let bits = |all: &[(Place, Place)]| all.iter().fold(0, |word, (from, _)| word | 1 << (from % WORD));
        Self { word: transitions[0].0 / WORD, from: bits(transitions), to_next: bits(&to_next), others: others.into() }
    }
}

impl ActivePlaces {
    pub fn new(places: &Places) -> Self {
        Self { words: std::iter::once(0).chain(places.iter().copied()).collect() }
    }

    /// True if all active places are in the set.
    pub fn are_within(&self, places: &Places) -> bool {
        self.words[1..].iter().zip(places).all(|(active, places)| active & !places == 0)
    }

    pub fn has_any_of(&self, places: &[(usize, u64)]) -> bool {
        places.iter().any(|(word, places)| self.words[word + 1] & places != 0)
    }

    /// The active places that are in the set, in their order.
    pub fn intersection<'a>(&'a self, places: &'a Places) -> impl Iterator<Item = Place> + 'a {
        let words = self.words[1..].iter().zip(places).map(|(active, places)| active & places).enumerate();
        words.flat_map(|(word, bits)| bits_of(bits).map(move |bit| word * WORD + bit))
    }

    /// Replaces `self` by the places of `before` that are in `staying`.
    pub fn keep_from(&mut self, before: &Self, staying: &Places) {
        for ((word, before), staying) in self.words[1..].iter_mut().zip(&before.words[1..]).zip(staying) {
            *word = before & staying;
        }
    }

    /// Replaces `self` by the places of `before` that are in `staying`, and by the next places of `before` that are in `accepting`.
    pub fn move_from(&mut self, before: &Self, accepting: &Places, staying: &Places) {
        let words = self.words[1..].iter_mut().zip(before.words.windows(2));
        for (((word, pair), accepting), staying) in words.zip(accepting).zip(staying) {
            *word = (next(pair) & accepting) | (pair[1] & staying);
        }
    }

    /// Adds the next places of `before` that are in `accepting`.
    pub fn add_next(&mut self, before: &Self, accepting: &[(usize, u64)]) {
        for (word, places) in accepting {
            self.words[word + 1] |= next(&before.words[*word..word + 2]) & places;
        }
    }

    /// Adds the places to which the transitions lead from `before`.
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

    /// Adds the place after each active place of the set.
    pub fn add_successors(&mut self, places: &[(usize, u64)]) {
        for (word, places) in places {
            self.add_after(*word, self.words[word + 1] & places);
        }
    }

    /// Adds the place after each of these places of a word.
    fn add_after(&mut self, word: usize, places: u64) {
        self.words[word + 1] |= places << 1;
        if places >> (WORD - 1) == 1 {
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

/// The places after those of the second word, and after the last one of the first word.
fn next(pair: &[u64]) -> u64 {
    (pair[1] << 1) | (pair[0] >> (WORD - 1))
}
