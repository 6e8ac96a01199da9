//! A set of paths by patterns, for what is to hold on every reading of a path.

use super::{index::Index, pattern::PathPattern, readings::Readings};

/// The paths that one of some patterns matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathSet(Index);

impl PathSet {
    pub fn new(patterns: impl Iterator<Item = PathPattern>) -> Self {
        let patterns: Vec<_> = patterns.collect();
        Self(Index::new(patterns.iter().map(|pattern| (0, pattern))))
    }

    /// Whether every reading of the path is in the set; never for one that can't be read. Letters in another
    /// case need no reading of their own: what a pattern matches, it matches in lower case too.
    pub fn holds(&self, path: &str) -> bool {
        let in_set = |reading: &str| self.0.first(reading, |_| true).is_some();
        Readings::of(path).is_ok_and(|readings| readings.texts().all(in_set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(patterns: &[&str]) -> PathSet {
        PathSet::new(patterns.iter().map(|pattern| PathPattern::parse(pattern).unwrap()))
    }

    #[test]
    fn a_path_is_held_when_all_of_its_readings_are() {
        let set = set(&["/v1/**", "/health"]);
        for path in ["/v1", "/v1/", "/v1/a/b", "/health", "/v1/a%20b", "/v1/a//b", "/v1/a/../b"] {
            assert!(set.holds(path), "{path}");
        }
        for path in ["/", "/v2", "/healthy", "/V1/a", "/v1/../v2", "/v1/%2e%2e/v2", "/x/../v1", "/v1%2f..%2fv2", "v1", "/v1/%"] {
            assert!(!set.holds(path), "{path}");
        }
    }

    #[test]
    fn without_patterns_nothing_is_held() {
        assert!(!set(&[]).holds("/"));
    }
}
