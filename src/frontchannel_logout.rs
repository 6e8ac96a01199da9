//! Front-channel logout (OpenID Connect Front-Channel Logout 1.0): a request of the user's browser names the session to end.
//!
//! Browsers send no cookies with it, because the provider's page loads it in a frame. Only its `sid` shows that the provider caused
//! it, so that each provider must be permitted to use it.

use std::sync::Arc;

use crate::{
    oidc::{Provider, Providers},
    store,
    users::{SessionProvider, Users},
};

pub struct FrontchannelLogout {
    providers: Arc<Providers>,
    users: Arc<Users>,
}

/// The provider that a request names.
#[derive(Clone, Copy)]
pub enum NamedProvider<'a> {
    /// Entra ID sends no issuer, so that the path alone has to name the provider.
    Id {
        id: &'a str,
        issuer: Option<&'a str>,
    },
    Issuer(&'a str),
}

/// The reason why a request ends no session.
#[derive(Debug, thiserror::Error)]
pub enum FrontchannelLogoutError {
    #[error("no OpenID Connect provider has this id and issuer")]
    UnknownProvider,
    #[error("frontchannel_logout is not set for the provider")]
    Disabled,
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl NamedProvider<'_> {
    fn is_named(self, provider: &Provider) -> bool {
        let has_issuer = |issuer: &str| issuer == provider.config().issuer();
        provider.is_openid_connect()
            && match self {
                Self::Id { id, issuer } => id == provider.id() && issuer.is_none_or(has_issuer),
                Self::Issuer(issuer) => has_issuer(issuer),
            }
    }
}

impl FrontchannelLogoutError {
    /// The stable token for the `reason` field of log events.
    fn reason(&self) -> &'static str {
        match self {
            Self::UnknownProvider => "unknown_provider",
            Self::Disabled => "frontchannel_logout_disabled",
            Self::Store(error) => error.reason(),
        }
    }
}

impl FrontchannelLogout {
    pub fn new(providers: Arc<Providers>, users: Arc<Users>) -> Self {
        Self { providers, users }
    }

    /// Ends the sessions that came with this `sid` of the provider, on every pod.
    pub async fn accept(&self, named: NamedProvider<'_>, sid: &str) -> Result<(), FrontchannelLogoutError> {
        self.end_sessions(named, sid).await.inspect_err(|error| {
            let reason = error.reason();
            match error {
                FrontchannelLogoutError::Store(_) => {
                    tracing::error!(reason, %error, suppressed = tracing::field::Empty, "frontchannel logout failed");
                }
                _ => tracing::warn!(reason, %error, suppressed = tracing::field::Empty, "frontchannel logout refused"),
            }
        })
    }

    async fn end_sessions(&self, named: NamedProvider<'_>, sid: &str) -> Result<(), FrontchannelLogoutError> {
        // Two registrations at one provider share its issuer and its sessions.
        let named: Vec<&Arc<Provider>> = self.providers.iter().filter(|provider| named.is_named(provider)).collect();
        if named.is_empty() {
            return Err(FrontchannelLogoutError::UnknownProvider);
        }
        let permitted: Vec<_> = named.into_iter().filter(|provider| provider.can_log_out_in_browser()).collect();
        if permitted.is_empty() {
            return Err(FrontchannelLogoutError::Disabled);
        }
        for provider in permitted {
            let provider = SessionProvider { id: provider.id(), issuer: provider.config().issuer() };
            self.users.end_known_provider_sessions(provider, sid).await?;
        }
        Ok(())
    }
}
