//! What a rule asks of an identity: that a claim, read in a certain way, has a value that a pattern matches.

use std::borrow::Cow;

use crate::{
    glob::{Glob, GlobError},
    principal::{ClaimPath, IdentityClaims, Source},
};

/// Where values stand, and how they are read and compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// `None`: every source that there is.
    pub source: Option<Source>,
    pub claim: ClaimPath,
    pub split: Option<Split>,
    pub case: Case,
}

/// What stands between the values that a provider has put into one text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Split {
    Space,
    Comma,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Case {
    Sensitive,
    Ignored,
}

#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub place: Place,
    pub pattern: Glob,
}

impl Condition {
    /// Compiles a pattern for the place's way of comparing.
    pub fn new(place: Place, pattern: &str) -> Result<Self, GlobError> {
        let pattern = Glob::parse(&place.case.fold(pattern))?;
        Ok(Self { place, pattern })
    }

    pub fn holds(&self, identity: &IdentityClaims) -> bool {
        !self.matching(identity).is_empty()
    }

    /// The values that the pattern matches, as the provider wrote them.
    pub fn matching<'a>(&self, identity: &'a IdentityClaims) -> Vec<Cow<'a, str>> {
        let mut values = self.place.values(identity);
        values.retain(|value| self.pattern.matches(&self.place.case.fold(value)));
        values
    }
}

impl Place {
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

impl Split {
    fn parts(self, value: Cow<'_, str>) -> Vec<Cow<'_, str>> {
        let separator = |character: char| match self {
            Self::Space => character.is_ascii_whitespace(),
            Self::Comma => character == ',',
        };
        let trimmed = |part: &str| (!part.trim().is_empty()).then(|| part.trim().to_owned());
        match value {
            Cow::Borrowed(text) => {
                text.split(separator).map(str::trim).filter(|part| !part.is_empty()).map(Cow::Borrowed).collect()
            }
            Cow::Owned(text) => text.split(separator).filter_map(trimmed).map(Cow::Owned).collect(),
        }
    }
}

impl Case {
    /// Letter by letter, so that a letter's neighbours don't change what it becomes.
    pub fn fold(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Ignored if text.chars().any(|c| c.is_uppercase()) => text.chars().flat_map(char::to_lowercase).collect(),
            _ => Cow::Borrowed(text),
        }
    }
}
