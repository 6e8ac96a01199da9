//! A set of paths that is defined by patterns and checked in every interpretation of a path.

use super::{index::PathIndex, interpretations::PathInterpretations, pattern::PathPattern};

/// The paths that at least one of the patterns matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathSet(PathIndex);

impl PathSet {
    pub fn new(patterns: impl Iterator<Item = PathPattern>) -> Self {
        let patterns: Vec<_> = patterns.collect();
        Self(PathIndex::new(patterns.iter().map(|pattern| (0, pattern))))
    }

    /// True if every interpretation of the path is in the set. False if the path has none. Lower-case variants are not
    /// checked, because a pattern that matches a path also matches it in lower case.
    pub fn contains(&self, path: &str) -> bool {
        let is_in_set = |path: &str| self.0.first(path, |_| true).is_some();
        PathInterpretations::of(path).is_ok_and(|interpretations| interpretations.paths().all(is_in_set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(patterns: &[&str]) -> PathSet {
        PathSet::new(patterns.iter().map(|pattern| PathPattern::parse(pattern).unwrap()))
    }

    #[test]
    fn a_path_is_in_the_set_if_all_of_its_interpretations_are() {
        let set = set(&["/v1/**", "/health"]);
        for path in ["/v1", "/v1/", "/v1/a/b", "/health", "/v1/a%20b", "/v1/a//b", "/v1/a/../b"] {
            assert!(set.contains(path), "{path}");
        }
        for path in ["/", "/v2", "/healthy", "/V1/a", "/v1/../v2", "/v1/%2e%2e/v2", "/x/../v1", "/v1%2f..%2fv2", "v1", "/v1/%"] {
            assert!(!set.contains(path), "{path}");
        }
    }

    #[test]
    fn a_set_without_patterns_is_empty() {
        assert!(!set(&[]).contains("/"));
    }
}
