//! One identity provider, whatever it speaks: where people are sent, and what becomes of the code they bring.

use std::{fmt, sync::Arc, time::Duration};

use openidconnect::{ClientId, EndSessionUrl, LogoutHint, LogoutRequest, PostLogoutRedirectUrl, RedirectUrl};
use url::Url;

use super::{
    AuthorizationRequest, ExchangeError, LoginFlow, VerifiedIdentity, claims,
    http::{HttpClient, HttpClientError},
    oauth2::OAuth2Provider,
    openid_connect::{OpenIdConnectProvider, ProviderNotReadyError},
    registration::Registration,
    settings::{ProtocolSettings, ProviderSettings},
};
use crate::{
    clock::Clock,
    metrics::{Metrics, Outcome},
    principal::EmailTrust,
    secret::SecretCell,
    session::Logout,
};

pub struct Provider {
    registration: Arc<Registration>,
    protocol: Protocol,
}

enum Protocol {
    OpenIdConnect(Box<OpenIdConnectProvider>),
    OAuth2(Box<OAuth2Provider>),
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl Provider {
    pub fn new(
        config: ProviderSettings,
        secret: Option<Arc<SecretCell>>,
        redirect_uri: String,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, HttpClientError> {
        let http = HttpClient::new(config.ca_file.as_deref())?;
        let redirect_uri = RedirectUrl::new(redirect_uri).map_err(|error| HttpClientError::Client(error.to_string()))?;
        let registration = Arc::new(Registration::new(config, redirect_uri, http, secret));
        let protocol = match registration.config.protocol.clone() {
            ProtocolSettings::OpenIdConnect(settings) => {
                Protocol::OpenIdConnect(Box::new(OpenIdConnectProvider::new(Arc::clone(&registration), settings, clock, metrics)))
            }
            ProtocolSettings::OAuth2(settings) => {
                // Nothing has to be fetched first.
                metrics.provider_ready(registration.id(), Outcome::Ok);
                Protocol::OAuth2(Box::new(OAuth2Provider::new(Arc::clone(&registration), settings)))
            }
        };
        Ok(Self { registration, protocol })
    }

    pub fn id(&self) -> &str {
        self.registration.id()
    }

    pub fn name(&self) -> &str {
        &self.config().name
    }

    pub fn config(&self) -> &ProviderSettings {
        &self.registration.config
    }

    pub fn email_trust(&self) -> EmailTrust {
        if self.config().trust_email { EmailTrust::Always } else { EmailTrust::WhenVerified }
    }

    /// Keeps what is known of the provider fresh by fetching it again and again, for as long as the process
    /// runs; returns at once where there is nothing that could grow old.
    pub async fn keep_fresh(self: Arc<Self>, every: Duration) {
        match &self.protocol {
            Protocol::OpenIdConnect(protocol) => protocol.keep_fresh(every).await,
            Protocol::OAuth2(_) => {}
        }
    }

    /// Waits until the first fetch has ended, whichever way: a pod is then as ready as it can be.
    pub async fn attempted(&self) {
        match &self.protocol {
            Protocol::OpenIdConnect(protocol) => protocol.attempted().await,
            Protocol::OAuth2(_) => {}
        }
    }

    /// Whether people can be sent there. Where nothing is known yet, that is asked for now and waited for a while.
    pub async fn reached(&self) -> Result<(), ProviderNotReadyError> {
        match &self.protocol {
            Protocol::OpenIdConnect(protocol) => protocol.reached().await,
            Protocol::OAuth2(_) => Ok(()),
        }
    }

    /// Where people are sent to end their session at the provider too.
    pub fn end_session_endpoint(&self) -> Option<Url> {
        match &self.protocol {
            Protocol::OpenIdConnect(protocol) => protocol.end_session_endpoint(),
            Protocol::OAuth2(_) => None,
        }
    }

    /// The URL that ends the session at the provider too (RP-Initiated Logout 1.0). By default without the id_token, since
    /// it would be part of a URL.
    pub fn end_session_url(&self, logout: &Logout, return_url: Url) -> Option<Url> {
        let mut request = LogoutRequest::from(EndSessionUrl::from_url(self.end_session_endpoint()?))
            .set_client_id(ClientId::new(self.config().client_id.clone()))
            .set_post_logout_redirect_uri(PostLogoutRedirectUrl::from_url(return_url));
        if let Some(hint) = &logout.hint {
            request = request.set_logout_hint(LogoutHint::new(hint.clone()));
        }
        let mut url = request.http_get_url();
        // Added by hand: the library's type for it parses all claims of the token.
        if let Some(id_token) = &logout.id_token {
            url.query_pairs_mut().append_pair("id_token_hint", id_token);
        }
        Some(url)
    }

    /// RFC 9207: `iss` must be in the callback when the provider says that it sends it, and must be the
    /// provider's own. Where no issuer is known there is nothing to compare; the callback's path, which is
    /// every provider's own, still keeps providers apart.
    pub fn accepts_issuer(&self, iss: Option<&str>) -> bool {
        match (&self.protocol, iss) {
            (Protocol::OpenIdConnect(protocol), Some(iss)) => iss == protocol.settings.issuer,
            (Protocol::OpenIdConnect(protocol), None) => !protocol.names_itself(),
            (Protocol::OAuth2(_), _) => true,
        }
    }

    /// Returns the URL of the sign-in page, always with `state` and PKCE (S256).
    pub fn authorization_url(&self, started: &AuthorizationRequest) -> Result<Url, ProviderNotReadyError> {
        match &self.protocol {
            Protocol::OpenIdConnect(protocol) => protocol.authorization_url(started),
            Protocol::OAuth2(protocol) => Ok(protocol.authorization_url(started)),
        }
    }

    /// Redeems the code and finds out who it stands for.
    pub async fn redeem(&self, code: &str, taken: &LoginFlow, clock: &dyn Clock) -> Result<VerifiedIdentity, ExchangeError> {
        let verified = match &self.protocol {
            Protocol::OpenIdConnect(protocol) => protocol.redeem(code, taken, clock).await,
            Protocol::OAuth2(protocol) => protocol.redeem(code, taken).await,
        }?;
        let (size, limit) = (claims::size(&verified.identity), self.config().max_claims);
        if size > limit { Err(ExchangeError::TooLarge { size, limit }) } else { Ok(verified) }
    }
}
