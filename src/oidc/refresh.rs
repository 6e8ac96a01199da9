//! Refreshes the claims of an identity with a refresh token (RFC 6749, section 6; OpenID Connect Core, section 12).

use std::time::Duration;

use super::{
    ExchangeError, Provider,
    oauth2::OAuth2Provider,
    openid_connect::OpenIdConnectProvider,
    provider::Protocol,
    token_claims::TokenOrigin,
    token_response::{RefreshRefusal, TokenResponseError, Tokens},
};
use crate::{clock::Clock, principal::IdentityClaims, users::RefreshToken};

/// The time for the requests after that for the tokens: keys, userinfo. Together with two requests for the tokens and one for
/// the metadata it is shorter than the lease of a refresh.
const CLAIMS_TIMEOUT: Duration = Duration::from_secs(25);

/// The claims that a refresh led to, and the token for the next one.
#[derive(Debug)]
pub struct RefreshedIdentity {
    pub identity: IdentityClaims,
    pub token: RefreshToken,
}

/// The reason why claims were not refreshed. The texts are for the log and contain no token.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The provider no longer accepts the refresh token.
    #[error("the token endpoint: {0}")]
    Refused(TokenResponseError),
    /// The provider accepts the refresh token only after it has asked the user.
    #[error("the token endpoint: {0}")]
    InteractionNeeded(TokenResponseError),
    /// Nothing is known about the identity. `token` is the one for the next attempt, since the provider may have rotated it.
    #[error("{error}")]
    Failed { error: ExchangeError, token: RefreshToken },
}

impl RefreshError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refresh_token_refused",
            Self::InteractionNeeded(_) => "interaction_needed",
            Self::Failed { error, .. } => error.reason(),
        }
    }
}

impl Provider {
    /// Refreshes the known claims of an identity. `known` is the identity of the login.
    pub async fn refresh(
        &self,
        token: &RefreshToken,
        known: &IdentityClaims,
        clock: &dyn Clock,
    ) -> Result<RefreshedIdentity, RefreshError> {
        let unchanged = |error: ExchangeError| RefreshError::Failed { error, token: token.failed(None) };
        self.ensure_ready().await.map_err(|error| unchanged(error.into()))?;
        let tokens = self.refreshed_tokens(token).await.map_err(|error| match error {
            ExchangeError::Token(refused) => match refused.refresh_refusal() {
                Some(RefreshRefusal::Ended) => RefreshError::Refused(refused),
                Some(RefreshRefusal::InteractionNeeded) => RefreshError::InteractionNeeded(refused),
                None => unchanged(refused.into()),
            },
            error => unchanged(error),
        })?;
        self.report_missing_id_token(&tokens);
        let next = tokens.refresh_token.clone();
        let origin = TokenOrigin::Refresh { nonce: token.nonce.as_deref(), known };
        let identity = tokio::time::timeout(CLAIMS_TIMEOUT, self.refreshed_identity(&tokens, origin, clock)).await;
        match identity.unwrap_or(Err(ExchangeError::TooSlow)) {
            Ok(identity) => Ok(RefreshedIdentity { identity, token: token.renewed(next, clock.now()) }),
            // A token that came with the tokens of another user is not kept.
            Err(error @ ExchangeError::OtherSubject) => Err(unchanged(error)),
            Err(error) => Err(RefreshError::Failed { error, token: token.failed(next) }),
        }
    }

    fn report_missing_id_token(&self, tokens: &Tokens) {
        if matches!(self.protocol, Protocol::OpenIdConnect(_)) && tokens.id_token.is_none() {
            tracing::warn!(provider = self.id(), suppressed = tracing::field::Empty, "refresh without id_token");
        }
    }

    async fn refreshed_tokens(&self, token: &RefreshToken) -> Result<Tokens, ExchangeError> {
        match &self.protocol {
            Protocol::OpenIdConnect(protocol) => protocol.refreshed_tokens(token).await,
            Protocol::OAuth2(protocol) => protocol.refreshed_tokens(token).await,
        }
    }

    async fn refreshed_identity(
        &self,
        tokens: &Tokens,
        origin: TokenOrigin<'_>,
        clock: &dyn Clock,
    ) -> Result<IdentityClaims, ExchangeError> {
        let identity = match &self.protocol {
            Protocol::OpenIdConnect(protocol) => protocol.identity_of(tokens, origin, clock).await?.identity,
            Protocol::OAuth2(protocol) => protocol.identity_of(tokens).await?,
        };
        match origin {
            TokenOrigin::Refresh { known, .. } if known.subject != identity.subject => Err(ExchangeError::OtherSubject),
            _ => self.complete(identity, tokens.access_token.as_ref()).await,
        }
    }
}

impl OpenIdConnectProvider {
    async fn refreshed_tokens(&self, token: &RefreshToken) -> Result<Tokens, ExchangeError> {
        let metadata = self.metadata()?;
        Ok(self.registration.refresh(|| self.endpoints(&metadata), token.expose()).await?)
    }
}

impl OAuth2Provider {
    async fn refreshed_tokens(&self, token: &RefreshToken) -> Result<Tokens, ExchangeError> {
        Ok(self.registration.refresh(|| self.endpoints(), token.expose()).await?)
    }
}
