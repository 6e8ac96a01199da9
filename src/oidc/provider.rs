//! One identity provider of either protocol: the sign-in URL, the exchange of codes, and the end of the session there.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use openidconnect::{AccessToken, ClientId, EndSessionUrl, LogoutHint, LogoutRequest, PostLogoutRedirectUrl, RedirectUrl};
use url::Url;

use super::{
    AuthorizationRequest, ExchangeError, LoginFlow, LogoutToken, LogoutTokenError, VerifiedIdentity, claims,
    directory::{Directory, DirectoryResources},
    http::{HttpClient, HttpClientError},
    oauth2::OAuth2Provider,
    openid_connect::{OpenIdConnectProvider, ProviderNotReadyError},
    registration::Registration,
    settings::{ProtocolSettings, ProviderSettings, RpLogout},
};
use crate::{
    clock::Clock,
    jwt::JwtError,
    metrics::{Metrics, Outcome},
    principal::{IdentityClaims, ProfileClaims},
    secret::SecretCell,
    store,
    users::{LinkClaim, Logout},
};

pub struct Provider {
    registration: Arc<Registration>,
    pub(super) protocol: Protocol,
    directory: Option<Directory>,
}

pub(super) enum Protocol {
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
        let http = HttpClient::new(config.ca_file.as_deref(), config.proxy.as_ref())?;
        let redirect_uri = RedirectUrl::new(redirect_uri).map_err(|error| HttpClientError::Client(error.to_string()))?;
        let registration = Arc::new(Registration::new(config, redirect_uri, http, secret));
        let protocol = match registration.config.protocol.clone() {
            ProtocolSettings::OpenIdConnect(settings) => {
                Protocol::OpenIdConnect(Box::new(OpenIdConnectProvider::new(Arc::clone(&registration), settings, clock, metrics)))
            }
            ProtocolSettings::OAuth2(settings) => {
                // There is no metadata to fetch.
                metrics.provider_ready(registration.id(), Outcome::Ok);
                Protocol::OAuth2(Box::new(OAuth2Provider::new(Arc::clone(&registration), settings, clock)))
            }
        };
        Ok(Self { registration, protocol, directory: None })
    }

    /// Adds the directory that the settings name.
    #[must_use]
    pub fn with_directory(self, resources: DirectoryResources) -> Self {
        let settings = self.config().directory.clone();
        let new = |settings| Directory::new(self.config(), settings, self.registration.http.clone(), resources);
        Self { directory: settings.map(new), ..self }
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

    /// The claims in which the provider sends email address and user name.
    pub fn profile(&self) -> &ProfileClaims {
        &self.config().profile
    }

    pub fn is_openid_connect(&self) -> bool {
        matches!(self.protocol, Protocol::OpenIdConnect(_))
    }

    /// True if the provider may end sessions by requests without a signature.
    pub fn can_log_out_in_browser(&self) -> bool {
        matches!(&self.protocol, Protocol::OpenIdConnect(protocol) if protocol.settings.frontchannel_logout)
    }

    /// Refreshes the provider's metadata until the task is aborted. Returns at once if there is nothing to refresh.
    pub async fn keep_refreshing(self: Arc<Self>, interval: Duration) {
        match &self.protocol {
            Protocol::OpenIdConnect(protocol) => protocol.keep_refreshing(interval).await,
            Protocol::OAuth2(protocol) => protocol.keep_refreshing(interval).await,
        }
    }

    /// Waits until the first fetch has succeeded or failed. Readiness does not depend on the result.
    pub async fn wait_for_first_attempt(&self) {
        match &self.protocol {
            Protocol::OpenIdConnect(protocol) => protocol.wait_for_first_attempt().await,
            Protocol::OAuth2(_) => {}
        }
    }

    /// Requests the metadata if there is none yet, and waits for it for a limited time.
    pub async fn ensure_ready(&self) -> Result<(), ProviderNotReadyError> {
        match &self.protocol {
            Protocol::OpenIdConnect(protocol) => protocol.ensure_ready().await,
            Protocol::OAuth2(_) => Ok(()),
        }
    }

    /// True if the provider has answered within the last seconds, or answers now.
    pub async fn is_reachable(&self) -> bool {
        match &self.protocol {
            Protocol::OpenIdConnect(protocol) => protocol.is_reachable().await,
            Protocol::OAuth2(protocol) => protocol.is_reachable().await,
        }
    }

    /// The information that the provider receives at a sign-out.
    pub fn logout(&self) -> RpLogout {
        self.open_id_connect().map_or(RpLogout::Off, |protocol| protocol.settings.logout)
    }

    /// Returns the endpoint that ends the user's session at the provider (RP-Initiated Logout 1.0).
    pub fn end_session_endpoint(&self) -> Option<Url> {
        self.open_id_connect()?.end_session_endpoint()
    }

    fn open_id_connect(&self) -> Option<&OpenIdConnectProvider> {
        match &self.protocol {
            Protocol::OpenIdConnect(protocol) => Some(protocol),
            Protocol::OAuth2(_) => None,
        }
    }

    /// Returns the URL that ends the user's session at the provider. It contains the id_token only if `logout` does.
    pub fn end_session_url(&self, logout: &Logout, return_url: Url) -> Option<Url> {
        let protocol = self.open_id_connect()?;
        let mut request = LogoutRequest::from(EndSessionUrl::from_url(protocol.end_session_endpoint()?))
            .set_client_id(ClientId::new(self.config().client_id.clone()))
            .set_post_logout_redirect_uri(PostLogoutRedirectUrl::from_url(return_url));
        if let Some(hint) = &logout.hint {
            request = request.set_logout_hint(LogoutHint::new(hint.clone()));
        }
        let mut url = request.http_get_url();
        // Added by hand, since the library's type for it parses all claims of the token.
        if let Some(id_token) = &logout.id_token {
            url.query_pairs_mut().append_pair("id_token_hint", id_token);
        }
        set_parameters(&mut url, &protocol.settings.end_session_parameters);
        Some(url)
    }

    /// Verifies a logout token. An OAuth 2.0 provider has no keys, and sends none.
    pub async fn verify_logout_token(&self, token: &str, clock: &dyn Clock) -> Result<LogoutToken, LogoutTokenError> {
        match &self.protocol {
            Protocol::OpenIdConnect(protocol) => protocol.verify_logout_token(token, clock).await,
            Protocol::OAuth2(_) => Err(JwtError::NoMatchingKey.into()),
        }
    }

    /// Checks the `iss` of a callback (RFC 9207). It must be the provider's issuer, and may be absent unless the provider
    /// announces it. An OAuth 2.0 provider has no issuer; the path of its callback distinguishes it from other providers.
    pub fn accepts_issuer(&self, iss: Option<&str>) -> bool {
        match (&self.protocol, iss) {
            (Protocol::OpenIdConnect(protocol), Some(iss)) => iss == protocol.settings.issuer,
            (Protocol::OpenIdConnect(protocol), None) => !protocol.has_issuer_parameter(),
            (Protocol::OAuth2(_), _) => true,
        }
    }

    /// Returns the URL of the sign-in page, always with `state` and PKCE (S256).
    pub fn authorization_url(&self, request: &AuthorizationRequest) -> Result<Url, ProviderNotReadyError> {
        match &self.protocol {
            Protocol::OpenIdConnect(protocol) => protocol.authorization_url(request),
            Protocol::OAuth2(protocol) => Ok(protocol.authorization_url(request)),
        }
    }

    /// Redeems the code and returns the user's identity.
    pub async fn redeem(&self, code: &str, flow: &LoginFlow, clock: &dyn Clock) -> Result<VerifiedIdentity, ExchangeError> {
        let verified = match &self.protocol {
            Protocol::OpenIdConnect(protocol) => protocol.redeem(code, flow, clock).await,
            Protocol::OAuth2(protocol) => protocol.redeem(code, flow, clock).await,
        }?;
        let identity = self.complete(verified.identity, verified.access_token.as_ref()).await?;
        Ok(VerifiedIdentity { identity, access_token: None, ..verified })
    }

    /// Completes the claims that a token response led to: at a login and at a refresh, with either protocol. A source of claims
    /// that does not depend on the protocol belongs here.
    pub(super) async fn complete(
        &self,
        mut identity: IdentityClaims,
        access_token: Option<&AccessToken>,
    ) -> Result<IdentityClaims, ExchangeError> {
        let (size, limit) = (claims::size(&identity), self.config().max_claims);
        if size > limit {
            return Err(ExchangeError::TooLarge { size, limit });
        }
        if let Some(directory) = &self.directory {
            directory.add_claims(&mut identity, access_token).await?;
        }
        for unfit in identity.unfit_claims(self.profile()) {
            claims::log_ignored_claim(self.id(), unfit.source, &unfit.claim, unfit.found);
        }
        identity.user_claims = self.user_claims(&identity);
        Ok(identity)
    }

    /// Looks up the groups of an identity again, without a token of the user.
    pub async fn look_up_groups(&self, identity: &mut IdentityClaims) -> Result<(), store::Error> {
        match &self.directory {
            Some(directory) => directory.add_claims(identity, None).await,
            None => Ok(()),
        }
    }

    /// Returns the claims by which token issuers and the company's directory find the user. The first source with a single value
    /// counts.
    fn user_claims(&self, identity: &IdentityClaims) -> BTreeMap<String, String> {
        let mut found: BTreeMap<_, _> = self.link_claim(identity).into_iter().collect();
        for claim in &self.config().user_claims {
            match identity.sources().find_map(|source| claim.single_value(source)) {
                Some(value) => drop(found.insert(claim.to_string(), value.into_owned())),
                None => tracing::warn!(provider = self.id(), %claim, "login without the user claim of a token issuer"),
            }
        }
        found
    }

    /// Returns the claim by which the company's directory finds the user, except for the subject.
    fn link_claim(&self, identity: &IdentityClaims) -> Option<(String, String)> {
        let claim = self.config().link_claim.as_ref().filter(|claim| **claim != LinkClaim::Subject)?;
        let value = claim.value_in(identity, self.profile());
        if value.is_none() {
            tracing::warn!(provider = self.id(), claim = claim.key(), "login without the claim that links scim users");
        }
        Some((claim.key(), value?))
    }
}

/// Adds parameters to a URL. They replace those with the same name.
fn set_parameters(url: &mut Url, parameters: &[(String, String)]) {
    if parameters.is_empty() {
        return;
    }
    let is_replaced = |name: &str| parameters.iter().any(|(replacing, _)| replacing == name);
    let kept: Vec<_> = url.query_pairs().into_owned().filter(|(name, _)| !is_replaced(name)).collect();
    url.query_pairs_mut().clear().extend_pairs(kept).extend_pairs(parameters);
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::none(&[], "https://idp.example/end?client_id=a&x=%20")]
    #[case::added(&[("logout_uri", "https://llm.example/a?b=c&d")], "https://idp.example/end?client_id=a&x=+&logout_uri=https%3A%2F%2Fllm.example%2Fa%3Fb%3Dc%26d")]
    #[case::replaced(&[("client_id", "b")], "https://idp.example/end?x=+&client_id=b")]
    #[case::all(&[("x", "1"), ("client_id", "b")], "https://idp.example/end?x=1&client_id=b")]
    fn parameters_are_added_or_replaced(#[case] parameters: &[(&str, &str)], #[case] expected: &str) {
        let mut url = Url::parse("https://idp.example/end?client_id=a&x=%20").unwrap();
        let parameters: Vec<_> = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        set_parameters(&mut url, &parameters);
        assert_eq!(url.as_str(), expected);
    }
}
