//! Identity providers: their endpoints and keys, logins in flight, and what of their tokens is believed.

mod access_token;
mod claims;
mod exchange;
mod flow;
mod http;
mod id_token;
mod keys;
mod oauth2;
mod openid_connect;
mod provider;
mod registration;
mod settings;
mod userinfo;

pub use claims::without_token_claims;
pub use exchange::{ExchangeError, VerifiedIdentity};
pub use flow::{AuthorizationRequest, BrowserBinding, LoginFlow, LoginFlows, TakeError};
pub use http::HttpClientError;
pub use id_token::IdTokenError;
pub use keys::{FetchError, IssuerKeys};
pub use openid_connect::ProviderNotReadyError;
pub use provider::Provider;
pub use settings::{
    AuthMethod, ManualEndpoints, OAuth2Settings, OpenIdConnectSettings, ProtocolSettings, ProviderSettings, RpLogout,
};
pub use userinfo::UserInfoError;

use std::{sync::Arc, time::Duration};

/// How far the provider's clock and ours may be apart.
pub const LEEWAY: Duration = Duration::from_secs(120);

/// The configured providers, in their order.
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

    /// The provider that people sign in with when there is no choice.
    pub fn only(&self) -> Option<&Arc<Provider>> {
        match self.0.as_slice() {
            [provider] => Some(provider),
            _ => None,
        }
    }

    /// The provider whose redirect URI has this path: the first one's carries no id.
    pub fn of_callback(&self, id: Option<&str>) -> Option<&Arc<Provider>> {
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
