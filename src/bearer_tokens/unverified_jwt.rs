//! A bearer token as a request presents it.

use std::fmt;

use super::verification::is_jwt;

/// A text in the form of a JWT. It is not verified.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Jwt<'a>(&'a str);

impl<'a> Jwt<'a> {
    /// `None` if the text does not have the form of a JWT.
    pub fn parse(text: &'a str) -> Option<Self> {
        is_jwt(text).then_some(Self(text))
    }

    pub(super) fn expose(self) -> &'a str {
        self.0
    }
}

impl fmt::Debug for Jwt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jwt([redacted])")
    }
}
