//! A login at an identity provider, from its start to a session or a linked identity. Two pods may take part.

use std::sync::Arc;

use jiff::Timestamp;
use url::Url;

use crate::{
    clock::Clock,
    metrics::{LoginLimit, LoginOutcome, Metrics},
    oidc::{
        BeginFlowError, BrowserBinding, EncryptedTarget, ExchangeError, FlowLimit, LoginFlow, LoginFlows, PresentedFlow,
        Provider, ProviderNotReadyError, Providers, RequiredAuthentication, TakeError, VerifiedIdentity,
    },
    principal::Source,
    return_target::{Continuation, ReturnTarget},
    secret::{Digest, OpaqueToken},
    store,
    users::{self, LinkOutcome, LoginRefusal, PriorAccess, ProviderSession, Users, VerifiedLogin},
};

/// Error codes are short words (RFC 6749, section 4.1.2.1).
const LONGEST_ERROR_CODE: usize = 64;

pub struct Login {
    providers: Arc<Providers>,
    flows: LoginFlows,
    users: Arc<Users>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

/// The parameters of the provider's redirect (RFC 6749, section 4.1.2; `iss` by RFC 9207).
#[derive(Default)]
pub struct Callback {
    pub state: Option<String>,
    pub code: Option<String>,
    pub error: Option<String>,
    pub error_description: Option<String>,
    pub iss: Option<String>,
}

/// The browser's cookies and headers at the callback.
#[derive(Default)]
pub struct CallbackBrowser {
    pub binding: Option<BrowserBinding>,
    /// The session cookie's value, from an earlier login.
    pub session: Option<String>,
    /// The text of the flow's encrypted return target.
    pub target: Option<String>,
    /// The `User-Agent`.
    pub agent: Option<String>,
}

/// A login that was started.
pub struct StartedLogin {
    /// The provider's URL for the browser.
    pub url: Url,
    /// The return target, if the browser must keep it.
    pub target: Option<EncryptedTarget>,
}

impl StartedLogin {
    /// Adds the identifier that the provider suggests to the user (OpenID Connect Core, section 3.1.2.1), unless the operator has
    /// configured one.
    #[must_use]
    pub fn with_login_hint(self, hint: Option<&str>) -> Self {
        self.with("login_hint", hint)
    }

    /// Adds an id_token that the provider has issued to the user before (OpenID Connect Core, section 3.1.2.1).
    #[must_use]
    pub fn with_id_token_hint(self, id_token: Option<&str>) -> Self {
        self.with("id_token_hint", id_token)
    }

    fn with(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value.filter(|_| !self.url.query_pairs().any(|(known, _)| known == name)) {
            self.url.query_pairs_mut().append_pair(name, value);
        }
        self
    }
}

/// A successful login.
pub struct FinishedLogin {
    pub outcome: LoginEffect,
    pub continuation: Continuation,
}

/// The effect of a successful login.
pub enum LoginEffect {
    SessionOpened(OpaqueToken),
    /// The identity was linked to the signed-in user.
    IdentityLinked,
    /// The provider has to ask the user, which a silent sign-in does not allow.
    InteractionNeeded,
    /// The browser repeated the callback that opened its session. Nothing was redeemed.
    Repeated,
}

#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    #[error(transparent)]
    NotReady(#[from] ProviderNotReadyError),
    #[error("the identity provider does not answer at the moment")]
    Unreachable,
    #[error(transparent)]
    Limit(FlowLimit),
    #[error(transparent)]
    Store(store::Error),
}

impl From<BeginFlowError> for BeginError {
    fn from(error: BeginFlowError) -> Self {
        match error {
            BeginFlowError::Limit(limit) => Self::Limit(limit),
            BeginFlowError::Store(error) => Self::Store(error),
        }
    }
}

impl BeginError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotReady(_) => "provider_not_ready",
            Self::Unreachable => "provider_unreachable",
            Self::Limit(FlowLimit::Pending) => "pending_logins_limit",
            Self::Limit(FlowLimit::Memory) => "store_memory_low",
            Self::Store(error) => error.reason(),
        }
    }
}

/// A failed login.
#[derive(Debug)]
pub struct LoginFailure {
    pub reason: FailureReason,
    /// The target for another attempt, if known.
    pub again: Option<ReturnTarget>,
    pub provider: Arc<Provider>,
}

#[derive(Debug, thiserror::Error)]
pub enum FailureReason {
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
    Exchange(ExchangeError),
    #[error("no role map has been read yet")]
    NoRoleMapYet,
    #[error("the role map grants no role")]
    NoRole,
    #[error("the user is disabled")]
    Disabled,
    #[error("user {owner} has the same value of a claim that identifies users (user_claim)")]
    UserClaimTaken { owner: String },
    #[error("there are no claims from the {0}, which the role map requires")]
    MissingSource(Source),
    #[error("the provider ended its session during the login")]
    EndedAtProvider,
    #[error("the user who links an identity is no longer signed in")]
    NotSignedIn,
    #[error("the identity belongs to another user")]
    Taken,
    #[error("the store, before anything was used up: {0}")]
    StoreBefore(store::Error),
    #[error("the store, after the code was redeemed: {0}")]
    StoreAfter(store::Error),
}

impl From<ExchangeError> for FailureReason {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::LastDirectoryClaims(error) => Self::StoreAfter(error),
            error => Self::Exchange(error),
        }
    }
}

impl Login {
    pub fn new(
        providers: Arc<Providers>,
        flows: LoginFlows,
        users: Arc<Users>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { providers, flows, users, clock, metrics }
    }

    pub fn providers(&self) -> &Providers {
        &self.providers
    }

    /// Starts a login flow.
    pub async fn begin(
        &self,
        provider: &Provider,
        browser: &BrowserBinding,
        continuation: Continuation,
        authentication: RequiredAuthentication,
    ) -> Result<StartedLogin, BeginError> {
        // No flow is written for an unreachable provider.
        provider.ensure_ready().await?;
        // A user who is signed in sees our page and not that of the browser.
        if authentication == RequiredAuthentication::Silent && !provider.is_reachable().await {
            return Err(BeginError::Unreachable);
        }
        let begun =
            self.flows.begin(provider.id(), browser, continuation, authentication).await.inspect_err(|error| match error {
                BeginFlowError::Limit(FlowLimit::Pending) => self.metrics.login_limited(LoginLimit::PendingLogins),
                BeginFlowError::Limit(FlowLimit::Memory) => self.metrics.login_limited(LoginLimit::StoreMemory),
                BeginFlowError::Store(_) => {}
            })?;
        Ok(StartedLogin { url: provider.authorization_url(&begun)?, target: begun.target })
    }

    /// Finishes a login at the provider's callback path.
    pub async fn finish(
        &self,
        provider: &Arc<Provider>,
        callback: &Callback,
        browser: &CallbackBrowser,
    ) -> Result<FinishedLogin, LoginFailure> {
        let outcome = self.try_finish(provider, callback, browser).await;
        if let Some(counted) = count(&outcome) {
            self.metrics.login(provider.id(), counted);
        }
        outcome.map_err(|(reason, again)| {
            reason.log(provider.id());
            LoginFailure { reason, again, provider: Arc::clone(provider) }
        })
    }

    async fn try_finish(
        &self,
        provider: &Arc<Provider>,
        callback: &Callback,
        browser: &CallbackBrowser,
    ) -> Result<FinishedLogin, (FailureReason, Option<ReturnTarget>)> {
        let state = callback.state.as_deref().ok_or((FailureReason::NoState, None))?;
        let presented = PresentedFlow { state, browser: browser.binding.as_ref(), target: browser.target.as_deref() };
        if callback.code.is_none() && callback.error.is_none() {
            return Err((FailureReason::NoCode, self.flows.retry_target(presented)));
        }
        // Before the login flow is taken.
        if !self.users.has_role_map() {
            return Err((FailureReason::NoRoleMapYet, self.flows.retry_target(presented)));
        }
        let taken = match self.flows.take(presented, provider.id()).await {
            Err(TakeError::Finished { continuation }) if self.has_opened_session(state, &continuation, browser).await => {
                return Ok(FinishedLogin { outcome: LoginEffect::Repeated, continuation });
            }
            taken => taken.map_err(|error| self.not_taken(error, presented))?,
        };
        let outcome = self.take_in(provider, callback, browser, &taken).await;
        let outcome = outcome.map_err(|reason| (reason, Some(taken.continuation.retry_target().clone())))?;
        Ok(FinishedLogin { outcome, continuation: taken.continuation })
    }

    async fn take_in(
        &self,
        provider: &Provider,
        callback: &Callback,
        browser: &CallbackBrowser,
        taken: &LoginFlow,
    ) -> Result<LoginEffect, FailureReason> {
        // A pod that has just started may not have the provider's metadata yet. The next steps report what is missing.
        let _ = provider.ensure_ready().await;
        if !provider.accepts_issuer(callback.iss.as_deref()) {
            return Err(FailureReason::Issuer);
        }
        let code = match accepted_code(callback) {
            Err(FailureReason::Denied { error, .. }) if taken.is_silent && needs_interaction(&error) => {
                tracing::debug!(provider = provider.id(), error, "interaction needed for a silent login");
                return Ok(LoginEffect::InteractionNeeded);
            }
            code => code?,
        };
        let requested = self.clock.now();
        let verified = provider.redeem(code, taken, self.clock.as_ref()).await?;
        match &taken.continuation {
            Continuation::ReturnTo(_) => {
                let flow = callback.state.as_deref().map(flow_id).unwrap_or_default();
                self.open_session(verified, flow, requested, browser).await.map(LoginEffect::SessionOpened)
            }
            Continuation::Link { user, .. } => self.link(user, &verified, browser).await.map(|()| LoginEffect::IdentityLinked),
        }
    }

    async fn open_session(
        &self,
        verified: VerifiedIdentity,
        flow: String,
        requested: Timestamp,
        browser: &CallbackBrowser,
    ) -> Result<OpaqueToken, FailureReason> {
        let replaces = browser.session.as_deref().and_then(|cookie| self.users.parse_session_token(cookie));
        let VerifiedIdentity { identity, sid, logout, authenticated_at, refresh_token, .. } = verified;
        let browser = users::Browser { replaces, agent: browser.agent.clone() };
        let provider_session = Some(ProviderSession { flow, sid, requested, refresh_token });
        let prior_access = PriorAccess::Keep;
        let login = VerifiedLogin { identity, provider_session, logout, authenticated_at, browser, prior_access };
        Ok(self.users.complete_login(&login).await?.session_token)
    }

    /// True if the browser's live session is the one that this login flow opened. A failed look-up counts as another session: the
    /// page that says so still offers to continue.
    async fn has_opened_session(&self, state: &str, continuation: &Continuation, browser: &CallbackBrowser) -> bool {
        let token = browser.session.as_deref().and_then(|cookie| self.users.parse_session_token(cookie));
        let (Some(token), Continuation::ReturnTo(_)) = (token, continuation) else { return false };
        match self.users.live_session(&token).await {
            Ok(session) => session.is_some_and(|session| session.flow == Some(flow_id(state))),
            Err(error) => {
                tracing::debug!(%error, "session of a repeated callback not read");
                false
            }
        }
    }

    /// Links the identity that the provider verified to the user of the session.
    async fn link(&self, user: &str, verified: &VerifiedIdentity, browser: &CallbackBrowser) -> Result<(), FailureReason> {
        let handle = browser.session.as_deref().and_then(|cookie| self.users.parse_session_token(cookie));
        let signed_in = match handle {
            Some(handle) => self.users.has_session(user, &handle.digest()).await.map_err(FailureReason::StoreAfter)?,
            None => false,
        };
        if !signed_in {
            return Err(FailureReason::NotSignedIn);
        }
        match self
            .users
            .link(user, &verified.identity, verified.refresh_token.as_ref())
            .await
            .map_err(FailureReason::StoreAfter)?
        {
            LinkOutcome::Linked => Ok(()),
            LinkOutcome::Taken => Err(FailureReason::Taken),
            LinkOutcome::UnknownUser => Err(FailureReason::NotSignedIn),
        }
    }

    fn not_taken(&self, error: TakeError, presented: PresentedFlow<'_>) -> (FailureReason, Option<ReturnTarget>) {
        let place = |continuation: Continuation| Some(continuation.retry_target().clone());
        match error {
            TakeError::Unknown { retry } => (FailureReason::Unknown, retry),
            TakeError::Finished { continuation } => (FailureReason::Finished, place(continuation)),
            TakeError::OtherBrowser { continuation } => (FailureReason::OtherBrowser, place(continuation)),
            TakeError::OtherProvider { continuation } => (FailureReason::OtherProvider, place(continuation)),
            // The flow may have been taken.
            TakeError::Store(error @ store::Error::Unknown(_)) => {
                (FailureReason::StoreAfter(error), self.flows.retry_target(presented))
            }
            TakeError::Store(error) => (FailureReason::StoreBefore(error), self.flows.retry_target(presented)),
        }
    }
}

impl FailureReason {
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
            Self::UserClaimTaken { .. } => "user_claim_of_other_user",
            Self::MissingSource(_) => "claims_missing",
            Self::EndedAtProvider => "session_ended_at_provider",
            Self::NotSignedIn => "not_signed_in",
            Self::Taken => "identity_linked_to_other_user",
            Self::StoreBefore(_) | Self::StoreAfter(_) => "store_failed",
        }
    }

    /// Each failure of a verified identity is logged. Anyone can cause any number of the others.
    fn log(&self, provider: &str) {
        let reason = self.reason();
        if self.is_of_verified_identity() {
            tracing::warn!(provider, reason, error = %self, "login failed");
        } else {
            tracing::warn!(provider, reason, error = %self, suppressed = tracing::field::Empty, "login failed");
        }
    }

    fn is_of_verified_identity(&self) -> bool {
        matches!(
            self,
            Self::NoRole | Self::Disabled | Self::MissingSource(_) | Self::NotSignedIn | Self::Taken | Self::StoreAfter(_)
        )
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

/// Returns the id of a login flow in the record of its session.
fn flow_id(state: &str) -> String {
    Digest::of(state.as_bytes()).to_hex()
}

/// Returns the outcome to count. A repeated callback is no login, and a silent one that needs interaction continues.
fn count(outcome: &Result<FinishedLogin, (FailureReason, Option<ReturnTarget>)>) -> Option<LoginOutcome> {
    match outcome {
        Ok(FinishedLogin { outcome: LoginEffect::Repeated | LoginEffect::InteractionNeeded, .. }) => None,
        Ok(_) => Some(LoginOutcome::Success),
        Err((reason, _)) => Some(reason.outcome()),
    }
}

/// True if an interactive login can succeed where the provider has refused a silent one. Besides the codes of OpenID Connect Core,
/// section 3.1.2.6, these are all errors about the request itself, since some providers do not support `prompt=none`.
fn needs_interaction(error: &str) -> bool {
    !matches!(error, "access_denied" | "server_error" | "temporarily_unavailable")
}

fn accepted_code(callback: &Callback) -> Result<&str, FailureReason> {
    if let Some(error) = &callback.error {
        // The text comes from the URL and is logged, so its length is limited and control characters are removed.
        let error = error.chars().filter(|c| !c.is_control()).take(LONGEST_ERROR_CODE).collect();
        return Err(FailureReason::Denied { error, description: callback.error_description.clone() });
    }
    callback.code.as_deref().ok_or(FailureReason::NoCode)
}

impl From<LoginRefusal> for FailureReason {
    fn from(refused: LoginRefusal) -> Self {
        match refused {
            LoginRefusal::Disabled => Self::Disabled,
            LoginRefusal::NoRole => Self::NoRole,
            LoginRefusal::UserClaimTaken { owner } => Self::UserClaimTaken { owner },
            LoginRefusal::MissingSource(source) => Self::MissingSource(source),
            LoginRefusal::EndedAtProvider => Self::EndedAtProvider,
            LoginRefusal::Store(error) => Self::StoreAfter(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::no_session("login_required", true)]
    #[case::page("interaction_required", true)]
    #[case::consent("consent_required", true)]
    #[case::several_accounts("account_selection_required", true)]
    #[case::unsupported("invalid_request", true)]
    #[case::of_a_vendor("AADSTS50058", true)]
    #[case::refused("access_denied", false)]
    #[case::failed("server_error", false)]
    #[case::busy("temporarily_unavailable", false)]
    fn a_silent_login_continues_interactively_unless_the_provider_has_refused_the_user_or_failed(
        #[case] error: &str,
        #[case] expected: bool,
    ) {
        assert_eq!(needs_interaction(error), expected);
    }
}
