//! Signing in with a password, and changing it.

use std::time::Duration;

use zeroize::Zeroizing;

use super::{
    Accounts, Busy, Unfit,
    attempts::{self, Allowance, Origin, Try},
    email,
    hasher::{Lane, Verdict},
    password::Password,
};
use crate::{
    metrics::LoginOutcome,
    principal::{IdentityClaims, LOCAL},
    secret::Digest,
    session::Logout,
    sign_ins::{Entered, Refused},
    store::{self, Conflict, StoredRecord, Ttl},
    users::{self, Before, Identity, SignIn},
};

/// What somebody signs in with.
pub struct Attempt<'a> {
    pub email: &'a str,
    pub password: Zeroizing<String>,
    pub origin: Origin<'a>,
    pub browser: users::Browser,
}

/// Somebody who has signed in with a password.
pub struct SignedIn {
    pub entered: Entered,
    /// The value of the cookie by which this browser is known again.
    pub device: String,
}

#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Nobody is told which of both it is.
    #[error("address or password is wrong")]
    Wrong {
        /// Whose password it isn't, for the log.
        user: Option<String>,
    },
    #[error("there were too many tries; the next one is let through in {retry_after:?}")]
    TooMany { retry_after: Duration },
    #[error("too many passwords are being checked at once")]
    Busy,
    #[error("no role map has been read yet")]
    NoRoleMapYet,
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Store(#[from] store::Error),
}

#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("the person has no password here")]
    NoPassword,
    #[error("the current password is wrong")]
    Wrong,
    #[error("there were too many tries; the next one is let through in {retry_after:?}")]
    TooMany { retry_after: Duration },
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error("too many passwords are being checked at once")]
    Busy,
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl ChangeError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoPassword => "no_password",
            Self::Wrong => "wrong_password",
            Self::TooMany { .. } => "too_many_attempts",
            Self::Unfit(unfit) => unfit.reason(),
            Self::Busy => "password_checks_busy",
            Self::Store(error) => error.reason(),
        }
    }
}

impl Accounts {
    /// Signs somebody in. Whether there is such a person takes as long to find out as whether the password is theirs.
    pub async fn sign_in(&self, attempt: Attempt<'_>) -> Result<SignedIn, SignInError> {
        let outcome = self.try_sign_in(attempt).await;
        self.metrics.login(LOCAL, outcome.as_ref().map_or_else(SignInError::outcome, |_| LoginOutcome::Success));
        outcome.inspect_err(
            |why| tracing::warn!(provider = LOCAL, user = why.user(), reason = why.reason(), error = %why, "login failed"),
        )
    }

    async fn try_sign_in(&self, attempt: Attempt<'_>) -> Result<SignedIn, SignInError> {
        if !self.sign_ins.may_begin() {
            return Err(SignInError::NoRoleMapYet);
        }
        let Attempt { email, password, origin, browser } = attempt;
        // What is no address is nobody's, and takes its time too.
        let email = email::normal(email).unwrap_or_default();
        let account = Identity::digest(LOCAL, &email);
        let tried = Try::new(self.ring(), account, &origin);
        let lane = if tried.is_by_a_known_browser() { Lane::Known } else { Lane::Stranger };
        let place = self.hasher.place(lane)?;
        if let Allowance::Exceeded { retry_after } = attempts::spend(&self.records, &tried).await? {
            return Err(SignInError::TooMany { retry_after });
        }
        let known = self.users().find(LOCAL, &email).await?;
        let user = known.clone().unwrap_or_else(|| account.to_hex());
        let (identity, stored) = self.account(&user).await?;
        let verdict = place.verify(password.clone(), stored.as_ref().map(|stored| &stored.value)).await?;
        let (Some(identity), Some(stored), Verdict::Right { outdated }) = (identity, stored, verdict) else {
            return Err(SignInError::Wrong { user: known });
        };
        let renewed = if outdated { Some(place.hash(password, stored.value.set).await?) } else { None };
        let sign_in = SignIn { identity, sid: None, logout: Logout::default(), browser, before: Before::Stays };
        let entered = self.enter(&user, &sign_in, &stored, renewed.as_ref()).await?;
        Ok(SignedIn { entered, device: attempts::device_cookie(self.ring(), &account) })
    }

    /// Sets another password and ends all other sessions, in one commit.
    pub async fn change_password(
        &self,
        user: &str,
        current: Zeroizing<String>,
        new: Zeroizing<String>,
        kept: Option<&Digest>,
        origin: &Origin<'_>,
    ) -> Result<(), ChangeError> {
        let (identity, stored) = self.account(user).await?;
        let (Some(identity), Some(stored)) = (identity, stored) else { return Err(ChangeError::NoPassword) };
        let account = Identity::digest(LOCAL, &identity.subject);
        let place = self.hasher.place(Lane::Known)?;
        if let Allowance::Exceeded { retry_after } =
            attempts::spend(&self.records, &Try::new(self.ring(), account, origin)).await?
        {
            return Err(ChangeError::TooMany { retry_after });
        }
        if place.verify(current, Some(&stored.value)).await? == Verdict::Wrong {
            return Err(ChangeError::Wrong);
        }
        self.settings.passwords.judge(&new, &[&identity.subject])?;
        let password = place.hash(new, self.clock.now()).await?;
        let at = Password::key(user);
        let set = self
            .users()
            .end_sessions_with(user, kept, |change| change.expect_version(&at, stored.version).put(&at, &password, Ttl::Forever));
        set.await?;
        tracing::info!(user, "password changed");
        Ok(())
    }

    /// What an account claims, and its password.
    async fn account(&self, user: &str) -> Result<(Option<IdentityClaims>, Option<StoredRecord<Password>>), store::Error> {
        let place = Password::key(user);
        let (person, password) = tokio::join!(self.users().get(user), self.records.get_patiently::<Password>(&place));
        let identity = person?.and_then(|person| person.value.local_account().cloned());
        Ok((identity, password?))
    }

    /// With the very password that was verified: one that was changed meanwhile lets nobody in.
    async fn enter(
        &self,
        user: &str,
        sign_in: &SignIn,
        verified: &StoredRecord<Password>,
        renewed: Option<&Password>,
    ) -> Result<Entered, SignInError> {
        let place = Password::key(user);
        store::retry(async || {
            let entered = self.sign_ins.try_enter(user, sign_in, |change, _| {
                let change = change.expect_version(&place, verified.version);
                renewed.into_iter().fold(change, |change, renewed| change.put(&place, renewed, Ttl::Forever))
            });
            if let Ok(entered) = entered.await? {
                return Ok(Ok(entered));
            }
            let now = self.records.get_patiently::<Password>(&place).await?;
            match now.is_some_and(|now| now.version == verified.version) {
                true => Ok(Err(Conflict)),
                false => Err(SignInError::Wrong { user: Some(user.to_owned()) }),
            }
        })
        .await
    }
}

impl SignInError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Wrong { .. } => "wrong_password",
            Self::TooMany { .. } => "too_many_attempts",
            Self::Busy => "password_checks_busy",
            Self::NoRoleMapYet => "role_map_not_loaded",
            Self::Refused(refused) => refused.reason(),
            Self::Store(error) => error.reason(),
        }
    }

    fn user(&self) -> Option<&str> {
        match self {
            Self::Wrong { user } => user.as_deref(),
            _ => None,
        }
    }

    fn outcome(&self) -> LoginOutcome {
        match self {
            Self::Wrong { .. } => LoginOutcome::WrongPassword,
            Self::Refused(Refused::NoRole) => LoginOutcome::NoRole,
            Self::Refused(Refused::MissingSource(_)) => LoginOutcome::MissingSource,
            Self::Refused(Refused::Store(_)) | Self::Store(_) => LoginOutcome::StoreFailed,
            Self::TooMany { .. } | Self::Busy | Self::NoRoleMapYet | Self::Refused(Refused::Disabled) => LoginOutcome::Refused,
        }
    }
}

impl From<Busy> for SignInError {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

impl From<Busy> for ChangeError {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}
