//! The client registration at a provider, and the requests of the authorization code flow (RFC 6749).

use std::{fmt, sync::Arc};

use oauth2::{
    Client, StandardRevocableToken,
    basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType},
};
use openidconnect::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet, ErrorResponseType,
    ExtraTokenFields, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, StandardErrorResponse,
    StandardTokenResponse, TokenUrl,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::{
    AuthorizationRequest, ExchangeError, LoginFlow,
    http::HttpClient,
    settings::{AuthMethod, ProviderSettings},
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

/// The response of the token endpoint.
pub(super) type TokenResponse = StandardTokenResponse<IdTokenField, BasicTokenType>;

/// The field that OpenID Connect adds to the response.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct IdTokenField {
    id_token: Option<Value>,
}

type OAuthClient = Client<
    BasicErrorResponse,
    TokenResponse,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

impl ExtraTokenFields for IdTokenField {}

impl IdTokenField {
    pub fn id_token(&self) -> Option<&str> {
        self.id_token.as_ref()?.as_str()
    }
}

impl fmt::Debug for IdTokenField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdTokenField([redacted])")
    }
}

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
            .add_scopes(self.config.scopes.iter().cloned().map(Scope::new));
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
    ) -> Result<TokenResponse, ExchangeError> {
        let call = |request| self.http.call_for_tokens(request);
        self.client(endpoints)
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(flow.verifier.clone()))
            .request_async(&call)
            .await
            .map_err(|error| ExchangeError::Token(describe(error)))
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

/// Returns the endpoint's error code, without the description, which may name the user.
fn describe<E, C>(error: RequestTokenError<E, StandardErrorResponse<C>>) -> String
where
    E: std::error::Error,
    C: ErrorResponseType + AsRef<str> + fmt::Display,
{
    match error {
        RequestTokenError::ServerResponse(response) => describe_refusal(response.error().as_ref()),
        RequestTokenError::Request(error) => error.to_string(),
        RequestTokenError::Parse(error, body) => {
            error_in_success(&body).map_or_else(|| describe_parse_error(error.inner()).into(), |code| describe_refusal(&code))
        }
        RequestTokenError::Other(text) => text,
    }
}

/// Describes a parse error without the parser's own text, which may quote a value.
fn describe_parse_error(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Data => "its answer lacks a field or has it in the wrong form",
        _ => "its answer is not JSON",
    }
}

/// Returns the error code of a response with a success status, as GitHub sends it.
fn error_in_success(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct ErrorBody {
        error: String,
    }
    serde_json::from_slice(body).map(|ErrorBody { error }| error).ok()
}

fn describe_refusal(code: &str) -> String {
    const LONGEST: usize = 64;
    format!("it refused: {:?}", code.chars().take(LONGEST).collect::<String>())
}
