//! Matches a text with several sets of path patterns at once, by a bit-parallel automaton (Shift-And) over characters.
//!
//! Each character of a pattern is a place, which is one bit of the state. A place is active while the text that was read
//! can end there. A character moves each active place to the next place, if that one accepts the character; `*` and `**`
//! are places that stay active. So a character costs at most three steps for every 64 places, for every set of patterns
//! and every text. Nothing is retried.

use std::collections::BTreeMap;

use smallvec::{SmallVec, smallvec};

use super::pattern::{PathPattern, Segment};

/// The position of a set in the list from which the automaton was built.
pub(super) type SetNumber = usize;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PatternAutomaton {
    /// The active places after the slash with which every path begins.
    start: Places,
    /// The places of `?`, which accept every character except a slash.
    any: Places,
    /// The places of `*` and `**`. They stay active on every character except a slash.
    loops: Places,
    /// The places of `**`, which also stay active on a slash.
    slash_loops: Places,
    /// The places that accept a character which occurs in a pattern, in the order of the characters.
    accepting: Box<[(char, AcceptingPlaces)]>,
    /// The places of `**` before another segment. It is entered together with that segment's slash, since `**` also matches
    /// no segment.
    skips: SparsePlaces,
    /// The places at which the patterns of each set end.
    ends: Box<[SparsePlaces]>,
}

/// The state of the automaton after a text. The first word is always 0, so that each word has one before it.
pub(super) struct State(Words);

type Words = SmallVec<[u64; 4]>;
type Places = SmallVec<[u64; 1]>;
/// The words that have a place, with their positions.
type SparsePlaces = Box<[(usize, u64)]>;

/// The smaller one of two forms.
#[derive(Clone, Debug, PartialEq, Eq)]
enum AcceptingPlaces {
    /// With the places of `?`, unless the character is a slash.
    Dense(Places),
    Sparse(SparsePlaces),
}

const WORD: usize = u64::BITS as usize;
const SLASH: char = '/';

impl PatternAutomaton {
    pub(super) fn new<'a, S: IntoIterator<Item = &'a PathPattern>>(sets: impl IntoIterator<Item = S>) -> Self {
        let mut builder = AutomatonBuilder::default();
        for set in sets {
            let ends: Vec<_> = set.into_iter().flat_map(|pattern| builder.add(pattern)).collect();
            builder.ends.push(sparse(&ends));
        }
        builder.build()
    }

    pub(super) fn number_of_sets(&self) -> usize {
        self.ends.len()
    }

    /// Reads the text after the first slash of a path.
    pub(super) fn read(&self, text: &str) -> State {
        self.read_counting(text, &mut 0)
    }

    /// The sets with a pattern that matches the text of the state, in their order.
    pub(super) fn matching_sets<'a>(&'a self, state: &'a State) -> impl Iterator<Item = SetNumber> + 'a {
        let is_active = |(word, places): &(usize, u64)| state.0[word + 1] & places != 0;
        self.ends.iter().enumerate().filter(move |(_, ends)| ends.iter().any(is_active)).map(|(number, _)| number)
    }

    fn read_counting(&self, text: &str, steps: &mut usize) -> State {
        let mut state: Words = std::iter::once(0).chain(self.start.iter().copied()).collect();
        let mut next = state.clone();
        for character in text.chars() {
            self.step(&state, &mut next, character, steps);
            std::mem::swap(&mut state, &mut next);
            if state.iter().all(|word| *word == 0) {
                break;
            }
        }
        State(state)
    }

    fn step(&self, state: &[u64], next: &mut [u64], character: char, steps: &mut usize) {
        let loops = if character == SLASH { &self.slash_loops } else { &self.loops };
        let (dense, sparse) = self.accepting(character);
        let words = next[1..].iter_mut().zip(state.windows(2));
        for (((next, pair), accepting), loops) in words.zip(dense).zip(loops) {
            *next = (advanced(pair) & accepting) | (pair[1] & loops);
        }
        for (word, places) in sparse {
            next[word + 1] |= advanced(&state[*word..word + 2]) & places;
        }
        *steps += dense.len() + sparse.len();
        if character == SLASH {
            *steps += self.skips.len();
            enter_skipped(&self.skips, &mut next[1..]);
        }
    }

    fn accepting(&self, character: char) -> (&[u64], &[(usize, u64)]) {
        match self.accepting.binary_search_by_key(&character, |(known, _)| *known).map(|index| &self.accepting[index].1) {
            Ok(AcceptingPlaces::Dense(places)) => (places, &[]),
            Ok(AcceptingPlaces::Sparse(places)) => (&self.any, places),
            Err(_) => (&self.any, &[]),
        }
    }
}

/// The places after the active places of a word and of the word before it.
fn advanced(pair: &[u64]) -> u64 {
    (pair[1] << 1) | (pair[0] >> (WORD - 1))
}

/// Adds the place after each active `**`.
fn enter_skipped(skips: &[(usize, u64)], state: &mut [u64]) {
    for (word, places) in skips {
        let entered = state[*word] & places;
        state[*word] |= entered << 1;
        if entered >> (WORD - 1) == 1 {
            state[word + 1] |= 1;
        }
    }
}

/// Lists of places, in their order.
#[derive(Default)]
struct AutomatonBuilder {
    length: usize,
    start: Vec<usize>,
    any: Vec<usize>,
    loops: Vec<usize>,
    slash_loops: Vec<usize>,
    literals: BTreeMap<char, Vec<usize>>,
    skips: Vec<usize>,
    ends: Vec<SparsePlaces>,
}

impl AutomatonBuilder {
    /// Adds a pattern, and returns the places at which it ends.
    fn add(&mut self, pattern: &PathPattern) -> Vec<usize> {
        // Only the first slash of the path leads to the first place. The last place of the pattern before does not.
        let first = self.add_place();
        self.start.push(first);
        let mut previous = None;
        for segment in pattern.segments() {
            if previous.is_some() {
                self.add_slash(previous == Some(Segment::DoubleStar));
            }
            self.add_segment(segment);
            previous = Some(segment);
        }
        let last = self.length - 1;
        match previous {
            None => vec![last],
            Some(Segment::DoubleStar) if last == first => vec![last],
            Some(Segment::DoubleStar) => vec![last - 1, last],
            // A trailing slash is ignored.
            Some(_) => {
                self.add_slash(false);
                vec![last, last + 1]
            }
        }
    }

    fn add_place(&mut self) -> usize {
        self.length += 1;
        self.length - 1
    }

    fn add_slash(&mut self, is_after_double_star: bool) {
        let place = self.add_place();
        self.literals.entry(SLASH).or_default().push(place);
        if is_after_double_star {
            self.skips.push(place - 1);
        }
    }

    /// Adds the places after the slash of the segment. `**` needs none, since it begins with a slash that is followed by
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
                let place = self.add_place();
                self.any.push(place);
            }
            literal => {
                let place = self.add_place();
                self.literals.entry(literal).or_default().push(place);
            }
        }
    }

    fn build(mut self) -> PatternAutomaton {
        self.literals.entry(SLASH).or_default();
        let words = self.length.div_ceil(WORD);
        let skips = sparse(&self.skips);
        let mut start = dense(&self.start, words);
        enter_skipped(&skips, &mut start);
        let any = dense(&self.any, words);
        let accepting =
            self.literals.into_iter().map(|(character, places)| (character, AcceptingPlaces::new(character, &places, &any)));
        PatternAutomaton {
            start,
            loops: dense(&self.loops, words),
            slash_loops: dense(&self.slash_loops, words),
            accepting: accepting.collect(),
            skips,
            ends: self.ends.into(),
            any,
        }
    }
}

impl AcceptingPlaces {
    fn new(character: char, places: &[usize], any: &Places) -> Self {
        let in_words = sparse(places);
        if character == SLASH {
            return Self::Dense(dense(places, any.len()));
        }
        if in_words.len() * 2 < any.len() {
            return Self::Sparse(in_words);
        }
        Self::Dense(dense(places, any.len()).iter().zip(any).map(|(places, any)| places | any).collect())
    }
}

fn dense(places: &[usize], words: usize) -> Places {
    let mut dense: Places = smallvec![0; words];
    places.iter().for_each(|place| dense[place / WORD] |= 1 << (place % WORD));
    dense
}

/// `places` must be in their order.
fn sparse(places: &[usize]) -> SparsePlaces {
    let in_words = places.chunk_by(|one, next| one / WORD == next / WORD);
    in_words.map(|places| (places[0] / WORD, places.iter().fold(0, |word, place| word | 1 << (place % WORD)))).collect()
}

#[cfg(test)]
mod tests;
