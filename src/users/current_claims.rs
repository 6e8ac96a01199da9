//! Selects the identities of a user whose claims count, by the time at which the provider last verified them.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::{Identity, RefreshPolicy, RefreshToken, TokenOwner};
use crate::{
    clock::since,
    principal::{Claims, CredentialKind, Grant, IdentityClaims, PinnedGrant},
    role_map::RoleMap,
};

/// Logins within this time do not record another time of verification.
const LONGEST_PRECISION: Duration = Duration::from_secs(60);

/// The maximum time since the verification of an identity, for each use of its claims.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClaimsMaxAge {
    pub sessions: Duration,
    /// For API keys, and for tokens of users who have signed in.
    pub keys: Duration,
    /// For sessions, by the ids of the providers that have a bound of their own (`max_claims_age`).
    pub providers: BTreeMap<String, Duration>,
    /// For identities with a refresh token, or with a refused one, by the ids of the providers that refresh claims.
    pub refreshes: BTreeMap<String, RefreshPolicy>,
    /// The intervals of look-ups that need no token of the user, by the ids of the providers with such a directory.
    pub directories: BTreeMap<String, Duration>,
}

/// The identities of a user that were verified recently enough, and the claims of a directory. Nothing else grants a role,
/// teams or an email address.
#[derive(Debug)]
pub struct CurrentClaims {
    pub identities: Vec<IdentityClaims>,
    /// The moment at which the first of these identities expires.
    pub valid_until: Timestamp,
    /// The user's other identities, which have expired.
    pub expired: Vec<IdentityClaims>,
    /// Of the identities that count, those whose id_token has expired, with its claims. Refreshes brought no other id_token.
    pub with_expired_id_token: Vec<IdentityClaims>,
    /// The pinned grant, if the identity that it came from counts.
    pub pinned: Option<PinnedGrant>,
}

impl ClaimsMaxAge {
    /// The bound of a provider's sessions (`max_claims_age`) is for identities that only a sign-in can verify again.
    pub fn of(&self, credential: CredentialKind, identity: &IdentityClaims) -> Duration {
        let usual = match credential {
            CredentialKind::Session => self.sessions,
            CredentialKind::ApiKey | CredentialKind::Jwt => self.keys,
        };
        let has_bound = identity.is_refreshable || identity.has_refresh_bound;
        match (self.refreshes.get(&identity.provider).filter(|_| has_bound), credential) {
            (Some(refresh), _) => usual.min(refresh.max_age),
            (None, CredentialKind::Session) => self.providers.get(&identity.provider).map_or(usual, |own| usual.min(*own)),
            (None, CredentialKind::ApiKey | CredentialKind::Jwt) => usual,
        }
    }

    /// The refresh of an identity's claims. `None` if there is no refresh token, or its provider refreshes no claims.
    pub fn refresh_of(&self, identity: &IdentityClaims) -> Option<&RefreshPolicy> {
        self.refreshes.get(&identity.provider).filter(|_| identity.is_refreshable)
    }

    /// True if the claims are too old for a provider that refreshes claims.
    pub fn is_overdue(&self, identity: &IdentityClaims, now: Timestamp) -> bool {
        let refresh = self.refreshes.get(&identity.provider);
        refresh.zip(identity.verified_at).is_none_or(|(refresh, at)| since(at, now) >= refresh.max_age)
    }

    /// The moment from which the use of a session leads to a refresh with its own token.
    pub fn token_due(&self, provider: &str, token: &RefreshToken) -> Option<Timestamp> {
        let refresh = self.refreshes.get(provider).filter(|refresh| refresh.token == TokenOwner::Session)?;
        Some(token.refreshed.checked_add(refresh.interval).unwrap_or(Timestamp::MAX))
    }

    /// The moment from which the use of an identity leads to a refresh.
    pub fn refresh_due(&self, identity: &IdentityClaims) -> Option<Timestamp> {
        let (refresh, verified_at) = (self.refresh_of(identity)?, identity.verified_at?);
        Some(verified_at.checked_add(refresh.interval).unwrap_or(Timestamp::MAX))
    }

    /// The moment from which the use of an identity leads to another look-up in the provider's directory.
    pub fn directory_due(&self, identity: &IdentityClaims) -> Option<Timestamp> {
        let interval = self.directories.get(&identity.provider)?;
        Some(identity.directory_at?.checked_add(*interval).unwrap_or(Timestamp::MAX))
    }

    /// The precision of recorded times of verification, in whole seconds. It is finer for short sessions, whose claims expire
    /// early.
    pub fn precision(&self) -> Duration {
        let intervals = self.refreshes.values().map(|refresh| refresh.interval);
        let shortest = self.providers.values().copied().chain(intervals).fold(self.sessions.min(self.keys), Duration::min);
        LONGEST_PRECISION.min(shortest / 10)
    }

    /// The maximum time since the verification of the identity that opened a session. The recorded time of verification can be a
    /// little earlier than the session.
    pub fn since_verification(&self, created: Timestamp, now: Timestamp) -> Duration {
        since(created, now) + self.precision() + Duration::from_secs(1)
    }

    /// True if a session of this provider is old enough for another verification of its identity. A younger one comes from a
    /// sign-in that has just verified it, so that no browser is redirected in a loop.
    pub fn needs_verification(&self, provider: &str, created: Timestamp, now: Timestamp) -> bool {
        let refresh = self.refreshes.get(provider).map(|refresh| refresh.max_age);
        let bound = self.providers.get(provider).copied().into_iter().chain(refresh).min();
        bound.is_some_and(|max_age| self.since_verification(created, now) >= max_age)
    }

    /// An identity that is older than this grants nothing to any credential.
    pub fn longest(&self, identity: &IdentityClaims) -> Duration {
        self.of(CredentialKind::Session, identity).max(self.of(CredentialKind::ApiKey, identity))
    }
}

impl CurrentClaims {
    /// Selects from all identities of a user, in the order in which they were linked. An identity without a time of
    /// verification does not count.
    pub fn select(
        all: Vec<IdentityClaims>,
        pinned: Option<&PinnedGrant>,
        max_age: impl Fn(&IdentityClaims) -> Duration,
        now: Timestamp,
    ) -> Self {
        let expiry = |identity: &IdentityClaims| expiry(identity, max_age(identity));
        let is_current = |identity: &IdentityClaims| expiry(identity).is_some_and(|expiry| now < expiry);
        let counts = |pinned: &&PinnedGrant| match &pinned.identity {
            Some(_) => all.iter().any(|identity| is_current(identity) && is_pinned_by(pinned, identity)),
            // Released versions did not record the identity. It was that of the first login.
            None => all.first().is_some_and(is_current),
        };
        let pinned = pinned.filter(counts).cloned();
        let (mut identities, others): (Vec<_>, Vec<_>) = all.into_iter().partition(is_current);
        let with_expired_id_token = remove_expired_id_tokens(&mut identities, &max_age, now);
        let expiries = identities.iter().flat_map(|identity| [expiry(identity), id_token_expiry(identity, max_age(identity))]);
        let valid_until = expiries.flatten().min().unwrap_or(Timestamp::MAX);
        // The directory's claims count with the identity that they are linked to. Before the first sign-in there is none, and only
        // a token, which its issuer has just verified, can belong to the user.
        let (provisioned, expired) = others.into_iter().partition::<Vec<_>, _>(IdentityClaims::is_provisioned_only);
        identities.extend(provisioned);
        Self { identities, valid_until, expired, with_expired_id_token, pinned }
    }

    /// The same claims with those of the expired id_tokens, for a comparison. They grant nothing.
    pub fn before_id_tokens_expired(&self) -> Self {
        let expired = |known: &IdentityClaims| {
            self.with_expired_id_token.iter().find(|full| full.issuer == known.issuer && full.subject == known.subject)
        };
        let identities = self.identities.iter().map(|known| expired(known).unwrap_or(known).clone()).collect();
        let (expired, pinned) = (Vec::new(), self.pinned.clone());
        Self { identities, valid_until: self.valid_until, expired, with_expired_id_token: Vec::new(), pinned }
    }

    /// Claims that are not stored, and count as long as their source.
    pub fn of_unstored(identity: IdentityClaims) -> Self {
        let (expired, with_expired_id_token) = (Vec::new(), Vec::new());
        Self { identities: vec![identity], valid_until: Timestamp::MAX, expired, with_expired_id_token, pinned: None }
    }

    /// Evaluates the role map. Without an identity that counts, not even the default role is granted. Claims of a
    /// directory alone must match a rule.
    pub fn grant(&self, map: &RoleMap) -> Grant {
        match self.identities.as_slice() {
            [] => Grant::default(),
            identities if identities.iter().all(IdentityClaims::is_provisioned_only) => map.evaluate_without_default(identities),
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

/// The moment from which the claims of the id_token no longer count, if it is earlier than that of the identity.
fn id_token_expiry(identity: &IdentityClaims, max_age: Duration) -> Option<Timestamp> {
    identity.id_token_at.map(|at| at.checked_add(max_age).unwrap_or(Timestamp::MAX))
}

/// Removes the id_tokens that have expired. The other sources of their identities count, since a refresh has verified them.
/// Returns the identities as they were.
fn remove_expired_id_tokens(
    identities: &mut [IdentityClaims],
    max_age: impl Fn(&IdentityClaims) -> Duration,
    now: Timestamp,
) -> Vec<IdentityClaims> {
    let is_expired =
        |identity: &&mut IdentityClaims| id_token_expiry(identity, max_age(identity)).is_some_and(|expiry| expiry <= now);
    let remove = |identity: &mut IdentityClaims| {
        let former = identity.clone();
        (identity.id_token, identity.id_token_at) = (Claims::default(), None);
        former
    };
    identities.iter_mut().filter(is_expired).map(remove).collect()
}

fn digest(identity: &IdentityClaims) -> String {
    Identity::digest(&identity.issuer, &identity.subject).to_hex()
}

#[cfg(test)]
mod tests;
