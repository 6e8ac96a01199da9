//! Sets of paths that are defined by patterns and checked in every interpretation of a path.

use super::{automaton::PatternAutomaton, interpretations::PathInterpretations, pattern::PathPattern};

/// Several sets, each with the paths that at least one of its patterns matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathSets(PatternAutomaton);

impl PathSets {
    pub fn new<'a, S: IntoIterator<Item = &'a PathPattern>>(sets: impl IntoIterator<Item = S>) -> Self {
        Self(PatternAutomaton::new(sets))
    }

    /// True if every set has every interpretation of the path. Lower-case variants are not checked, because a pattern that
    /// matches a path also matches it in lower case.
    pub fn is_path_in_all(&self, interpretations: &PathInterpretations<'_>) -> bool {
        let is_in_all = |path: &str| {
            let active = path.strip_prefix('/').map(|text| self.0.read(text));
            active.is_some_and(|active| self.0.matching_sets(&active).len() == self.0.number_of_sets())
        };
        interpretations.paths().all(is_in_all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn are_in_all(sets: &[&[&str]], path: &str) -> bool {
        let sets: Vec<Vec<_>> =
            sets.iter().map(|set| set.iter().map(|pattern| PathPattern::parse(pattern).unwrap()).collect()).collect();
        PathInterpretations::of(path).is_ok_and(|paths| PathSets::new(&sets).is_path_in_all(&paths))
    }

    #[test]
    fn a_path_is_in_a_set_if_all_of_its_interpretations_are() {
        let set: &[&[&str]] = &[&["/v1/**", "/health"]];
        for path in ["/v1", "/v1/", "/v1/a/b", "/health", "/v1/a%20b", "/v1/a//b", "/v1/a/../b"] {
            assert!(are_in_all(set, path), "{path}");
        }
        for path in ["/", "/v2", "/healthy", "/V1/a", "/v1/../v2", "/v1/%2e%2e/v2", "/x/../v1", "/v1%2f..%2fv2", "v1", "/v1/%"] {
            assert!(!are_in_all(set, path), "{path}");
        }
    }

    #[test]
    fn a_path_must_be_in_every_set() {
        assert!(are_in_all(&[&["/v1/**"], &["/v2", "/*/a"]], "/v1/a"));
        assert!(!are_in_all(&[&["/v1/**"], &["/v2", "/*/a"]], "/v1/b"));
        assert!(!are_in_all(&[&["/v1/**"], &["/v2", "/*/a"]], "/v2"));
    }

    #[test]
    fn a_set_without_patterns_is_empty() {
        assert!(!are_in_all(&[&[]], "/"));
        assert!(!are_in_all(&[&["/**"], &[]], "/"));
        assert!(are_in_all(&[], "/"));
    }
}
