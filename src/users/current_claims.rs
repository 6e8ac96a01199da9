//! Selects the identities of a user whose claims count, by the time at which the provider last verified them.

use std::time::Duration;

use jiff::Timestamp;

use super::Identity;
use crate::{
    principal::{CredentialKind, Grant, IdentityClaims, PinnedGrant},
    role_map::RoleMap,
};

/// Logins within this time do not record another time of verification.
const LONGEST_PRECISION: Duration = Duration::from_secs(60);

/// The maximum time since the verification of an identity, for each use of its claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimsMaxAge {
    pub sessions: Duration,
    /// For API keys, and for tokens of users who have signed in.
    pub keys: Duration,
}

/// The identities of a user that were verified recently enough. Nothing else grants a role, teams or an email address.
#[derive(Debug)]
pub struct CurrentClaims {
    pub identities: Vec<IdentityClaims>,
    /// The moment at which the first of these identities expires.
    pub valid_until: Timestamp,
    /// True if the user has other identities, which have expired.
    pub has_expired: bool,
    /// The pinned grant, if the identity that it came from counts.
    pub pinned: Option<PinnedGrant>,
}

impl ClaimsMaxAge {
    pub fn of(self, credential: CredentialKind) -> Duration {
        match credential {
            CredentialKind::Session => self.sessions,
            CredentialKind::Key | CredentialKind::Token => self.keys,
        }
    }

    /// The precision of recorded times of verification, of which whole seconds are kept. It is less for short sessions, whose
    /// claims expire early.
    pub fn precision(self) -> Duration {
        LONGEST_PRECISION.min(self.sessions.min(self.keys) / 10)
    }

    /// An identity that is older than this grants nothing to any credential.
    pub fn longest(self) -> Duration {
        self.sessions.max(self.keys)
    }
}

impl CurrentClaims {
    /// Selects from all identities of a user, in the order in which they were linked. An identity without a time of
    /// verification does not count.
    pub fn select(all: Vec<IdentityClaims>, pinned: Option<&PinnedGrant>, max_age: Duration, now: Timestamp) -> Self {
        let is_current = |identity: &IdentityClaims| expiry(identity, max_age).is_some_and(|expiry| now < expiry);
        let counts = |pinned: &&PinnedGrant| match &pinned.identity {
            Some(_) => all.iter().any(|identity| is_current(identity) && is_pinned_by(pinned, identity)),
            // Released versions did not record the identity. It was that of the first login.
            None => all.first().is_some_and(is_current),
        };
        let pinned = pinned.filter(counts).cloned();
        let count = all.len();
        let identities: Vec<_> = all.into_iter().filter(is_current).collect();
        let valid_until = identities.iter().filter_map(|identity| expiry(identity, max_age)).min().unwrap_or(Timestamp::MAX);
        Self { has_expired: identities.len() < count, identities, valid_until, pinned }
    }

    /// Claims that are not stored, and count as long as their source.
    pub fn of_unstored(identity: IdentityClaims) -> Self {
        Self { identities: vec![identity], valid_until: Timestamp::MAX, has_expired: false, pinned: None }
    }

    /// Evaluates the role map. Without an identity that counts, not even the default role is granted.
    pub fn grant(&self, map: &RoleMap) -> Grant {
        match self.identities.as_slice() {
            [] => Grant::default(),
            identities => map.grant(identities, self.pinned.as_ref()),
        }
    }

    /// Returns the grant to pin at a login: that of the identity which grants the role.
    pub(super) fn pin(&self, map: &RoleMap, grant: &Grant) -> Option<PinnedGrant> {
        let evaluated = self.identities.iter().map(|identity| (identity, map.evaluate(std::slice::from_ref(identity))));
        let (identity, own) = evaluated.into_iter().find(|(_, own)| own.role == grant.role)?;
        map.pin(&own).map(|pin| PinnedGrant { identity: Some(digest(identity)), ..pin })
    }
}

/// True if the pinned grant was computed from the claims of this identity.
pub fn is_pinned_by(pinned: &PinnedGrant, identity: &IdentityClaims) -> bool {
    pinned.identity.as_ref().is_some_and(|source| *source == digest(identity))
}

/// The moment from which the identity no longer counts.
fn expiry(identity: &IdentityClaims, max_age: Duration) -> Option<Timestamp> {
    identity.verified_at.map(|at| at.checked_add(max_age).unwrap_or(Timestamp::MAX))
}

fn digest(identity: &IdentityClaims) -> String {
    Identity::digest(&identity.issuer, &identity.subject).to_hex()
}

#[cfg(test)]
mod tests;
