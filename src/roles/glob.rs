//! Globs over claim values: `*` stands for any run of characters, `?` for one.

use std::fmt;

/// How a pattern can be found without trying it: by the value itself, by its beginning, by its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    Other,
    EndsWith(String),
    BeginsWith(String),
    Exactly(String),
}

/// A compiled pattern. A backslash takes the meaning from `*`, `?` and itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Box<[Piece]>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    #[error("is empty; write \"*\" to match every value")]
    Empty,
    #[error("is longer than {LONGEST} bytes")]
    TooLong,
    #[error("has a backslash that is not followed by *, ? or a backslash; a backslash itself is written twice")]
    Escape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Literal(char),
    One,
    Run,
}

/// Matching takes, at worst, the pattern's length times the value's; both are bounded.
const LONGEST: usize = 512;

impl Glob {
    pub fn parse(pattern: &str) -> Result<Self, GlobError> {
        if pattern.is_empty() {
            return Err(GlobError::Empty);
        }
        if pattern.len() > LONGEST {
            return Err(GlobError::TooLong);
        }
        let mut pieces = Vec::with_capacity(pattern.len());
        let mut characters = pattern.chars();
        while let Some(character) = characters.next() {
            pieces.push(match character {
                '*' => Piece::Run,
                '?' => Piece::One,
                '\\' => Piece::Literal(escaped(characters.next())?),
                other => Piece::Literal(other),
            });
        }
        Ok(Self(pieces.into()))
    }

    /// The pattern that matches what this one would, if letters had no case.
    pub fn in_lower_case(&self) -> Self {
        let lower = |piece: &Piece| match piece {
            Piece::Literal(literal) => literal.to_lowercase().map(Piece::Literal).collect(),
            other => vec![*other],
        };
        Self(self.0.iter().flat_map(lower).collect())
    }

    pub fn shape(&self) -> Shape {
        let text = |pieces: &[Piece]| pieces.iter().map(|piece| piece.literal()).collect::<Option<String>>();
        let other = || Shape::Other;
        match &*self.0 {
            [start @ .., Piece::Run] if !start.is_empty() => text(start).map_or_else(other, Shape::BeginsWith),
            [Piece::Run, end @ ..] => text(end).map_or_else(other, Shape::EndsWith),
            whole => text(whole).map_or_else(other, Shape::Exactly),
        }
    }

    /// Whether the whole value matches. Only the last run seen is ever lengthened, which is enough
    /// and keeps hostile values from costing more than the product of the two lengths.
    pub fn matches(&self, value: &str) -> bool {
        let mut next = 0;
        let mut rest = value;
        let mut last_run = None;
        loop {
            match (self.0.get(next), first_and_rest(rest)) {
                (None, None) => return true,
                (Some(Piece::Run), _) => {
                    last_run = Some((next + 1, rest));
                    next += 1;
                    continue;
                }
                (Some(piece), Some((first, tail))) if piece.accepts(first) => {
                    rest = tail;
                    next += 1;
                    continue;
                }
                _ => {}
            }
            let Some((after_run, (_, longer))) = last_run.and_then(|(after, from)| Some((after, first_and_rest(from)?))) else {
                return false;
            };
            last_run = Some((after_run, longer));
            (next, rest) = (after_run, longer);
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for piece in &self.0 {
            match piece {
                Piece::Literal(literal @ ('*' | '?' | '\\')) => write!(f, "\\{literal}")?,
                Piece::Literal(literal) => write!(f, "{}", literal.escape_debug())?,
                Piece::One => f.write_str("?")?,
                Piece::Run => f.write_str("*")?,
            }
        }
        f.write_str("\"")
    }
}

impl Piece {
    fn literal(self) -> Option<char> {
        if let Self::Literal(literal) = self { Some(literal) } else { None }
    }

    fn accepts(self, character: char) -> bool {
        match self {
            Self::Literal(literal) => literal == character,
            Self::One => true,
            Self::Run => false,
        }
    }
}

fn escaped(character: Option<char>) -> Result<char, GlobError> {
    character.filter(|character| matches!(character, '*' | '?' | '\\')).ok_or(GlobError::Escape)
}

fn first_and_rest(text: &str) -> Option<(char, &str)> {
    let mut characters = text.chars();
    let first = characters.next()?;
    Some((first, characters.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_shape_says_what_the_pattern_says() {
        let table = [
            ("admin", Shape::Exactly("admin".into())),
            (r"a\*b", Shape::Exactly("a*b".into())),
            ("admin*", Shape::BeginsWith("admin".into())),
            ("*admin", Shape::EndsWith("admin".into())),
            ("*", Shape::EndsWith(String::new())),
            ("a*b", Shape::Other),
            ("*a*", Shape::Other),
            ("a?", Shape::Other),
            ("a?*", Shape::Other),
        ];
        for (pattern, expected) in table {
            assert_eq!(Glob::parse(pattern).unwrap().shape(), expected, "{pattern}");
        }
    }

    #[test]
    fn a_glob_matches_whole_values() {
        let table = [
            ("admin", "admin", true),
            ("admin", "Admin", false),
            ("admin", "admins", false),
            ("admin", "an admin", false),
            ("admin*", "admin", true),
            ("admin*", "administrator", true),
            ("*admin", "llm-admin", true),
            ("*admin", "admin-of-nothing", false),
            ("*", "anything/at all\u{1f600}", true),
            ("**", "x", true),
            ("/engineering/*", "/engineering/a/b", true),
            ("/engineering/*", "/engineering/", true),
            ("/engineering/*", "/engineering", false),
            ("/engineering/*", "/marketing/engineering/", false),
            ("*-*", "a-b", true),
            ("*-*", "ab", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("*aab", "aaaab", true),
            ("a*ab", "aab", true),
            ("a*ab", "ab", false),
            ("team-?", "team-1", true),
            ("team-?", "team-", false),
            ("team-?", "team-12", false),
            ("team-?", "team-\u{fc}", true),
            ("?*", "x", true),
            ("*?", "xyz", true),
            ("[ab]", "a", false),
            ("[ab]", "[ab]", true),
            ("{a,b}", "a", false),
            ("a.c", "abc", false),
            (r"\*", "*", true),
            (r"\*", "x", false),
            (r"a\?", "a?", true),
            (r"CORP\\admins", r"CORP\admins", true),
            ("a\n*", "a\nb", true),
        ];
        for (pattern, value, expected) in table {
            let glob = Glob::parse(pattern).unwrap();
            assert_eq!(glob.matches(value), expected, "{pattern} on {value}");
        }
    }

    #[test]
    fn a_bad_glob_is_named() {
        let long = "a".repeat(LONGEST + 1);
        let table = [
            ("", GlobError::Empty),
            (long.as_str(), GlobError::TooLong),
            ("\\", GlobError::Escape),
            (r"CORP\admins", GlobError::Escape),
        ];
        for (pattern, expected) in table {
            assert_eq!(Glob::parse(pattern), Err(expected), "{pattern}");
        }
    }

    /// The plain definition, exponential and obviously right.
    fn matches_naively(pattern: &[char], value: &[char]) -> bool {
        match (pattern, value) {
            ([], []) => true,
            (['*', after @ ..], _) => (0..=value.len()).any(|taken| matches_naively(after, &value[taken..])),
            (['?', after @ ..], [_, rest @ ..]) => matches_naively(after, rest),
            ([wanted, after @ ..], [found, rest @ ..]) => wanted == found && matches_naively(after, rest),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_equals_its_definition(pattern in "[ab*?]{1,7}", value in "[ab\u{e9}]{0,8}") {
            let glob = Glob::parse(&pattern).unwrap();
            let pattern: Vec<char> = pattern.chars().collect();
            let characters: Vec<char> = value.chars().collect();
            prop_assert_eq!(glob.matches(&value), matches_naively(&pattern, &characters));
        }
    }
}
