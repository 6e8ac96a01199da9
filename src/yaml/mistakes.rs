//! Defines mistakes in documents: the place, the problem and the remedy.

use std::fmt;

/// The place where a value is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A line of the document, counted from 1.
    Line(u64),
    /// An environment variable.
    Variable(String),
    /// No place, because something is missing.
    Nowhere,
}

/// A mistake in a document. Its text never contains a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The field's path, such as `providers[0].issuer`; empty for a mistake in the document as a whole.
    pub path: String,
    pub place: Place,
    pub text: String,
}

/// All mistakes of a document, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(Vec<Mistake>);

impl Mistake {
    pub fn new(path: impl Into<String>, place: Place, text: impl Into<String>) -> Self {
        Self { path: path.into(), place, text: text.into() }
    }
}

impl Mistakes {
    pub fn iter(&self) -> std::slice::Iter<'_, Mistake> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Mistake> for Mistakes {
    fn from(mistake: Mistake) -> Self {
        Self(vec![mistake])
    }
}

impl From<Vec<Mistake>> for Mistakes {
    fn from(mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by(|a, b| a.place.cmp(&b.place));
        Self(mistakes)
    }
}

impl Place {
    pub fn line(&self) -> Option<u64> {
        match self {
            Self::Line(line) => Some(*line),
            Self::Variable(_) | Self::Nowhere => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Variable(name) => f.write_str(name),
            Self::Nowhere => Ok(()),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.path.as_str(), &self.place) {
            ("", Place::Nowhere) => f.write_str(&self.text),
            ("", place) => write!(f, "{place}: {}", self.text),
            (path, Place::Nowhere) => write!(f, "{path}: {}", self.text),
            (path, place) => write!(f, "{path} ({place}): {}", self.text),
        }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{mistake}")?;
        }
        Ok(())
    }
}

/// Formats a value for a mistake: quoted, on one line, at most 60 characters.
pub fn shown(value: &str) -> String {
    const LIMIT: usize = 60;
    let mut shown: String = value.chars().take(LIMIT).flat_map(escape).collect();
    if value.chars().nth(LIMIT).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// Escapes characters that move the cursor or reorder a line in a terminal.
fn escape(c: char) -> Vec<char> {
    let reorders = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    if c.is_control() || reorders { c.escape_default().collect() } else { vec![c] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_one_line_with_its_place() {
        let line = |path, place| Mistake::new(path, place, "is wrong").to_string();
        assert_eq!(line("a.b", Place::Line(3)), "a.b (line 3): is wrong");
        assert_eq!(line("a.b", Place::Variable("VESTIBULE__A__B".into())), "a.b (VESTIBULE__A__B): is wrong");
        assert_eq!(line("a.b", Place::Nowhere), "a.b: is wrong");
        assert_eq!(line("", Place::Line(3)), "line 3: is wrong");
        assert_eq!(line("", Place::Nowhere), "is wrong");
    }

    #[test]
    fn mistakes_are_sorted_by_place() {
        let at = |place| Mistake::new("x", place, "");
        let mistakes =
            Mistakes::from(vec![at(Place::Nowhere), at(Place::Variable("B".into())), at(Place::Line(9)), at(Place::Line(2))]);
        let places: Vec<_> = mistakes.iter().map(|mistake| mistake.place.clone()).collect();
        assert_eq!(places, [Place::Line(2), Place::Line(9), Place::Variable("B".into()), Place::Nowhere]);
    }

    #[test]
    fn shown_values_are_short_and_harmless() {
        assert_eq!(shown("plain ü"), "`plain ü`");
        assert_eq!(shown("a\nb\u{1b}[31m\u{202e}"), "`a\\nb\\u{1b}[31m\\u{202e}`");
        assert_eq!(shown(&"x".repeat(60)), format!("`{}`", "x".repeat(60)));
        assert_eq!(shown(&"x".repeat(61)), format!("`{}…`", "x".repeat(60)));
    }
}
