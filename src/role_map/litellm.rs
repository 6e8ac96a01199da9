//! Evaluates LiteLLM's role mappings: the first mapping that matches any role of a token wins.

use super::condition::{Condition, ValueSelector};
use super::{Rank, RuleOrigin};
use crate::{
    glob::GlobError,
    principal::{IdentityClaims, Role},
};

#[derive(Clone, Debug)]
pub(super) struct Mappings {
    pub provider: Option<Box<str>>,
    /// The line of the section.
    pub line: u64,
    /// In the document's order. The first match wins.
    pub mappings: Vec<Mapping>,
}

#[derive(Clone, Debug)]
pub(super) struct Mapping {
    pub origin: RuleOrigin,
    pub condition: Condition,
    pub role: Role,
    pub rank: Rank,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FnmatchError {
    #[error("the pattern {0}")]
    Glob(#[from] GlobError),
    #[error("the pattern has a set in square brackets, which is not supported; write a mapping for each value")]
    Set,
}

impl Mappings {
    /// Returns the mapping with the highest privilege among the identities' mappings. For each identity, its first matching
    /// mapping counts.
    pub fn find_best(&self, identities: &[IdentityClaims]) -> Option<&Mapping> {
        let identities = identities.iter().filter(|identity| self.matches_provider(identity));
        identities.filter_map(|identity| self.find_first(identity)).min_by_key(|mapping| mapping.rank)
    }

    pub fn matches_provider(&self, identity: &IdentityClaims) -> bool {
        identity.is_from(self.provider.as_deref())
    }

    /// Returns the mapping that counts for an identity of the section's provider.
    pub fn find_first(&self, identity: &IdentityClaims) -> Option<&Mapping> {
        self.mappings.iter().find(|mapping| mapping.condition.matches(identity))
    }
}

/// Compiles a pattern of Python's `fnmatch`, in which a backslash is a literal character.
pub(super) fn compile_condition(selector: ValueSelector, pattern: &str) -> Result<Condition, FnmatchError> {
    if pattern.contains('[') {
        return Err(FnmatchError::Set);
    }
    Ok(Condition::new(selector, &pattern.replace('\\', "\\\\"))?)
}
