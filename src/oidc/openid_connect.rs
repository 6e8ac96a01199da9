//! A provider that speaks OpenID Connect: its endpoints and keys, fetched in the background and kept fresh.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use openidconnect::{
    AdditionalProviderMetadata, AuthType, ClientId, EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl, JsonWebKeySetUrl,
    ProviderMetadata, ResponseTypes, TokenUrl, UserInfoUrl,
    core::{
        CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
        CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType,
        CoreSubjectIdentifierType,
    },
};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use url::Url;

use super::{access_token, for_jsonwebtoken, for_openidconnect, http::HttpClientError, provider::Registration};
use crate::{
    clock::Clock,
    config::{self, RpLogout},
    metrics::{Metrics, Outcome},
};

const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// An unknown key id, or a sign-in while nothing is known, leads to a fetch at most this often, whoever
/// sends such tokens and requests.
const REFRESH_ON_DEMAND: Duration = Duration::from_secs(10);

/// How long a login waits for such a fetch.
const DEMAND_WAIT: Duration = Duration::from_secs(5);

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
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    known: watch::Sender<Option<Arc<Known>>>,
    wanted: Notify,
    demand: Mutex<Demand>,
    /// Fetches that have ended, whichever way.
    attempts: watch::Sender<u64>,
}

#[derive(Default)]
struct Demand {
    /// When a login last had a fetch made.
    last: Option<Instant>,
    /// A fetch is under way or has been asked for.
    fetching: bool,
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

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Http(#[from] HttpClientError),
    #[error("{document} can't be read: {cause}")]
    Malformed { document: &'static str, cause: String },
    #[error("the discovery document is of issuer {found}, not of {expected}: issuers must be the same letter by letter")]
    OtherIssuer { found: String, expected: String },
    #[error("{0} is not a URL that can be used")]
    Url(String),
}

impl OpenIdConnect {
    pub(super) fn new(
        registration: Arc<Registration>,
        settings: config::OpenIdConnect,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        metrics.provider_ready(registration.id(), Outcome::Error);
        let (known, attempts) = (watch::Sender::new(None), watch::Sender::new(0));
        let (wanted, demand) = (Notify::new(), Mutex::default());
        Self { registration, settings, clock, metrics, known, wanted, demand, attempts }
    }

    pub(super) fn id(&self) -> &str {
        self.registration.id()
    }

    /// Fetches endpoints and keys now, each hour, and when a login finds a key that is not known, or nothing.
    /// What was fetched stays in use while a later fetch fails.
    pub(super) async fn keep_fresh(&self, every: Duration) {
        let mut retry = FIRST_RETRY;
        loop {
            self.demand().fetching = true;
            let fetched = self.fetch().await;
            let wait = match fetched {
                Ok(known) => {
                    self.learn(known);
                    retry = FIRST_RETRY;
                    every
                }
                Err(error) => {
                    self.metrics.provider_refreshed(self.id(), Outcome::Error);
                    tracing::warn!(provider = self.id(), %error, retry_in = ?retry, "the identity provider's metadata can't be fetched");
                    let wait = retry;
                    retry = (retry * 2).min(LAST_RETRY);
                    wait
                }
            };
            self.demand().fetching = false;
            self.attempts.send_modify(|ended| *ended += 1);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.wanted.notified() => {}
            }
        }
    }

    /// Waits until the first fetch has ended, whichever way: a pod is then as ready as it can be.
    pub(super) async fn attempted(&self) {
        // The sender lives as long as this provider.
        let _ = self.attempts.subscribe().wait_for(|ended| *ended > 0).await;
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

    /// Whether people can be sent there. Where nothing is known yet, that is asked for now and waited for a
    /// while: the next attempt of the back-off may be a minute away.
    pub(super) async fn reached(&self) -> Result<(), NotReady> {
        let asked = async {
            let mut attempts = self.attempts.subscribe();
            // The attempt that is under way may have begun before the provider came back: then one more.
            while self.known().is_err() && self.ask_for_fetch() {
                let _ = attempts.changed().await;
            }
        };
        let _ = tokio::time::timeout(DEMAND_WAIT, asked).await;
        self.known().map(drop)
    }

    pub(super) fn known(&self) -> Result<Arc<Known>, NotReady> {
        self.known.borrow().clone().ok_or(NotReady)
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
    /// However many logins ask at once, they share it; and it begins only so often.
    pub(super) async fn newer_than(&self, used: &Arc<Known>) -> Option<Arc<Known>> {
        let newer = || self.known().ok().filter(|known| !Arc::ptr_eq(known, used));
        let mut attempts = self.attempts.subscribe();
        if newer().is_none() && self.ask_for_fetch() {
            // Late or failed, the answer is the same: there are no newer keys.
            let _ = tokio::time::timeout(DEMAND_WAIT, attempts.changed()).await;
        }
        newer()
    }

    /// Tells whether a fetch is under way or has just been asked for. The first fetch and the hourly ones
    /// don't count for how often: keys may well be rotated a moment after them.
    fn ask_for_fetch(&self) -> bool {
        let now = self.clock.monotonic();
        let mut demand = self.demand();
        let lately = demand.last.is_some_and(|last| now.duration_since(last) < REFRESH_ON_DEMAND);
        if !demand.fetching && !lately {
            *demand = Demand { last: Some(now), fetching: true };
            self.wanted.notify_one();
        }
        demand.fetching
    }

    fn learn(&self, known: Known) {
        if self.known.borrow().is_none() {
            tracing::info!(
                provider = self.id(),
                issuer = self.settings.issuer,
                keys = known.keys.keys.len(),
                "the identity provider is ready"
            );
        }
        self.metrics.provider_refreshed(self.id(), Outcome::Ok);
        self.metrics.provider_ready(self.id(), Outcome::Ok);
        self.known.send_replace(Some(Arc::new(known)));
    }

    async fn fetch(&self) -> Result<Known, FetchError> {
        let metadata = match &self.settings.endpoints {
            Some(endpoints) => self.metadata_by_hand(endpoints)?,
            None => self.discover().await?,
        };
        let keys = self.registration.http.get(metadata.jwks_uri().url()).await?;
        let (for_id_tokens, keys) = parse_keys(&keys)?;
        let mut metadata = metadata.set_jwks(for_id_tokens);
        if let Some(userinfo) = &self.settings.userinfo_endpoint {
            metadata = metadata.set_userinfo_endpoint(Some(UserInfoUrl::from_url(userinfo.clone())));
        }
        Ok(Known { metadata, keys })
    }

    /// OpenID Connect Discovery 1.0, section 4.
    async fn discover(&self) -> Result<Metadata, FetchError> {
        let issuer = self.settings.issuer.trim_end_matches('/');
        let address = format!("{issuer}/.well-known/openid-configuration");
        let url = Url::parse(&address).map_err(|_| FetchError::Url(address))?;
        let document = self.registration.http.get(&url).await?;
        let metadata: Metadata = serde_json::from_slice(&document)
            .map_err(|error| FetchError::Malformed { document: "the discovery document", cause: error.to_string() })?;
        if metadata.issuer().as_str() != self.settings.issuer {
            return Err(FetchError::OtherIssuer { found: metadata.issuer().to_string(), expected: self.settings.issuer.clone() });
        }
        Ok(metadata)
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

    fn demand(&self) -> std::sync::MutexGuard<'_, Demand> {
        self.demand.lock().expect("no code that holds this lock panics")
    }
}

/// Reads a key set for both libraries. A key of a kind that one does not know is skipped, as RFC 7517 asks.
fn parse_keys(document: &[u8]) -> Result<(CoreJsonWebKeySet, jsonwebtoken::jwk::JwkSet), FetchError> {
    #[derive(Deserialize)]
    struct Document {
        keys: Vec<serde_json::Value>,
    }
    let malformed = |cause: String| FetchError::Malformed { document: "the key set", cause };
    let document: Document = serde_json::from_slice(document).map_err(|error| malformed(error.to_string()))?;
    let read = |key: &serde_json::Value| serde_json::from_value::<CoreJsonWebKey>(key.clone()).ok();
    let for_id_tokens: Vec<_> = document.keys.iter().filter_map(read).collect();
    let keys: Vec<_> = document.keys.iter().filter_map(|key| serde_json::from_value(key.clone()).ok()).collect();
    if for_id_tokens.is_empty() {
        return Err(malformed("it holds no key that can be used".into()));
    }
    Ok((CoreJsonWebKeySet::new(for_id_tokens), jsonwebtoken::jwk::JwkSet { keys }))
}
