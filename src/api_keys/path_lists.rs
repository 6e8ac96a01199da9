//! Limits the path patterns of a key together with those of its ancestors.

use super::{KeysError, MAX_ANCESTORS, Restrictions};

/// The maximum number of path patterns of a key and all its ancestors.
pub const MAX_PATTERNS: usize = 64;

/// The maximum length of these patterns together, in bytes.
pub const MAX_PATTERN_BYTES: usize = 4 << 10;

/// An ancestor may be restricted after a key was derived from it, so that each key of a chain may use the whole budget. A
/// check evaluates no more than that. Records of earlier versions may exceed it.
const MAX_BUDGETS: usize = MAX_ANCESTORS + 1;

/// The lists of path patterns of several restrictions. A derived key may have copies of its ancestors' restrictions, so a
/// list that occurs several times counts once.
pub(super) struct PathLists<'a>(Vec<&'a [String]>);

impl<'a> PathLists<'a> {
    pub fn of(restrictions: impl IntoIterator<Item = &'a Restrictions>) -> Self {
        let mut lists: Vec<&[String]> = Vec::new();
        for Restrictions { paths, .. } in restrictions {
            if !paths.is_empty() && !lists.contains(&paths.as_slice()) {
                lists.push(paths);
            }
        }
        Self(lists)
    }

    pub fn iter(&self) -> impl Iterator<Item = &'a [String]> {
        self.0.iter().copied()
    }

    /// `restrictions` are those of a key and of all its ancestors.
    pub fn require_budget(restrictions: impl IntoIterator<Item = &'a Restrictions>) -> Result<(), KeysError> {
        if Self::of(restrictions).is_within(1) { Ok(()) } else { Err(KeysError::TooManyPatterns) }
    }

    /// False if a check would take too long.
    pub fn can_be_evaluated(&self) -> bool {
        self.is_within(MAX_BUDGETS)
    }

    fn is_within(&self, budgets: usize) -> bool {
        let patterns: usize = self.iter().map(<[String]>::len).sum();
        let bytes: usize = self.iter().flatten().map(String::len).sum();
        patterns <= budgets * MAX_PATTERNS && bytes <= budgets * MAX_PATTERN_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn restricted_to(paths: impl IntoIterator<Item = String>) -> Restrictions {
        Restrictions { paths: paths.into_iter().collect(), ..Restrictions::default() }
    }

    /// Restrictions of one pattern each, with this length.
    fn patterns(number: usize, length: usize) -> Vec<Restrictions> {
        (0..number).map(|index| restricted_to([format!("/{index:0>width$}", width = length - 1)])).collect()
    }

    #[rstest]
    #[case::none(&[], true)]
    #[case::as_many_as_allowed(&patterns(64, 64), true)]
    #[case::one_more(&patterns(65, 8), false)]
    #[case::as_long_as_allowed(&patterns(8, 512), true)]
    #[case::one_byte_more(&[patterns(8, 512), patterns(1, 2)].concat(), false)]
    fn patterns_are_limited_in_number_and_length(#[case] restrictions: &[Restrictions], #[case] allowed: bool) {
        assert_eq!(PathLists::require_budget(restrictions).is_ok(), allowed);
    }

    #[test]
    fn a_repeated_list_counts_once() {
        let one = restricted_to((0..40).map(|number| format!("/{number}")));
        let other_role = Restrictions { role: Some(crate::principal::Role::new("team")), ..one.clone() };
        assert!(PathLists::require_budget([&one, &other_role, &one]).is_ok());
        let reordered = restricted_to(one.paths.iter().rev().cloned());
        assert!(PathLists::require_budget([&one, &reordered]).is_err());
    }

    #[test]
    fn a_chain_of_keys_with_a_budget_each_can_be_evaluated() {
        assert!(PathLists::of(&patterns(5 * 64, 64)).can_be_evaluated());
        assert!(!PathLists::of(&patterns(5 * 64 + 1, 8)).can_be_evaluated());
        assert!(!PathLists::of(&patterns(16 * 32, 512)).can_be_evaluated());
    }
}
