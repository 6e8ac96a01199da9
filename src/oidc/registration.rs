//! The client registration at a provider, and the requests of the authorization code flow (RFC 6749).

use std::sync::Arc;

use oauth2::{
    Client, StandardRevocableToken,
    basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse},
};
use openidconnect::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope, TokenUrl,
};
use url::Url;

use super::{
    AuthorizationRequest, LoginFlow,
    http::HttpClient,
    settings::{AuthMethod, ProviderSettings},
    token_response::{self, StandardTokens, TokenResponseError, Tokens},
};
use crate::secret::SecretCell;

pub(super) struct Registration {
    pub config: ProviderSettings,
    pub http: HttpClient,
    redirect_uri: RedirectUrl,
    secret: Option<Arc<SecretCell>>,
}

/// The provider's endpoints for the flow, and the client authentication at the token endpoint.
pub(super) struct FlowEndpoints<'a> {
    pub authorization: &'a Url,
    pub token: &'a Url,
    pub auth_type: AuthType,
}

type OAuthClient = Client<
    BasicErrorResponse,
    StandardTokens,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

impl Registration {
    pub fn new(config: ProviderSettings, redirect_uri: RedirectUrl, http: HttpClient, secret: Option<Arc<SecretCell>>) -> Self {
        Self { config, redirect_uri, http, secret }
    }

    pub fn id(&self) -> &str {
        &self.config.id
    }

    /// Returns the client authentication at the token endpoint. `auto` applies if none is configured.
    pub fn auth_type(&self, auto: AuthType) -> AuthType {
        match (self.config.token_endpoint_auth_method, &self.secret) {
            (AuthMethod::ClientSecretBasic, _) => AuthType::BasicAuth,
            (AuthMethod::Auto, Some(_)) => auto,
            (AuthMethod::Auto, None) | (AuthMethod::ClientSecretPost | AuthMethod::None, _) => AuthType::RequestBody,
        }
    }

    /// Returns the URL of the sign-in page, with `state`, PKCE (S256) and the configured scopes.
    pub fn authorization_url(
        &self,
        endpoints: FlowEndpoints<'_>,
        request: &AuthorizationRequest,
        extra: &[(&str, String)],
    ) -> Url {
        let client = self.client(endpoints);
        let verifier = PkceCodeVerifier::new(request.verifier.clone());
        let state = CsrfToken::new(request.state.clone());
        let mut builder = client
            .authorize_url(|| state)
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .add_scopes(self.config.requested_scopes().into_iter().map(Scope::new));
        for (name, value) in extra {
            builder = builder.add_extra_param(*name, value);
        }
        let is_own = |name: &str| extra.iter().any(|(own, _)| *own == name);
        for (name, value) in self.config.authorization_params.iter().filter(|(name, _)| !is_own(name)) {
            builder = builder.add_extra_param(name, value);
        }
        builder.url().0
    }

    /// Redeems the code at the token endpoint.
    pub async fn exchange(
        &self,
        endpoints: FlowEndpoints<'_>,
        code: &str,
        flow: &LoginFlow,
    ) -> Result<Tokens, TokenResponseError> {
        let call = |request| self.call_token_endpoint(request);
        let response = self
            .client(endpoints)
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(flow.verifier.clone()))
            .request_async(&call)
            .await;
        read_tokens(response)
    }

    /// Redeems a refresh token. An answer that was lost is requested once more: the provider may have rotated the token, and some
    /// providers accept the old one for a moment.
    pub async fn refresh<'a>(
        &self,
        endpoints: impl Fn() -> FlowEndpoints<'a>,
        token: &str,
    ) -> Result<Tokens, TokenResponseError> {
        match self.try_refresh(endpoints(), token).await {
            Err(TokenResponseError::Http(lost)) if lost.is_unanswered() => self.try_refresh(endpoints(), token).await,
            answered => answered,
        }
    }

    async fn try_refresh(&self, endpoints: FlowEndpoints<'_>, token: &str) -> Result<Tokens, TokenResponseError> {
        let call = |request| self.call_token_endpoint(request);
        let token = RefreshToken::new(token.to_owned());
        let response = self.client(endpoints).exchange_refresh_token(&token).request_async(&call).await;
        read_tokens(response)
    }

    async fn call_token_endpoint(&self, request: HttpRequest) -> Result<HttpResponse, TokenResponseError> {
        token_response::normalize(&self.http.call(request).await?)
    }

    /// Returns a client with the current secret.
    fn client(&self, endpoints: FlowEndpoints<'_>) -> OAuthClient {
        let client = Client::new(ClientId::new(self.config.client_id.clone()))
            .set_auth_uri(AuthUrl::from_url(endpoints.authorization.clone()))
            .set_token_uri(TokenUrl::from_url(endpoints.token.clone()))
            .set_redirect_uri(self.redirect_uri.clone())
            .set_auth_type(endpoints.auth_type);
        match &self.secret {
            Some(secret) => client.set_client_secret(ClientSecret::new(secret.expose())),
            None => client,
        }
    }
}

type TokenResult = Result<StandardTokens, RequestTokenError<TokenResponseError, BasicErrorResponse>>;

fn read_tokens(response: TokenResult) -> Result<Tokens, TokenResponseError> {
    response.map(Tokens::from).map_err(|error| match error {
        RequestTokenError::Request(error) => error,
        other => TokenResponseError::Request(other.to_string()),
    })
}
