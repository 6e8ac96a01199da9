//! A provider that speaks OpenID Connect: its endpoints and keys, fetched in the background and kept fresh.

use std::{sync::Arc, time::Duration};

use openidconnect::{
    AdditionalProviderMetadata, AuthType, ClientId, EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl, JsonWebKey as _,
    JsonWebKeySetUrl, ProviderMetadata, ResponseTypes, TokenUrl, UserInfoUrl,
    core::{
        CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
        CoreJsonWebKeySet, CoreJsonWebKeyType, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm,
        CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
    },
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    access_token, for_jsonwebtoken, for_openidconnect,
    keys::{self, FetchError},
    registration::Registration,
};
use crate::{
    clock::Clock,
    config::{self, RpLogout},
    fresh::Fresh,
    metrics::{Metrics, Outcome},
};

pub(super) type OidcClient =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

type Metadata = ProviderMetadata<
    More,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// What else of the discovery document is used.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct More {
    /// RFC 9207: the provider names itself in the callback.
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    /// RP-Initiated Logout 1.0.
    #[serde(default)]
    end_session_endpoint: Option<Url>,
}

impl AdditionalProviderMetadata for More {}

pub(super) struct OpenIdConnect {
    pub(super) registration: Arc<Registration>,
    pub(super) settings: config::OpenIdConnect,
    metrics: Arc<Metrics>,
    fresh: Fresh<Known>,
}

/// A provider's endpoints and keys as they were last fetched.
pub(super) struct Known {
    metadata: Metadata,
    keys: jsonwebtoken::jwk::JwkSet,
}

/// The provider has not answered yet since this process started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the identity provider has not been reached yet")]
pub struct NotReady;

impl OpenIdConnect {
    pub(super) fn new(
        registration: Arc<Registration>,
        settings: config::OpenIdConnect,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        metrics.provider_ready(registration.id(), Outcome::Error);
        Self { registration, settings, metrics, fresh: Fresh::new(clock) }
    }

    pub(super) fn id(&self) -> &str {
        self.registration.id()
    }

    /// Fetches endpoints and keys now, each hour, and when a login finds a key that is not known, or nothing.
    /// What was fetched stays in use while a later fetch fails.
    pub(super) async fn keep_fresh(&self, every: Duration) {
        let failed = |error: FetchError, retry_in| {
            self.metrics.provider_refreshed(self.id(), Outcome::Error);
            tracing::warn!(provider = self.id(), %error, ?retry_in, "the identity provider's metadata can't be fetched");
        };
        self.fresh.keep(every, || self.fetch_and_tell(), failed).await;
    }

    /// Waits until the first fetch has ended, whichever way: a pod is then as ready as it can be.
    pub(super) async fn attempted(&self) {
        self.fresh.attempted().await;
    }

    /// Where people are sent to end their session at the provider too.
    pub(super) fn end_session_endpoint(&self) -> Option<Url> {
        if self.settings.logout == RpLogout::Off {
            return None;
        }
        let configured = self.settings.end_session_endpoint.clone();
        configured.or_else(|| self.known().ok()?.metadata.additional_metadata().end_session_endpoint.clone())
    }

    /// Whether the provider says that it names itself in every callback.
    pub(super) fn names_itself(&self) -> bool {
        self.known().is_ok_and(|known| known.metadata.additional_metadata().authorization_response_iss_parameter_supported)
    }

    /// Whether people can be sent there. Where nothing is known yet, that is asked for now and waited for a while.
    pub(super) async fn reached(&self) -> Result<(), NotReady> {
        self.fresh.reached().await.map(drop).ok_or(NotReady)
    }

    pub(super) fn known(&self) -> Result<Arc<Known>, NotReady> {
        self.fresh.known().ok_or(NotReady)
    }

    /// A client with the secret in force and the keys that are known now.
    pub(super) fn client(&self, known: &Known) -> OidcClient {
        let registration = &self.registration;
        let client_id = ClientId::new(registration.config.client_id.clone());
        CoreClient::from_provider_metadata(known.metadata.clone(), client_id, registration.secret())
            .set_redirect_uri(registration.redirect_uri.clone())
            .set_auth_type(self.auth_type(known))
    }

    pub(super) fn access_token_expectations<'a>(
        &'a self,
        known: &'a Known,
        algorithms: &'a [jsonwebtoken::Algorithm],
    ) -> access_token::Expected<'a> {
        access_token::Expected {
            issuer: &self.settings.issuer,
            client_id: &self.registration.config.client_id,
            algorithms,
            keys: &known.keys,
        }
    }

    pub(super) fn algorithms(&self) -> Vec<jsonwebtoken::Algorithm> {
        self.settings.algorithms.iter().copied().map(for_jsonwebtoken).collect()
    }

    pub(super) fn has_userinfo(&self, known: &Known) -> bool {
        known.metadata.userinfo_endpoint().is_some()
    }

    /// Keys that were fetched after `used`: those that are there already, or those of one more fetch.
    pub(super) async fn newer_than(&self, used: &Arc<Known>) -> Option<Arc<Known>> {
        self.fresh.newer_than(used).await
    }

    async fn fetch_and_tell(&self) -> Result<Known, FetchError> {
        let known = self.fetch().await?;
        if self.fresh.known().is_none() {
            tracing::info!(
                provider = self.id(),
                issuer = self.settings.issuer,
                keys = known.keys.keys.len(),
                "the identity provider is ready"
            );
        }
        self.metrics.provider_refreshed(self.id(), Outcome::Ok);
        self.metrics.provider_ready(self.id(), Outcome::Ok);
        Ok(known)
    }

    async fn fetch(&self) -> Result<Known, FetchError> {
        let metadata = match &self.settings.endpoints {
            Some(endpoints) => self.metadata_by_hand(endpoints)?,
            None => self.discover().await?,
        };
        let document = self.registration.http.get(metadata.jwks_uri().url()).await?;
        let keys = keys::usable(&document)?;
        let mut metadata = metadata.set_jwks(keys_for_id_tokens(&document)?);
        if let Some(userinfo) = &self.settings.userinfo_endpoint {
            metadata = metadata.set_userinfo_endpoint(Some(UserInfoUrl::from_url(userinfo.clone())));
        }
        Ok(Known { metadata, keys })
    }

    async fn discover(&self) -> Result<Metadata, FetchError> {
        keys::discover(&self.registration.http, &self.settings.issuer, |metadata: &Metadata| metadata.issuer().as_str()).await
    }

    fn metadata_by_hand(&self, endpoints: &config::Endpoints) -> Result<Metadata, FetchError> {
        let issuer = IssuerUrl::new(self.settings.issuer.clone()).map_err(|_| FetchError::Url(self.settings.issuer.clone()))?;
        let algorithms = self.settings.algorithms.iter().copied().map(for_openidconnect).collect();
        let metadata = Metadata::new(
            issuer,
            openidconnect::AuthUrl::from_url(endpoints.authorization.clone()),
            JsonWebKeySetUrl::from_url(endpoints.jwks.clone()),
            vec![ResponseTypes::new(vec![CoreResponseType::Code])],
            vec![CoreSubjectIdentifierType::Public],
            algorithms,
            More::default(),
        );
        Ok(metadata.set_token_endpoint(Some(TokenUrl::from_url(endpoints.token.clone()))))
    }

    /// Basic unless the provider offers only the other way (RFC 6749, section 2.3.1).
    fn auth_type(&self, known: &Known) -> AuthType {
        let offered = known.metadata.token_endpoint_auth_methods_supported();
        let offers = |method: &CoreClientAuthMethod| offered.is_some_and(|methods| methods.contains(method));
        let only_post = offers(&CoreClientAuthMethod::ClientSecretPost) && !offers(&CoreClientAuthMethod::ClientSecretBasic);
        self.registration.auth_type(if only_post { AuthType::RequestBody } else { AuthType::BasicAuth })
    }
}

/// The same key set for the library that verifies id_tokens: its public keys, as far as they are of a kind that is known.
fn keys_for_id_tokens(document: &[u8]) -> Result<CoreJsonWebKeySet, FetchError> {
    let mut keys: Vec<CoreJsonWebKey> = keys::each_of_document(document)?;
    keys.retain(|key| *key.key_type() != CoreJsonWebKeyType::Symmetric);
    if keys.is_empty() { Err(FetchError::NoKey) } else { Ok(CoreJsonWebKeySet::new(keys)) }
}
