//! Back-channel logout (OpenID Connect Back-Channel Logout 1.0): a provider's logout token ends the sessions that it names.

use std::sync::Arc;

use crate::{
    clock::Clock,
    jwt,
    metrics::{BackchannelLogoutOutcome, Metrics},
    oidc::{LogoutToken, LogoutTokenError, Provider, Providers},
    store,
    users::{SessionProvider, Users},
};

pub struct BackchannelLogout {
    providers: Arc<Providers>,
    users: Arc<Users>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

/// The reason why a logout token ends no session.
#[derive(Debug, thiserror::Error)]
pub enum BackchannelLogoutError {
    #[error("no OpenID Connect provider has this id or issuer")]
    UnknownProvider,
    #[error("the logout token does not verify: {0}")]
    Token(#[from] LogoutTokenError),
    #[error("the logout token was used before")]
    Replayed,
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl BackchannelLogoutError {
    /// The stable token for the `reason` field of log events.
    fn reason(&self) -> &'static str {
        match self {
            Self::UnknownProvider => "unknown_provider",
            Self::Token(error) => error.reason(),
            Self::Replayed => "token_replayed",
            Self::Store(error) => error.reason(),
        }
    }

    /// True if the same token can be accepted later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Token(LogoutTokenError::NotReady(_)) | Self::Store(_))
    }
}

impl BackchannelLogout {
    pub fn new(providers: Arc<Providers>, users: Arc<Users>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self { providers, users, clock, metrics }
    }

    /// Verifies a logout token and ends the sessions that it names on every pod. Without an id the token's issuer determines the
    /// provider.
    pub async fn accept(&self, provider: Option<&str>, token: &str) -> Result<(), BackchannelLogoutError> {
        let outcome = self.try_accept(provider, token).await;
        self.metrics.backchannel_logout(match &outcome {
            Ok(()) => BackchannelLogoutOutcome::Accepted,
            Err(error) if error.is_temporary() => BackchannelLogoutOutcome::Failed,
            Err(_) => BackchannelLogoutOutcome::Refused,
        });
        outcome.inspect_err(|error| {
            let reason = error.reason();
            if error.is_temporary() {
                tracing::error!(reason, %error, suppressed = tracing::field::Empty, "backchannel logout failed");
            } else {
                tracing::warn!(reason, %error, suppressed = tracing::field::Empty, "backchannel logout refused");
            }
        })
    }

    async fn try_accept(&self, provider: Option<&str>, token: &str) -> Result<(), BackchannelLogoutError> {
        let (provider, verified) = self.verify(provider, token).await?;
        let (id, issuer) = (provider.id(), provider.config().issuer());
        if self.users.is_recorded_logout_token(issuer, &verified.id).await? {
            return Err(BackchannelLogoutError::Replayed);
        }
        let sessions = self.users.end_provider_sessions(SessionProvider { id, issuer }, &verified.target).await?;
        // Recorded last, so that the provider can send the token again if its sessions could not be ended.
        if !self.users.record_logout_token(issuer, &verified.id, LogoutToken::LIFETIME).await? {
            return Err(BackchannelLogoutError::Replayed);
        }
        tracing::info!(provider = id, sessions, "backchannel logout accepted");
        Ok(())
    }

    /// Verifies the token as one of the named provider, or of any provider with its issuer.
    async fn verify(&self, provider: Option<&str>, token: &str) -> Result<(&Provider, LogoutToken), BackchannelLogoutError> {
        let mut failure = BackchannelLogoutError::UnknownProvider;
        let issuer = jwt::unverified_issuer(token).map_err(LogoutTokenError::from)?;
        for candidate in self.candidates(provider, &issuer) {
            match candidate.verify_logout_token(token, self.clock.as_ref()).await {
                Ok(verified) => return Ok((candidate, verified)),
                Err(error) => failure = error.into(),
            }
        }
        Err(failure)
    }

    fn candidates(&self, provider: Option<&str>, issuer: &str) -> Vec<&Provider> {
        match provider {
            Some(id) => self.providers.get(id).filter(|known| known.is_openid_connect()).map(AsRef::as_ref).into_iter().collect(),
            None => self.providers.with_issuer(issuer).map(AsRef::as_ref).collect(),
        }
    }
}
