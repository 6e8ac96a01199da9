//! A provider that speaks OpenID Connect: its endpoints and keys, fetched in the background and kept fresh.

use std::{sync::Arc, time::Duration};

use openidconnect::AuthType;
use serde::Deserialize;
use url::Url;

use super::{
    keys::{self, FetchError},
    registration::{Endpoints, Registration},
    settings::{ManualEndpoints, OpenIdConnectSettings, RpLogout},
};
use crate::{
    clock::Clock,
    jwt::{Algorithm, KeySet},
    metrics::{Metrics, Outcome},
    refreshing::RefreshingValue,
};

/// The fields of the discovery document that are used (OpenID Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    userinfo_endpoint: Option<Url>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// RFC 9207: the provider names itself in the callback.
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    /// RP-Initiated Logout 1.0.
    end_session_endpoint: Option<Url>,
}

pub(super) struct OpenIdConnect {
    pub(super) registration: Arc<Registration>,
    pub(super) settings: OpenIdConnectSettings,
    pub(super) algorithms: Vec<Algorithm>,
    metrics: Arc<Metrics>,
    fresh: RefreshingValue<Metadata>,
}

/// A provider's endpoints and keys as they were last fetched.
pub(super) struct Metadata {
    authorization_endpoint: Url,
    token_endpoint: Url,
    pub(super) userinfo_endpoint: Option<Url>,
    end_session_endpoint: Option<Url>,
    names_itself: bool,
    offers_only_post: bool,
    pub(super) keys: KeySet,
}

/// The provider has not answered yet since this process started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the identity provider has not been reached yet")]
pub struct NotReady;

impl OpenIdConnect {
    pub(super) fn new(
        registration: Arc<Registration>,
        settings: OpenIdConnectSettings,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        metrics.provider_ready(registration.id(), Outcome::Error);
        let algorithms = settings.algorithms.clone();
        Self { registration, settings, algorithms, metrics, fresh: RefreshingValue::new(clock) }
    }

    pub(super) fn id(&self) -> &str {
        self.registration.id()
    }

    /// Fetches endpoints and keys now, each hour, and when a login finds a key that is not known, or nothing.
    /// What was fetched stays in use while a later fetch fails.
    pub(super) async fn keep_fresh(&self, every: Duration) {
        let failed = |error: FetchError, retry_in| {
            self.metrics.provider_refreshed(self.id(), Outcome::Error);
            tracing::warn!(provider = self.id(), %error, ?retry_in, "provider metadata not fetched");
        };
        self.fresh.refresh(every, || self.fetch_and_tell(), failed).await;
    }

    /// Waits until the first fetch has ended, whichever way: a pod is then as ready as it can be.
    pub(super) async fn attempted(&self) {
        self.fresh.wait_for_first_attempt().await;
    }

    /// Where people are sent to end their session at the provider too.
    pub(super) fn end_session_endpoint(&self) -> Option<Url> {
        if self.settings.logout == RpLogout::Off {
            return None;
        }
        let configured = self.settings.end_session_endpoint.clone();
        configured.or_else(|| self.metadata().ok()?.end_session_endpoint.clone())
    }

    /// Whether the provider says that it names itself in every callback.
    pub(super) fn names_itself(&self) -> bool {
        self.metadata().is_ok_and(|metadata| metadata.names_itself)
    }

    /// Whether people can be sent there. Where nothing is known yet, that is asked for now and waited for a while.
    pub(super) async fn reached(&self) -> Result<(), NotReady> {
        self.fresh.get_or_fetch().await.map(drop).ok_or(NotReady)
    }

    pub(super) fn metadata(&self) -> Result<Arc<Metadata>, NotReady> {
        self.fresh.current().ok_or(NotReady)
    }

    pub(super) fn client_id(&self) -> &str {
        &self.registration.config.client_id
    }

    /// The secret is sent by Basic authentication unless the provider offers only the form (RFC 6749, section 2.3.1).
    pub(super) fn endpoints<'a>(&self, metadata: &'a Metadata) -> Endpoints<'a> {
        let auto = if metadata.offers_only_post { AuthType::RequestBody } else { AuthType::BasicAuth };
        Endpoints {
            authorization: &metadata.authorization_endpoint,
            token: &metadata.token_endpoint,
            auth_type: self.registration.auth_type(auto),
        }
    }

    /// Keys that were fetched after `used`: those that are there already, or those of one more fetch.
    pub(super) async fn newer_than(&self, used: &Arc<Metadata>) -> Option<Arc<Metadata>> {
        self.fresh.fetch_newer_than(used).await
    }

    async fn fetch_and_tell(&self) -> Result<Metadata, FetchError> {
        let metadata = self.fetch().await?;
        if self.fresh.current().is_none() {
            tracing::info!(provider = self.id(), issuer = self.settings.issuer, keys = metadata.keys.len(), "provider ready");
        }
        self.metrics.provider_refreshed(self.id(), Outcome::Ok);
        self.metrics.provider_ready(self.id(), Outcome::Ok);
        Ok(metadata)
    }

    async fn fetch(&self) -> Result<Metadata, FetchError> {
        let discovered = match &self.settings.endpoints {
            Some(endpoints) => Discovered::from_settings(&self.settings.issuer, endpoints),
            None => {
                let Registration { http, .. } = &*self.registration;
                keys::discover(http, &self.settings.issuer, |discovered: &Discovered| &discovered.issuer).await?
            }
        };
        let keys = keys::fetch_keys(&self.registration.http, &discovered.jwks_uri).await?;
        Ok(Metadata {
            names_itself: discovered.authorization_response_iss_parameter_supported,
            offers_only_post: discovered.offers_only_post(),
            authorization_endpoint: discovered.authorization_endpoint,
            token_endpoint: discovered.token_endpoint,
            userinfo_endpoint: self.settings.userinfo_endpoint.clone().or(discovered.userinfo_endpoint),
            end_session_endpoint: discovered.end_session_endpoint,
            keys,
        })
    }
}

impl Discovered {
    fn from_settings(issuer: &str, endpoints: &ManualEndpoints) -> Self {
        Self {
            issuer: issuer.to_owned(),
            authorization_endpoint: endpoints.authorization.clone(),
            token_endpoint: endpoints.token.clone(),
            jwks_uri: endpoints.jwks.clone(),
            userinfo_endpoint: None,
            token_endpoint_auth_methods_supported: None,
            authorization_response_iss_parameter_supported: false,
            end_session_endpoint: None,
        }
    }

    fn offers_only_post(&self) -> bool {
        let offered = self.token_endpoint_auth_methods_supported.as_deref().unwrap_or_default();
        let offers = |method: &str| offered.iter().any(|offered| offered == method);
        offers("client_secret_post") && !offers("client_secret_basic")
    }
}
