//! Signing in: from "sign me in and bring me back" to a session, over any two pods.

use std::sync::Arc;

use url::Url;

use crate::{
    clock::Clock,
    continuation::Continuation,
    metrics::{LoginOutcome, Metrics},
    oidc::{
        BrowserBinding, ExchangeError, LoginFlow, LoginFlows, Provider, ProviderNotReadyError, Providers, TakeError,
        VerifiedIdentity,
    },
    principal::{IdentityClaims, Source},
    return_to::ReturnTarget,
    secret::OpaqueToken,
    sign_ins::{Refused, SignIns},
    store,
    users::{self, Before, Linked, SignIn, Users},
};

/// Error codes are short words (RFC 6749, section 4.1.2.1).
const LONGEST_ERROR_CODE: usize = 64;

pub struct Login {
    providers: Arc<Providers>,
    flows: LoginFlows,
    sign_ins: Arc<SignIns>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

/// What a provider sends the browser back with (RFC 6749, section 4.1.2; `iss` by RFC 9207).
#[derive(Default)]
pub struct Callback {
    pub state: Option<String>,
    pub code: Option<String>,
    pub error: Option<String>,
    pub error_description: Option<String>,
    pub iss: Option<String>,
}

/// What the browser that comes back brings with it.
#[derive(Default)]
pub struct Browser {
    pub binding: Option<BrowserBinding>,
    /// The session cookie's value, from an earlier sign-in.
    pub session: Option<String>,
    /// What it says that it is.
    pub agent: Option<String>,
}

/// A login that succeeded.
pub struct Finished {
    pub outcome: Outcome,
    pub continuation: Continuation,
}

/// What a login led to.
pub enum Outcome {
    SignedIn(OpaqueToken),
    /// The identity is another one of who is signed in.
    Linked,
}

#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    #[error(transparent)]
    NotReady(#[from] ProviderNotReadyError),
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl BeginError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotReady(_) => "provider_not_ready",
            Self::Store(error) => error.reason(),
        }
    }
}

/// A login that failed, and where it may be started again.
#[derive(Debug)]
pub struct LoginFailed {
    pub why: Why,
    /// As far as anybody knows.
    pub again: Option<ReturnTarget>,
    pub provider: Arc<Provider>,
}

#[derive(Debug, thiserror::Error)]
pub enum Why {
    #[error("the callback has no state")]
    NoState,
    #[error("the callback has neither code nor error")]
    NoCode,
    #[error("the login is unknown or has expired")]
    Unknown,
    #[error("the login was finished before")]
    Finished,
    #[error("the login was begun in another browser")]
    OtherBrowser,
    #[error("the login was begun with another provider")]
    OtherProvider,
    #[error("the callback's iss is missing or another issuer's")]
    Issuer,
    #[error("the provider refused: {error:?}")]
    Denied { error: String, description: Option<String> },
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    #[error("no role map has been read yet")]
    NoRoleMapYet,
    #[error("the role map grants no role")]
    NoRole,
    #[error("the person is disabled")]
    Disabled,
    #[error("there are no claims from the {0}, which the role map relies on")]
    MissingSource(Source),
    #[error("the person who wanted to link an identity is not signed in any more")]
    NotSignedIn,
    #[error("the identity is somebody else's")]
    Taken,
    #[error("the store, before anything was used up: {0}")]
    StoreBefore(String),
    #[error("the store, after the code was redeemed: {0}")]
    StoreAfter(String),
}

impl Login {
    pub fn new(
        providers: Arc<Providers>,
        flows: LoginFlows,
        sign_ins: Arc<SignIns>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { providers, flows, sign_ins, clock, metrics }
    }

    pub fn providers(&self) -> &Providers {
        &self.providers
    }

    /// Writes a login down and says where to send the browser.
    pub async fn begin(
        &self,
        provider: &Provider,
        browser: &BrowserBinding,
        continuation: Continuation,
    ) -> Result<Url, BeginError> {
        // Nothing is written for a provider that nobody can be sent to.
        provider.ensure_ready().await?;
        let started = self.flows.begin(provider.id(), browser, continuation).await?;
        Ok(provider.authorization_url(&started)?)
    }

    /// Finishes a login that came back on the provider's own callback path.
    pub async fn finish(
        &self,
        provider: &Arc<Provider>,
        callback: &Callback,
        browser: &Browser,
    ) -> Result<Finished, LoginFailed> {
        let outcome = self.try_finish(provider, callback, browser).await;
        self.metrics.login(provider.id(), outcome.as_ref().map_or_else(|(why, _)| why.outcome(), |_| LoginOutcome::Success));
        outcome.map_err(|(why, again)| {
            tracing::warn!(provider = provider.id(), reason = why.reason(), error = %why, "login failed");
            LoginFailed { why, again, provider: Arc::clone(provider) }
        })
    }

    async fn try_finish(
        &self,
        provider: &Arc<Provider>,
        callback: &Callback,
        browser: &Browser,
    ) -> Result<Finished, (Why, Option<ReturnTarget>)> {
        let state = callback.state.as_deref().ok_or((Why::NoState, None))?;
        if callback.code.is_none() && callback.error.is_none() {
            return Err((Why::NoCode, self.flows.retry_target(state)));
        }
        // Before anything is used up.
        if !self.sign_ins.may_begin() {
            return Err((Why::NoRoleMapYet, self.flows.retry_target(state)));
        }
        let taken = self.flows.take(state, provider.id(), browser.binding.as_ref()).await;
        let taken = taken.map_err(|error| self.not_taken(error, state))?;
        let outcome = self.take_in(provider, callback, browser, &taken).await;
        let outcome = outcome.map_err(|why| (why, Some(taken.continuation.retry_target().clone())))?;
        Ok(Finished { outcome, continuation: taken.continuation })
    }

    async fn take_in(
        &self,
        provider: &Provider,
        callback: &Callback,
        browser: &Browser,
        taken: &LoginFlow,
    ) -> Result<Outcome, Why> {
        // A pod that has just started may not know the provider yet. What is missing is said below.
        let _ = provider.ensure_ready().await;
        if !provider.accepts_issuer(callback.iss.as_deref()) {
            return Err(Why::Issuer);
        }
        let code = accepted_code(callback)?;
        let verified = provider.redeem(code, taken, self.clock.as_ref()).await?;
        match &taken.continuation {
            Continuation::ReturnTo(_) => self.sign_in(verified, browser).await.map(Outcome::SignedIn),
            Continuation::Link { user, .. } => self.link(user, &verified.identity, browser).await.map(|()| Outcome::Linked),
        }
    }

    async fn sign_in(&self, verified: VerifiedIdentity, browser: &Browser) -> Result<OpaqueToken, Why> {
        let replaces = browser.session.as_deref().and_then(|cookie| self.users().session_handle(cookie));
        let VerifiedIdentity { identity, sid, logout } = verified;
        let browser = users::Browser { replaces, agent: browser.agent.clone() };
        let sign_in = SignIn { identity, sid, logout, browser, before: Before::Stays };
        Ok(self.sign_ins.enter(&sign_in).await?.handle)
    }

    /// Both have been proven by then: the identity by the provider, the person by their session.
    async fn link(&self, user: &str, identity: &IdentityClaims, browser: &Browser) -> Result<(), Why> {
        let handle = browser.session.as_deref().and_then(|cookie| self.users().session_handle(cookie));
        let signed_in = match handle {
            Some(handle) => {
                self.users().has_session(user, &handle.digest()).await.map_err(|error| Why::StoreAfter(error.to_string()))?
            }
            None => false,
        };
        if !signed_in {
            return Err(Why::NotSignedIn);
        }
        match self.users().link(user, identity).await.map_err(|error| Why::StoreAfter(error.to_string()))? {
            Linked::Linked => Ok(()),
            Linked::Taken => Err(Why::Taken),
            Linked::NobodyThere => Err(Why::NotSignedIn),
        }
    }

    fn users(&self) -> &Users {
        self.sign_ins.users()
    }

    fn not_taken(&self, error: TakeError, state: &str) -> (Why, Option<ReturnTarget>) {
        let place = |continuation: Continuation| Some(continuation.retry_target().clone());
        match error {
            TakeError::Unknown { retry } => (Why::Unknown, retry),
            TakeError::Finished { continuation } => (Why::Finished, place(continuation)),
            TakeError::OtherBrowser { continuation } => (Why::OtherBrowser, place(continuation)),
            TakeError::OtherProvider { continuation } => (Why::OtherProvider, place(continuation)),
            // It may have been taken.
            TakeError::Store(error @ store::Error::Unknown(_)) => {
                (Why::StoreAfter(error.to_string()), self.flows.retry_target(state))
            }
            TakeError::Store(error) => (Why::StoreBefore(error.to_string()), self.flows.retry_target(state)),
        }
    }
}

impl Why {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoState => "state_missing",
            Self::NoCode => "code_missing",
            Self::Unknown => "login_unknown_or_expired",
            Self::Finished => "login_already_finished",
            Self::OtherBrowser => "browser_mismatch",
            Self::OtherProvider => "provider_mismatch",
            Self::Issuer => "issuer_mismatch",
            Self::Denied { .. } => "denied_by_provider",
            Self::Exchange(error) => error.reason(),
            Self::NoRoleMapYet => "role_map_not_loaded",
            Self::NoRole => "no_role",
            Self::Disabled => "user_disabled",
            Self::MissingSource(_) => "claims_missing",
            Self::NotSignedIn => "not_signed_in",
            Self::Taken => "identity_linked_to_other_user",
            Self::StoreBefore(_) | Self::StoreAfter(_) => "store_failed",
        }
    }

    fn outcome(&self) -> LoginOutcome {
        match self {
            Self::Denied { .. } => LoginOutcome::Denied,
            Self::Exchange(_) => LoginOutcome::ProviderFailed,
            Self::NoRole => LoginOutcome::NoRole,
            Self::MissingSource(_) => LoginOutcome::MissingSource,
            Self::StoreBefore(_) | Self::StoreAfter(_) => LoginOutcome::StoreFailed,
            _ => LoginOutcome::Refused,
        }
    }
}

fn accepted_code(callback: &Callback) -> Result<&str, Why> {
    if let Some(error) = &callback.error {
        // From the browser's address, and on its way to a log: a bound, and no control characters.
        let error = error.chars().filter(|c| !c.is_control()).take(LONGEST_ERROR_CODE).collect();
        return Err(Why::Denied { error, description: callback.error_description.clone() });
    }
    callback.code.as_deref().ok_or(Why::NoCode)
}

impl From<Refused> for Why {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Disabled => Self::Disabled,
            Refused::NoRole => Self::NoRole,
            Refused::MissingSource(source) => Self::MissingSource(source),
            Refused::Store(error) => Self::StoreAfter(error.to_string()),
        }
    }
}
