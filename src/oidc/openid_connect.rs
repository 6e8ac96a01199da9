//! An OpenID Connect provider: its endpoints and keys, refreshed in the background.

use std::{sync::Arc, time::Duration};

use openidconnect::AuthType;
use url::Url;

use super::{
    discovery::{DiscoveryDocument, DiscoveryError},
    registration::{FlowEndpoints, Registration},
    settings::{ManualEndpoints, OpenIdConnectSettings, RpLogout},
    signing_keys::{self, FetchError},
    token_expectation::TokenExpectation,
};
use crate::{
    clock::Clock,
    fetch::{FetchedValue, RefreshingValue},
    jwt::KeySet,
    metrics::{Metrics, Outcome},
};

pub(super) struct OpenIdConnectProvider {
    pub(super) registration: Arc<Registration>,
    pub(super) settings: OpenIdConnectSettings,
    metrics: Arc<Metrics>,
    refreshing: RefreshingValue<Metadata>,
    clock: Arc<dyn Clock>,
}

/// A provider's endpoints and keys as of the last successful fetch.
pub(super) struct Metadata {
    endpoints: Endpoints,
    pub(super) keys: KeySet,
}

/// A provider's endpoints, by discovery or as configured.
struct Endpoints {
    authorization: Url,
    token: Url,
    jwks: Url,
    userinfo: Option<Url>,
    /// RP-Initiated Logout 1.0.
    end_session: Option<Url>,
    /// RFC 9207: the provider sends `iss` in the callback.
    has_issuer_parameter: bool,
    offers_only_post: bool,
}

/// The provider's metadata has not been fetched since this process started, or was fetched too long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the identity provider's keys have not been fetched, or are older than keys_max_age")]
pub struct ProviderNotReadyError;

impl OpenIdConnectProvider {
    pub(super) fn new(
        registration: Arc<Registration>,
        settings: OpenIdConnectSettings,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        metrics.provider_ready(registration.id(), Outcome::Error);
        metrics.provider_keys(registration.id(), settings.keys_max_age, None);
        let refreshing = RefreshingValue::new(settings.keys_max_age, Arc::clone(&clock));
        Self { registration, settings, metrics, refreshing, clock }
    }

    pub(super) fn id(&self) -> &str {
        self.registration.id()
    }

    /// Fetches endpoints and keys now, after each interval, and when a login needs an unknown key or has no metadata.
    /// The last fetched metadata stays in use while fetches fail, up to `keys_max_age`.
    pub(super) async fn keep_refreshing(&self, interval: Duration) {
        let failed = |error: FetchError, retry_in| {
            self.metrics.provider_refreshed(self.id(), Outcome::Error);
            let can_sign_in = self.metadata().is_ok();
            if !can_sign_in {
                self.metrics.provider_ready(self.id(), Outcome::Error);
            }
            tracing::warn!(provider = self.id(), %error, ?retry_in, can_sign_in, "provider metadata not fetched");
        };
        self.refreshing.refresh(interval, || self.fetch_and_report(), failed).await;
    }

    /// Waits until the first fetch has succeeded or failed. Readiness does not depend on the result.
    pub(super) async fn wait_for_first_attempt(&self) {
        self.refreshing.wait_for_first_attempt().await;
    }

    /// Returns the endpoint that ends the user's session at the provider (RP-Initiated Logout 1.0).
    pub(super) fn end_session_endpoint(&self) -> Option<Url> {
        if self.settings.logout == RpLogout::Off {
            return None;
        }
        let configured = self.settings.end_session_endpoint.clone();
        // The endpoint needs no keys, so that its age does not matter.
        configured.or_else(|| self.refreshing.last()?.endpoints.end_session.clone())
    }

    /// True if the provider announces that it sends `iss` in every callback (RFC 9207).
    pub(super) fn has_issuer_parameter(&self) -> bool {
        self.refreshing.last().is_some_and(|metadata| metadata.endpoints.has_issuer_parameter)
    }

    /// Requests the metadata if there is none yet, and waits for it for a limited time.
    pub(super) async fn ensure_ready(&self) -> Result<(), ProviderNotReadyError> {
        self.refreshing.get_or_fetch().await.map(drop).ok_or(ProviderNotReadyError)
    }

    /// True if the metadata was fetched within the last seconds, or can be fetched now.
    pub(super) async fn is_reachable(&self) -> bool {
        self.refreshing.is_source_reachable().await
    }

    pub(super) fn metadata(&self) -> Result<Arc<Metadata>, ProviderNotReadyError> {
        self.refreshing.current().ok_or(ProviderNotReadyError)
    }

    pub(super) fn token_expectation<'a>(&'a self, metadata: &'a Metadata) -> TokenExpectation<'a> {
        TokenExpectation {
            issuer: &self.settings.issuer,
            client_id: &self.registration.config.client_id,
            trusted_audiences: &self.settings.trusted_audiences,
            algorithms: &self.settings.algorithms,
            keys: &metadata.keys,
        }
    }

    /// The client authenticates with Basic unless the provider offers only the form (RFC 6749, section 2.3.1).
    pub(super) fn endpoints<'a>(&self, metadata: &'a Metadata) -> FlowEndpoints<'a> {
        let auto = if metadata.endpoints.offers_only_post { AuthType::RequestBody } else { AuthType::BasicAuth };
        FlowEndpoints {
            authorization: &metadata.endpoints.authorization,
            token: &metadata.endpoints.token,
            auth_type: self.registration.auth_type(auto),
        }
    }

    /// Returns metadata that was fetched after `used`, if necessary by one more fetch.
    pub(super) async fn fetch_newer_than(&self, used: &Arc<Metadata>) -> Option<Arc<Metadata>> {
        self.refreshing.fetch_newer_than(used).await
    }

    async fn fetch_and_report(&self) -> Result<FetchedValue<Metadata>, FetchError> {
        let began = self.clock.now();
        let metadata = self.fetch().await?;
        if self.refreshing.current().is_none() {
            let keys = metadata.value.keys.len();
            tracing::info!(provider = self.id(), issuer = self.settings.issuer, keys, "provider ready");
        }
        self.metrics.provider_keys(self.id(), self.settings.keys_max_age, Some(began.as_second()));
        self.metrics.provider_refreshed(self.id(), Outcome::Ok);
        self.metrics.provider_ready(self.id(), Outcome::Ok);
        Ok(metadata)
    }

    async fn fetch(&self) -> Result<FetchedValue<Metadata>, FetchError> {
        let http = &self.registration.http;
        let mut endpoints = match &self.settings.endpoints {
            Some(configured) => Endpoints::from_settings(configured),
            None => Endpoints::from_document(&DiscoveryDocument::fetch(http, &self.settings.issuer).await?)?,
        };
        endpoints.userinfo = self.settings.userinfo_endpoint.clone().or(endpoints.userinfo);
        let FetchedValue { value: keys, fresh_for } = signing_keys::fetch_keys(http, &endpoints.jwks).await?;
        Ok(FetchedValue { value: Metadata { endpoints, keys }, fresh_for })
    }
}

impl Metadata {
    pub(super) fn userinfo_endpoint(&self) -> Option<&Url> {
        self.endpoints.userinfo.as_ref()
    }
}

impl Endpoints {
    fn from_settings(configured: &ManualEndpoints) -> Self {
        let ManualEndpoints { authorization, token, jwks } = configured.clone();
        Self {
            authorization,
            token,
            jwks,
            userinfo: None,
            end_session: None,
            has_issuer_parameter: false,
            offers_only_post: false,
        }
    }

    fn from_document(document: &DiscoveryDocument) -> Result<Self, DiscoveryError> {
        let offered = document.texts("token_endpoint_auth_methods_supported");
        let offers = |method: &str| offered.iter().any(|offered| offered == method);
        Ok(Self {
            authorization: document.required_endpoint("authorization_endpoint")?,
            token: document.required_endpoint("token_endpoint")?,
            jwks: document.required_endpoint("jwks_uri")?,
            userinfo: document.optional_endpoint("userinfo_endpoint"),
            end_session: document.optional_endpoint("end_session_endpoint"),
            has_issuer_parameter: document.is_true("authorization_response_iss_parameter_supported"),
            offers_only_post: offers("client_secret_post") && !offers("client_secret_basic"),
        })
    }
}
