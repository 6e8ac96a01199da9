//! Defines the conditions of rules: a pattern and the claim whose values it must match.

use std::borrow::Cow;

use super::split::Split;
use crate::{
    glob::{Glob, GlobError},
    principal::{ClaimPath, IdentityClaims, Source},
};

/// Selects the values of a claim and defines how they are split and compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ValueSelector {
    /// `None` selects every source.
    pub source: Option<Source>,
    pub claim: ClaimPath,
    pub split: Option<Split>,
    pub case: Case,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Case {
    Sensitive,
    Ignored,
}

#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub selector: ValueSelector,
    pub pattern: Glob,
}

impl Condition {
    /// Compiles a pattern; folds its case if the selector ignores case.
    pub fn new(selector: ValueSelector, pattern: &str) -> Result<Self, GlobError> {
        let pattern = Glob::parse(&selector.case.fold(pattern))?;
        Ok(Self { selector, pattern })
    }

    pub fn matches(&self, identity: &IdentityClaims) -> bool {
        !self.matching_values(identity).is_empty()
    }

    /// Returns the values that match the pattern, as the provider sent them.
    pub fn matching_values<'a>(&self, identity: &'a IdentityClaims) -> Vec<Cow<'a, str>> {
        let mut values = self.selector.values(identity);
        values.retain(|value| self.pattern.matches(&self.selector.case.fold(value)));
        values
    }
}

impl ValueSelector {
    pub fn values<'a>(&self, identity: &'a IdentityClaims) -> Vec<Cow<'a, str>> {
        let mut found = Vec::new();
        for source in Source::ALL.into_iter().filter(|source| self.source.is_none_or(|wanted| wanted == *source)) {
            let Some(claims) = identity.source(source) else { continue };
            let values = self.claim.values(claims);
            match self.split {
                None => found.extend(values),
                Some(split) => found.extend(values.into_iter().flat_map(|value| split.parts(value))),
            }
        }
        found
    }
}

impl Case {
    /// Folds each letter separately, so that the result for a letter does not depend on its neighbors.
    pub fn fold(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Ignored if text.chars().any(|c| c.is_uppercase()) => text.chars().flat_map(char::to_lowercase).collect(),
            _ => Cow::Borrowed(text),
        }
    }
}
