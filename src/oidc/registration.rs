//! Who we are to a provider, and how we speak to it.

use std::sync::Arc;

use openidconnect::{AuthType, ClientSecret, RedirectUrl};

use super::http::HttpClient;
use crate::{
    config::{self, AuthMethod},
    secret::SecretCell,
};

pub(super) struct Registration {
    pub config: config::Provider,
    pub redirect_uri: RedirectUrl,
    pub http: HttpClient,
    secret: Option<Arc<SecretCell>>,
}

impl Registration {
    pub fn new(config: config::Provider, redirect_uri: RedirectUrl, http: HttpClient, secret: Option<Arc<SecretCell>>) -> Self {
        Self { config, redirect_uri, http, secret }
    }

    pub fn id(&self) -> &str {
        &self.config.id
    }

    /// The secret that is in force now.
    pub fn secret(&self) -> Option<ClientSecret> {
        self.secret.as_ref().map(|secret| ClientSecret::new(secret.expose()))
    }

    /// How the secret is sent; `auto` is what that comes to when nothing else is configured.
    pub fn auth_type(&self, auto: AuthType) -> AuthType {
        match (self.config.token_endpoint_auth_method, &self.secret) {
            (AuthMethod::ClientSecretBasic, _) => AuthType::BasicAuth,
            (AuthMethod::Auto, Some(_)) => auto,
            (AuthMethod::Auto, None) | (AuthMethod::ClientSecretPost | AuthMethod::None, _) => AuthType::RequestBody,
        }
    }
}
