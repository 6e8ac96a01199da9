//! Local accounts: users who are invited, set a password, and sign in with it.
//!
//! An account is an identity of the issuer `local`, with the claims that its invitation granted. Its password and its
//! invitations are in the user's shard, so that they change in one commit.

mod acceptance;
mod attempts;
mod hasher;
mod invitation;
mod invitations;
mod password;
mod password_login;
mod predictability;
mod typed_password;

pub use acceptance::{Acceptance, AcceptanceError, AcceptanceRequest, OnboardingClaims, OnboardingToken};
pub use attempts::Origin;
pub use hasher::{Cost, QueueFullError};
pub use invitation::{AccountGrant, Invitation, InvitationId, InvitationStatus, Link};
pub use invitations::{InvitationError, InvitationListing, InvitationParameters, InvitationWithLink, Inviter};
pub use password::{Password, PasswordRejection, PasswordRules};
pub use password_login::{PasswordChangeError, PasswordLogin, PasswordLoginError, PasswordLoginRequest};
pub use typed_password::MAX_LENGTH as MAX_PASSWORD_LENGTH;

use std::{sync::Arc, time::Duration};

use crate::{
    api_keys::Keys,
    clock::Clock,
    metrics::Metrics,
    secret::KeyRing,
    store::{self, Change, Records},
    users::{Policy, Users},
};
use hasher::Hasher;

/// The maximum duration of an invitation.
pub const LONGEST_INVITATION: Duration = Duration::from_secs(30 * 86_400);

pub struct Accounts {
    records: Records,
    users: Arc<Users>,
    keys: Arc<Keys>,
    policy: Arc<Policy>,
    hasher: Hasher,
    settings: LocalAccountSettings,
    /// The `iss` of onboarding tokens. Their `aud` is `/onboarding` below it.
    issuer: String,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalAccountSettings {
    pub passwords: PasswordRules,
    pub cost: Cost,
    /// The maximum number of concurrent hashes.
    pub hashes_at_once: usize,
    /// The duration of an invitation if the request has none.
    pub invitation_duration: Duration,
}

/// The services that local accounts use.
pub struct AccountServices {
    pub records: Records,
    pub users: Arc<Users>,
    pub keys: Arc<Keys>,
    pub policy: Arc<Policy>,
}

/// The configured cost of a hash is not valid for argon2.
#[derive(Debug, thiserror::Error)]
#[error("local_accounts.argon2: {0}")]
pub struct InvalidHashCost(String);

impl Accounts {
    /// `issuer` is the public URL.
    pub fn new(
        services: AccountServices,
        settings: LocalAccountSettings,
        issuer: String,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, InvalidHashCost> {
        let hasher = Hasher::new(settings.cost, settings.hashes_at_once, clock.now())
            .map_err(|error| InvalidHashCost(error.to_string()))?;
        let AccountServices { records, users, keys, policy } = services;
        Ok(Self { records, users, keys, policy, hasher, settings, issuer, clock, metrics })
    }

    /// The duration of an invitation if the request has none.
    pub fn invitation_duration(&self) -> Duration {
        self.settings.invitation_duration
    }

    pub fn passwords(&self) -> PasswordRules {
        self.settings.passwords
    }

    fn ring(&self) -> &KeyRing {
        self.records.ring()
    }
}

/// The password and the invitations of a user, to be deleted in one commit with their record.
pub struct LocalAccountRecords {
    user: String,
    invitations: Vec<String>,
}

impl LocalAccountRecords {
    pub async fn of(records: &Records, user: &str) -> Result<Self, store::Error> {
        Ok(Self { user: user.to_owned(), invitations: Invitation::list_ids(records, user).await? })
    }

    pub fn remove_from<'a>(&self, change: Change<'a>) -> Change<'a> {
        let change = change.delete(&Password::key(&self.user));
        self.invitations.iter().fold(change, |change, id| Invitation::remove_from(id, &self.user, change))
    }
}

#[cfg(test)]
mod tests;
