//! The settings of a provider's refreshes. `config` fills them.

use std::time::Duration;

/// The refresh of claims with a provider's refresh tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshPolicy {
    /// The use of claims that are older leads to a refresh in the background.
    pub interval: Duration,
    /// Claims that are older do not count.
    pub max_age: Duration,
    pub token: TokenOwner,
}

/// The record that a refresh token is kept in and ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenOwner {
    /// The session that the token came with.
    Session,
    /// The identity, also without a session.
    Identity,
}
