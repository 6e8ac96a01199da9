//! Our registration at a provider: who we are there, and the requests of the authorization code flow (RFC 6749).

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

/// The provider's endpoints for the flow, and how the secret is sent to the second.
pub(super) struct FlowEndpoints<'a> {
    pub authorization: &'a Url,
    pub token: &'a Url,
    pub auth_type: AuthType,
}

/// The token endpoint's answer.
pub(super) type Tokens = StandardTokenResponse<IdTokenField, BasicTokenType>;

/// The field that OpenID Connect adds to the answer.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct IdTokenField {
    id_token: Option<Value>,
}

type OAuthClient = Client<
    BasicErrorResponse,
    Tokens,
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

    /// How the secret is sent; `auto` is the method when nothing else is configured.
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
        started: &AuthorizationRequest,
        further: &[(&str, &str)],
    ) -> Url {
        let client = self.client(endpoints);
        let verifier = PkceCodeVerifier::new(started.verifier.clone());
        let state = CsrfToken::new(started.state.clone());
        let mut request = client
            .authorize_url(|| state)
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .add_scopes(self.config.scopes.iter().cloned().map(Scope::new));
        for (name, value) in further {
            request = request.add_extra_param(*name, *value);
        }
        for (name, value) in &self.config.authorization_params {
            request = request.add_extra_param(name, value);
        }
        request.url().0
    }

    /// Redeems the code at the token endpoint.
    pub async fn exchange(&self, endpoints: FlowEndpoints<'_>, code: &str, taken: &LoginFlow) -> Result<Tokens, ExchangeError> {
        let call = |request| self.http.call_for_tokens(request);
        self.client(endpoints)
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(taken.verifier.clone()))
            .request_async(&call)
            .await
            .map_err(|error| ExchangeError::Token(describe(error)))
    }

    /// A client with the current secret.
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

/// The endpoint's error code, without the description, which may name the user.
fn describe<E, C>(error: RequestTokenError<E, StandardErrorResponse<C>>) -> String
where
    E: std::error::Error,
    C: ErrorResponseType + AsRef<str> + fmt::Display,
{
    match error {
        RequestTokenError::ServerResponse(response) => refused(response.error().as_ref()),
        RequestTokenError::Request(error) => error.to_string(),
        RequestTokenError::Parse(error, answer) => {
            refusal_in_success(&answer).map_or_else(|| unreadable(error.inner()).into(), |code| refused(&code))
        }
        RequestTokenError::Other(text) => text,
    }
}

/// The parser's own words may quote a value.
fn unreadable(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Data => "its answer lacks a field or has it in the wrong form",
        _ => "its answer is not JSON",
    }
}

/// GitHub refuses with the status of a success.
fn refusal_in_success(answer: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    serde_json::from_slice(answer).map(|Refusal { error }| error).ok()
}

fn refused(code: &str) -> String {
    const LONGEST: usize = 64;
    format!("it refused: {:?}", code.chars().take(LONGEST).collect::<String>())
}
