//! LiteLLM's own way to a role: the first mapping that any of a token's roles matches.

use super::condition::{Condition, Place};
use super::{Origin, Rank};
use crate::{
    glob::GlobError,
    principal::{IdentityClaims, Role},
};

#[derive(Clone, Debug)]
pub(super) struct Mappings {
    pub provider: Option<Box<str>>,
    /// Where the section stands.
    pub line: u64,
    /// In the document's order, which is what decides among them.
    pub mappings: Vec<Mapping>,
}

#[derive(Clone, Debug)]
pub(super) struct Mapping {
    pub origin: Origin,
    pub condition: Condition,
    pub role: Role,
    pub rank: Rank,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FnmatchError {
    #[error("the pattern {0}")]
    Glob(#[from] GlobError),
    #[error("the pattern has a set in square brackets, which LiteLLM knows and this does not; write a mapping for each value")]
    Set,
}

impl Mappings {
    /// The best of what each identity gets; in an identity the first mapping that matches counts.
    pub fn best(&self, identities: &[IdentityClaims]) -> Option<&Mapping> {
        let about = identities.iter().filter(|identity| self.is_about(identity));
        about.filter_map(|identity| self.first(identity)).min_by_key(|mapping| mapping.rank)
    }

    pub fn is_about(&self, identity: &IdentityClaims) -> bool {
        identity.is_from(self.provider.as_deref())
    }

    /// The mapping that counts for an identity which the section is about.
    pub fn first(&self, identity: &IdentityClaims) -> Option<&Mapping> {
        self.mappings.iter().find(|mapping| mapping.condition.holds(identity))
    }
}

/// Compiles a pattern of Python's `fnmatch`, in which a backslash is a character like any other.
pub(super) fn condition(place: Place, pattern: &str) -> Result<Condition, FnmatchError> {
    if pattern.contains('[') {
        return Err(FnmatchError::Set);
    }
    Ok(Condition::new(place, &pattern.replace('\\', "\\\\"))?)
}
