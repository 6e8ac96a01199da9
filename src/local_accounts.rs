//! Local accounts: people who are invited, set a password, and sign in with it.
//!
//! An account is an identity like any provider's, of the issuer `local`, with the claims that its invitation granted. Its
//! password and its invitations lie in its person's shard, so that what belongs together changes in one commit.

mod acceptance;
mod attempts;
mod email;
mod hasher;
mod invitation;
mod invitations;
mod password;
mod password_login;

pub use acceptance::{Claim, ClaimError, Claimed, OnboardingClaims, Token};
pub use attempts::Origin;
pub use email::normal as normal_email;
pub use hasher::{Busy, Cost};
pub use invitation::{Granted, Invitation, InvitationId, Link, Standing};
pub use invitations::{InviteError, Inviter, Made, Page, Wanted};
pub use password::{LONGEST as LONGEST_PASSWORD, Password, PasswordRules, Unfit};
pub use password_login::{Attempt, ChangeError, SignInError, SignedIn};

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

/// A link lies around for so long at most.
pub const LONGEST_INVITATION: Duration = Duration::from_secs(30 * 86_400);

pub struct Accounts {
    records: Records,
    users: Arc<Users>,
    keys: Arc<Keys>,
    policy: Arc<Policy>,
    hasher: Hasher,
    settings: Settings,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Clone)]
pub struct Settings {
    pub passwords: PasswordRules,
    pub cost: Cost,
    /// How many processors hashing may keep busy.
    pub hashes_at_once: usize,
    /// How long an invitation can be taken up whose maker doesn't say.
    pub invitation_duration: Duration,
    /// `iss` of onboarding tokens; with a path of its own it is their `aud`.
    pub issuer: String,
}

/// That the configured cost of a hash is none that argon2 takes.
#[derive(Debug, thiserror::Error)]
#[error("local_accounts.argon2: {0}")]
pub struct BadCost(String);

impl Accounts {
    pub fn new(
        records: Records,
        users: Arc<Users>,
        keys: Arc<Keys>,
        policy: Arc<Policy>,
        settings: Settings,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, BadCost> {
        let hasher =
            Hasher::new(settings.cost, settings.hashes_at_once, clock.now()).map_err(|error| BadCost(error.to_string()))?;
        Ok(Self { records, users, keys, policy, hasher, settings, clock, metrics })
    }

    /// How long an invitation can be taken up whose maker doesn't say.
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

/// What a person has here besides their record: a password and invitations, found out so that they can go in one commit.
pub struct Belongings {
    user: String,
    invitations: Vec<String>,
}

impl Belongings {
    pub async fn of(records: &Records, user: &str) -> Result<Self, store::Error> {
        Ok(Self { user: user.to_owned(), invitations: Invitation::all_of(records, user).await? })
    }

    pub fn remove_from<'a>(&self, change: Change<'a>) -> Change<'a> {
        let change = change.delete(&Password::key(&self.user));
        self.invitations.iter().fold(change, |change, id| Invitation::remove_from(id, &self.user, change))
    }
}

#[cfg(test)]
mod tests;
