//! Logins with a password, and changes of the password.

use std::time::Duration;

use zeroize::Zeroizing;

use super::{
    Accounts, PasswordRejection, QueueFullError,
    attempts::{self, Attempt, AttemptDecision, Origin},
    hasher::{QueueKind, Verdict},
    password::Password,
    typed_password::PasswordForms,
};
use crate::{
    metrics::LoginOutcome,
    principal::{IdentityClaims, LOCAL},
    secret::Digest,
    store::{self, Conflict, StoredRecord, Ttl},
    users::{self, CompletedLogin, Identity, LoginRefusal, Logout, PriorAccess, VerifiedLogin, normal_email},
};

/// A login with a password.
pub struct PasswordLoginRequest<'a> {
    pub email: &'a str,
    pub password: Zeroizing<String>,
    pub origin: Origin<'a>,
    pub browser: users::Browser,
}

/// A successful login with a password.
pub struct PasswordLogin {
    pub login: CompletedLogin,
    /// The value of the device cookie, which identifies a known browser.
    pub device: String,
}

#[derive(Debug, thiserror::Error)]
pub enum PasswordLoginError {
    /// The answer does not tell which of both is wrong.
    #[error("address or password is wrong")]
    Wrong {
        /// The user of the account, for the log.
        user: Option<String>,
    },
    #[error("too many attempts; the next one is allowed in {retry_after:?}")]
    TooMany { retry_after: Duration },
    #[error("too many passwords are being checked at once")]
    Busy,
    #[error("no role map has been read yet")]
    NoRoleMapYet,
    #[error("the store is nearly full, so password attempts are refused")]
    StoreFull,
    #[error(transparent)]
    Refused(#[from] LoginRefusal),
    #[error(transparent)]
    Store(#[from] store::Error),
}

#[derive(Debug, thiserror::Error)]
pub enum PasswordChangeError {
    #[error("the user has no password")]
    NoPassword,
    #[error("the current password is wrong")]
    Wrong,
    #[error("too many attempts; the next one is allowed in {retry_after:?}")]
    TooMany { retry_after: Duration },
    #[error(transparent)]
    Password(#[from] PasswordRejection),
    #[error("too many passwords are being checked at once")]
    Busy,
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl PasswordChangeError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoPassword => "no_password",
            Self::Wrong => "wrong_password",
            Self::TooMany { .. } => "too_many_attempts",
            Self::Password(rejection) => rejection.reason(),
            Self::Busy => "password_checks_busy",
            Self::Store(error) => error.reason(),
        }
    }
}

impl Accounts {
    /// Logs in with a password. Takes the same time for an unknown address as for a wrong password.
    pub async fn log_in(&self, attempt: PasswordLoginRequest<'_>) -> Result<PasswordLogin, PasswordLoginError> {
        let outcome = self.try_log_in(attempt).await;
        self.metrics.login(LOCAL, outcome.as_ref().map_or_else(PasswordLoginError::outcome, |_| LoginOutcome::Success));
        outcome.inspect_err(PasswordLoginError::log)
    }

    async fn try_log_in(&self, attempt: PasswordLoginRequest<'_>) -> Result<PasswordLogin, PasswordLoginError> {
        if !self.users.has_role_map() {
            return Err(PasswordLoginError::NoRoleMapYet);
        }
        // An attempt writes its counters, and anyone can make attempts.
        if !self.records.store().has_free_memory().await {
            return Err(PasswordLoginError::StoreFull);
        }
        let PasswordLoginRequest { email, password, origin, browser } = attempt;
        // An invalid address belongs to no account, and takes the same time.
        let email = normal_email(email).unwrap_or_default();
        let account = Identity::digest(LOCAL, &email);
        let tried = Attempt::new(self.ring(), account, &origin);
        let kind = if tried.is_by_known_browser() { QueueKind::KnownBrowser } else { QueueKind::UnknownBrowser };
        let place = self.hasher.reserve_place(kind)?;
        if let AttemptDecision::Exceeded { retry_after } = attempts::spend(&self.records, &tried).await? {
            return Err(PasswordLoginError::TooMany { retry_after });
        }
        let known = self.users.find(LOCAL, &email).await?;
        let user = known.clone().unwrap_or_else(|| account.to_hex());
        let (identity, stored) = self.account(&user).await?;
        let password = PasswordForms::of(&password);
        let verdict = place.verify(password.clone(), stored.as_ref().map(|stored| &stored.value)).await?;
        let (Some(identity), Some(stored), Verdict::Right { outdated }) = (identity, stored, verdict) else {
            return Err(PasswordLoginError::Wrong { user: known });
        };
        let renewed = match password.into_preferred().filter(|_| outdated) {
            Some(password) => Some(place.hash(password, stored.value.set).await?),
            None => None,
        };
        let sign_in = VerifiedLogin {
            identity,
            provider_session: None,
            logout: Logout::default(),
            authenticated_at: Some(self.clock.now()),
            browser,
            prior_access: PriorAccess::Keep,
        };
        let entered = self.enter(&user, &sign_in, &stored, renewed.as_ref()).await?;
        Ok(PasswordLogin { login: entered, device: attempts::device_cookie(self.ring(), &account) })
    }

    /// Sets another password and ends all other sessions, in one commit.
    pub async fn change_password(
        &self,
        user: &str,
        current: Zeroizing<String>,
        new: Zeroizing<String>,
        kept: Option<&Digest>,
        origin: &Origin<'_>,
    ) -> Result<(), PasswordChangeError> {
        let (identity, stored) = self.account(user).await?;
        let (Some(identity), Some(stored)) = (identity, stored) else { return Err(PasswordChangeError::NoPassword) };
        let account = Identity::digest(LOCAL, &identity.subject);
        let place = self.hasher.reserve_place(QueueKind::KnownBrowser)?;
        if let AttemptDecision::Exceeded { retry_after } =
            attempts::spend(&self.records, &Attempt::new(self.ring(), account, origin)).await?
        {
            return Err(PasswordChangeError::TooMany { retry_after });
        }
        if place.verify(PasswordForms::of(&current), Some(&stored.value)).await? == Verdict::Wrong {
            return Err(PasswordChangeError::Wrong);
        }
        let new = self.settings.passwords.check(&new, &[&identity.subject])?;
        let password = place.hash(new.into_text(), self.clock.now()).await?;
        let key = Password::key(user);
        let set = self.users.end_sessions_with(user, kept, |_, change| {
            Ok::<_, store::Error>(change.expect_version(&key, stored.version).put(&key, &password, Ttl::Forever))
        });
        set.await?;
        tracing::info!(user, "password changed");
        Ok(())
    }

    /// Reads the identity and the password of an account.
    async fn account(&self, user: &str) -> Result<(Option<IdentityClaims>, Option<StoredRecord<Password>>), store::Error> {
        let key = Password::key(user);
        let (owner, password) = tokio::join!(self.users.get(user), self.records.get_patiently::<Password>(&key));
        let identity = owner?.and_then(|owner| owner.value.local_account().cloned());
        Ok((identity, password?))
    }

    /// Completes the login, unless the verified password has changed in the meantime.
    async fn enter(
        &self,
        user: &str,
        sign_in: &VerifiedLogin,
        verified: &StoredRecord<Password>,
        renewed: Option<&Password>,
    ) -> Result<CompletedLogin, PasswordLoginError> {
        let key = Password::key(user);
        store::retry(async || {
            let entered = self.users.try_complete_login(user, sign_in, |change, _| {
                let change = change.expect_version(&key, verified.version);
                renewed.into_iter().fold(change, |change, renewed| change.put(&key, renewed, Ttl::Forever))
            });
            if let Ok(entered) = entered.await? {
                return Ok(Ok(entered));
            }
            let now = self.records.get_patiently::<Password>(&key).await?;
            match now.is_some_and(|now| now.version == verified.version) {
                true => Ok(Err(Conflict)),
                false => Err(PasswordLoginError::Wrong { user: Some(user.to_owned()) }),
            }
        })
        .await
    }
}

impl PasswordLoginError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Wrong { .. } => "wrong_password",
            Self::TooMany { .. } => "too_many_attempts",
            Self::Busy => "password_checks_busy",
            Self::NoRoleMapYet => "role_map_not_loaded",
            Self::StoreFull => "store_memory_low",
            Self::Refused(refused) => refused.reason(),
            Self::Store(error) => error.reason(),
        }
    }

    /// Each failure at an account is logged: the account's quota bounds them. Anyone can cause any number of the others.
    fn log(&self) {
        let (provider, reason) = (LOCAL, self.reason());
        match self {
            Self::Wrong { user: Some(user) } => tracing::warn!(provider, user, reason, error = %self, "login failed"),
            Self::Refused(_) => tracing::warn!(provider, reason, error = %self, "login failed"),
            Self::Wrong { user: None }
            | Self::TooMany { .. }
            | Self::Busy
            | Self::NoRoleMapYet
            | Self::StoreFull
            | Self::Store(_) => {
                tracing::warn!(provider, reason, error = %self, suppressed = tracing::field::Empty, "login failed");
            }
        }
    }

    fn outcome(&self) -> LoginOutcome {
        match self {
            Self::Wrong { .. } => LoginOutcome::WrongPassword,
            Self::Refused(LoginRefusal::NoRole) => LoginOutcome::NoRole,
            Self::Refused(LoginRefusal::MissingSource(_)) => LoginOutcome::MissingSource,
            Self::Refused(LoginRefusal::Store(_)) | Self::Store(_) => LoginOutcome::StoreFailed,
            Self::TooMany { .. }
            | Self::Busy
            | Self::NoRoleMapYet
            | Self::StoreFull
            | Self::Refused(LoginRefusal::Disabled | LoginRefusal::UserClaimTaken { .. } | LoginRefusal::EndedAtProvider) => {
                LoginOutcome::Refused
            }
        }
    }
}

impl From<QueueFullError> for PasswordLoginError {
    fn from(_: QueueFullError) -> Self {
        Self::Busy
    }
}

impl From<QueueFullError> for PasswordChangeError {
    fn from(_: QueueFullError) -> Self {
        Self::Busy
    }
}
