//! Identity providers: their endpoints and keys, login flows, and the verification of their tokens.

mod access_token;
mod authentication;
mod claims;
mod directory;
mod discovery;
mod exchange;
mod flow;
mod freshness;
mod http;
mod id_token;
mod logout_token;
mod oauth2;
mod openid_connect;
mod provider;
mod proxy;
mod refresh;
mod registration;
mod settings;
mod signing_keys;
#[cfg(test)]
pub mod test_login;
mod token_claims;
mod token_expectation;
mod token_response;
mod userinfo;

pub use authentication::{AuthTimeError, RequiredAuthentication};
pub use claims::without_token_claims;
pub use directory::{DirectoryKind, DirectoryResources, DirectorySettings, EntraCredential, LookupCondition, ServiceAccountKey};
pub use discovery::DiscoveryError;
pub use exchange::{ExchangeError, VerifiedIdentity};
pub use flow::{
    AuthorizationRequest, BeginFlowError, BrowserBinding, EncryptedTarget, FlowLimit, FlowStage, LoginFlow, LoginFlows,
    OneTimeRecord, OneTimeRecords, PresentedFlow, TakeError,
};
pub use http::HttpClientError;
pub use id_token::IdTokenError;
pub use logout_token::{LogoutToken, LogoutTokenError};
pub use openid_connect::ProviderNotReadyError;
pub use provider::Provider;
pub use proxy::{HttpProxy, ProxyException, ProxyServer};
pub use refresh::{RefreshError, RefreshedIdentity};
pub use settings::{
    AuthMethod, LoginFlowSettings, ManualEndpoints, OAuth2Settings, OpenIdConnectSettings, ProtocolSettings, ProviderSettings,
    RpLogout, UserInfoPolicy,
};
pub use signing_keys::{FetchError, IssuerKeys};
pub use token_response::TokenResponseError;
pub use userinfo::UserInfoError;

use std::{sync::Arc, time::Duration};

/// The allowed difference between the provider's clock and ours.
pub const LEEWAY: Duration = Duration::from_secs(120);

/// The configured providers, in the order of the configuration.
pub struct Providers(Vec<Arc<Provider>>);

impl Providers {
    pub fn new(providers: Vec<Arc<Provider>>) -> Self {
        Self(providers)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.0.iter()
    }

    pub fn get(&self, id: &str) -> Option<&Arc<Provider>> {
        self.0.iter().find(|provider| provider.id() == id)
    }

    /// Returns the provider if exactly one is configured.
    pub fn single(&self) -> Option<&Arc<Provider>> {
        match self.0.as_slice() {
            [provider] => Some(provider),
            _ => None,
        }
    }

    /// Returns the OpenID Connect providers with this issuer. Two registrations at one provider have the same issuer.
    pub fn with_issuer(&self, issuer: &str) -> impl Iterator<Item = &Arc<Provider>> {
        self.0.iter().filter(move |provider| provider.is_openid_connect() && provider.config().issuer() == issuer)
    }

    /// Returns the first provider with this issuer, with or without a final slash. This only chooses where a login begins.
    pub fn find_by_issuer(&self, issuer: &str) -> Option<&Arc<Provider>> {
        let without_slash = |issuer: &str| issuer.strip_suffix('/').unwrap_or(issuer).to_owned();
        let is_similar = |provider: &&Arc<Provider>| without_slash(provider.config().issuer()) == without_slash(issuer);
        let found = self.with_issuer(issuer).next();
        found.or_else(|| self.0.iter().filter(|provider| provider.is_openid_connect()).find(is_similar))
    }

    /// Returns the provider whose redirect URI has this id. The redirect URI of the first provider has none.
    pub fn find_by_callback(&self, id: Option<&str>) -> Option<&Arc<Provider>> {
        let first = self.0.first()?;
        match id {
            None => Some(first),
            Some(id) => self.get(id).filter(|provider| provider.id() != first.id()),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
