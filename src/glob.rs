//! Matches whole texts against patterns in which `*` matches any run of characters and `?` one character.
//!
//! A match is linear in the text. The characters before the first `*` and after the last one are compared in place.
//! Each run between two stars is searched from the end of the run before it by a bit-parallel automaton (Shift-And),
//! which reads a character once and then does one step for every 64 characters of the run. So a match takes at most one
//! step per character of the pattern, and `ceil(L / 64)` steps per character of the text, with `L` the length of the
//! pattern's longest inner run: at most 8 for patterns of 512 characters, for every pattern and text. Nothing is
//! retried.

use std::{fmt, str::Chars};

use smallvec::{SmallVec, smallvec};

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    pieces: Box<[Piece]>,
    /// The runs that have a `*` on both sides, in their order.
    inner_runs: Box<[RunSearch]>,
}

/// The part of a text by which a pattern can be looked up without trying it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    Other,
    EndsWith(String),
    BeginsWith(String),
    Exactly(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    #[error("is empty; write \"*\" to match every value")]
    Empty,
    #[error("is longer than {MAX_LEN} bytes")]
    TooLong,
    #[error("has a backslash that is not followed by *, ? or a backslash; a backslash itself is written twice")]
    Escape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Literal(char),
    /// `?`
    AnyCharacter,
    /// `*`
    Star,
}

/// The maximum length of a pattern that is parsed, in bytes.
const MAX_LEN: usize = 512;

impl Glob {
    /// Parses a pattern in which a backslash escapes `*`, `?` and itself.
    pub fn parse(pattern: &str) -> Result<Self, GlobError> {
        if pattern.is_empty() {
            return Err(GlobError::Empty);
        }
        if pattern.len() > MAX_LEN {
            return Err(GlobError::TooLong);
        }
        let mut pieces = Vec::with_capacity(pattern.len());
        let mut characters = pattern.chars();
        while let Some(character) = characters.next() {
            pieces.push(match character {
                '\\' => Piece::Literal(escaped(characters.next())?),
                other => Piece::unescaped(other),
            });
        }
        Ok(Self::compile(pieces))
    }

    /// Compiles a pattern without escapes: a backslash is a character like any other. The caller bounds its length.
    pub fn without_escapes(pattern: &str) -> Self {
        Self::compile(pattern.chars().map(Piece::unescaped).collect())
    }

    fn compile(pieces: Vec<Piece>) -> Self {
        let mut inner: Vec<_> = pieces.split(|piece| *piece == Piece::Star).skip(1).collect();
        inner.pop();
        let inner_runs = inner.into_iter().filter(|run| !run.is_empty()).map(RunSearch::new).collect();
        Self { pieces: pieces.into(), inner_runs }
    }

    /// The pattern with its literals in lower case.
    pub fn in_lower_case(&self) -> Self {
        let lower = |piece: &Piece| match piece {
            Piece::Literal(literal) => literal.to_lowercase().map(Piece::Literal).collect(),
            other => vec![*other],
        };
        Self::compile(self.pieces.iter().flat_map(lower).collect())
    }

    pub fn shape(&self) -> Shape {
        let text = |pieces: &[Piece]| pieces.iter().map(|piece| piece.literal()).collect::<Option<String>>();
        let other = || Shape::Other;
        match &*self.pieces {
            [start @ .., Piece::Star] if !start.is_empty() => text(start).map_or_else(other, Shape::BeginsWith),
            [Piece::Star, end @ ..] => text(end).map_or_else(other, Shape::EndsWith),
            whole => text(whole).map_or_else(other, Shape::Exactly),
        }
    }

    /// True if the pattern matches more than one text.
    pub fn has_wildcard(&self) -> bool {
        self.pieces.iter().any(|piece| piece.literal().is_none())
    }

    /// Splits off the literal text at the beginning of the pattern. The rest is `None` if the pattern has nothing else.
    pub fn split_literal(&self) -> (String, Option<Self>) {
        let literal: String = self.pieces.iter().map_while(|piece| piece.literal()).collect();
        let rest = &self.pieces[literal.chars().count()..];
        (literal, (!rest.is_empty()).then(|| Self::compile(rest.to_vec())))
    }

    /// Returns the part of a text that the `*` at the end of the pattern matches, if every run before it matches at its first
    /// occurrence.
    pub fn rest_of<'t>(&self, text: &'t str) -> Option<&'t str> {
        let mut rest = text.chars();
        let runs: Vec<_> = self.pieces.split(|piece| *piece == Piece::Star).collect();
        let (first, last) = (runs.first()?, runs.last()?);
        let is_open = runs.len() > 1 && last.is_empty();
        let begins = first.iter().all(|piece| rest.next().is_some_and(|character| piece.accepts(character)));
        let matches = is_open && begins && self.inner_runs.iter().all(|run| run.skip_past(&mut rest, &mut 0));
        matches.then_some(rest.as_str())
    }

    /// Matches the whole text.
    pub fn matches(&self, text: &str) -> bool {
        self.matches_counting(text, &mut 0)
    }

    /// Matches, and counts the steps. Each inner run is matched at its first end, which leaves the longest rest of
    /// the text to the following runs.
    fn matches_counting(&self, text: &str, steps: &mut usize) -> bool {
        let mut rest = text.chars();
        let mut runs = self.pieces.split(|piece| *piece == Piece::Star);
        let mut fits = |piece: &Piece, character: Option<char>| {
            *steps += 1;
            character.is_some_and(|character| piece.accepts(character))
        };
        let first = runs.next().unwrap_or_default();
        if !first.iter().all(|piece| fits(piece, rest.next())) {
            return false;
        }
        let Some(last) = runs.next_back() else { return rest.next().is_none() };
        if !last.iter().rev().all(|piece| fits(piece, rest.next_back())) {
            return false;
        }
        self.inner_runs.iter().all(|run| run.skip_past(&mut rest, steps))
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal @ ('*' | '?' | '\\')) => write!(f, "\\{literal}")?,
                Piece::Literal(literal) => write!(f, "{}", literal.escape_debug())?,
                Piece::AnyCharacter => f.write_str("?")?,
                Piece::Star => f.write_str("*")?,
            }
        }
        f.write_str("\"")
    }
}

impl Piece {
    fn unescaped(character: char) -> Self {
        match character {
            '*' => Self::Star,
            '?' => Self::AnyCharacter,
            literal => Self::Literal(literal),
        }
    }

    fn literal(self) -> Option<char> {
        if let Self::Literal(literal) = self { Some(literal) } else { None }
    }

    fn accepts(self, character: char) -> bool {
        match self {
            Self::Literal(literal) => literal == character,
            Self::AnyCharacter => true,
            Self::Star => false,
        }
    }
}

fn escaped(character: Option<char>) -> Result<char, GlobError> {
    character.filter(|character| matches!(character, '*' | '?' | '\\')).ok_or(GlobError::Escape)
}

/// Positions in a run, one bit each.
type PositionSet = SmallVec<[u64; 1]>;

/// Finds a run of literals and `?`. Place `i` is in the automaton's state while the last characters that were read are
/// the run's first `i + 1`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RunSearch {
    last_position: usize,
    /// The positions of `?`.
    of_any: PositionSet,
    /// The positions that accept a character which is a literal of the run, in the order of the characters.
    of_literals: Box<[(char, PositionSet)]>,
}

impl RunSearch {
    fn new(run: &[Piece]) -> Self {
        let positions = |accepts: &dyn Fn(Piece) -> bool| {
            let mut positions: PositionSet = smallvec![0; run.len().div_ceil(WORD)];
            let accepting = run.iter().enumerate().filter(|(_, piece)| accepts(**piece));
            accepting.for_each(|(position, _)| positions[position / WORD] |= 1 << (position % WORD));
            positions
        };
        let mut literals: Vec<char> = run.iter().filter_map(|piece| piece.literal()).collect();
        literals.sort_unstable();
        literals.dedup();
        let of_literals = literals.into_iter().map(|literal| (literal, positions(&|piece| piece.accepts(literal)))).collect();
        Self { last_position: run.len() - 1, of_any: positions(&|piece| piece == Piece::AnyCharacter), of_literals }
    }

    /// Reads the text up to the first end of the run in it.
    fn skip_past(&self, text: &mut Chars<'_>, steps: &mut usize) -> bool {
        let mut state: PositionSet = smallvec![0; self.of_any.len()];
        text.any(|character| {
            let mut carry = 1;
            for (word, accepting) in state.iter_mut().zip(self.positions_of(character)) {
                *steps += 1;
                let next = (*word << 1 | carry) & accepting;
                carry = *word >> (WORD - 1);
                *word = next;
            }
            state[self.last_position / WORD] >> (self.last_position % WORD) & 1 == 1
        })
    }

    fn positions_of(&self, character: char) -> &PositionSet {
        let found = self.of_literals.binary_search_by_key(&character, |(literal, _)| *literal);
        found.map_or(&self.of_any, |index| &self.of_literals[index].1)
    }
}

const WORD: usize = u64::BITS as usize;

#[cfg(test)]
mod tests;
