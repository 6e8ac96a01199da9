//! The access token of the provider's client or of a service account, which is kept until shortly before it ends.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use openidconnect::{
    AccessToken, HttpResponse,
    http::{Request, header::CONTENT_TYPE},
};
use url::{Url, form_urlencoded};

use super::{error::DirectoryError, google, service_account::ServiceAccountKey, throttle};
use crate::{
    clock::Clock,
    json::JsonObject,
    oidc::{
        http::{HttpClient, HttpClientError},
        token_response::{TokenResponseError, normalize},
    },
    secret::SecretCell,
};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// A token is not used in its last minute, in which it can end during a look-up.
const MARGIN: Duration = Duration::from_secs(60);

/// The lifetime of a token that states none.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);

pub(super) struct ApplicationToken {
    grant: TokenGrant,
    /// The client's secret, or the service account's key.
    secret: Arc<SecretCell>,
    http: HttpClient,
    clock: Arc<dyn Clock>,
    current: Mutex<Option<IssuedToken>>,
}

/// The request for a token.
pub(super) enum TokenGrant {
    Client { token_endpoint: Url, client_id: String, scope: String },
    ServiceAccount { subject: Option<String> },
}

#[derive(Clone)]
struct IssuedToken {
    token: AccessToken,
    ends: Instant,
}

impl ApplicationToken {
    pub fn new(grant: TokenGrant, secret: Arc<SecretCell>, http: HttpClient, clock: Arc<dyn Clock>) -> Self {
        Self { grant, secret, http, clock, current: Mutex::default() }
    }

    /// Returns the current token, or requests another one.
    pub async fn get(&self) -> Result<AccessToken, DirectoryError> {
        let now = self.clock.monotonic();
        let current = self.lock().clone().filter(|current| now < current.ends);
        if let Some(current) = current {
            return Ok(current.token);
        }
        let (endpoint, form) = self.token_request()?;
        let issued = self.request(&endpoint, &form, now).await?;
        *self.lock() = Some(issued.clone());
        Ok(issued.token)
    }

    /// Forgets a token that the API does not accept.
    pub fn discard(&self, token: &AccessToken) {
        let mut current = self.lock();
        if current.as_ref().is_some_and(|current| current.token.secret() == token.secret()) {
            *current = None;
        }
    }

    /// Returns the token endpoint and the form for it.
    fn token_request(&self) -> Result<(Url, String), DirectoryError> {
        let secret = self.secret.expose();
        match &self.grant {
            TokenGrant::ServiceAccount { subject } => {
                let key = ServiceAccountKey::parse(&secret)?;
                let assertion = key.sign_assertion(subject.as_deref(), google::SCOPE, self.clock.now());
                Ok((key.token_endpoint().clone(), form(&[("grant_type", JWT_BEARER), ("assertion", &assertion)])))
            }
            TokenGrant::Client { token_endpoint, client_id, scope } => {
                let client = [("client_id", client_id.as_str()), ("client_secret", &secret), ("scope", scope)];
                let fields: Vec<_> = [("grant_type", "client_credentials")].into_iter().chain(client).collect();
                Ok((token_endpoint.clone(), form(&fields)))
            }
        }
    }

    async fn request(&self, endpoint: &Url, form: &str, now: Instant) -> Result<IssuedToken, DirectoryError> {
        let request = Request::post(endpoint.as_str())
            .header("accept", "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.as_bytes().to_vec());
        let response = self.http.call(request.map_err(|error| HttpClientError::Client(error.to_string()))?).await?;
        if let Some(pause) = throttle::pause(&response, self.clock.now()) {
            return Err(DirectoryError::Throttled(pause));
        }
        read(&response, now)
    }

    fn lock(&self) -> MutexGuard<'_, Option<IssuedToken>> {
        self.current.lock().expect("no code that holds this lock panics")
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn read(response: &HttpResponse, now: Instant) -> Result<IssuedToken, DirectoryError> {
    // Reports refusals and answers without a token.
    normalize(response)?;
    let answer = JsonObject::parse(response.body()).map_err(|_| TokenResponseError::NoObject(response.status().as_u16()))?;
    let token = answer.text("access_token").filter(|token| !token.is_empty()).ok_or(TokenResponseError::NoAccessToken)?;
    let lifetime = lifetime(&answer).unwrap_or(DEFAULT_LIFETIME);
    Ok(IssuedToken { token: AccessToken::new(token), ends: now + lifetime.saturating_sub(MARGIN) })
}

/// Reads `expires_in`, which some servers send as text.
fn lifetime(answer: &JsonObject) -> Option<Duration> {
    let seconds = answer.number("expires_in").map(str::to_owned).or_else(|| answer.text("expires_in"))?;
    let seconds: f64 = seconds.trim().parse().ok()?;
    (0.0..=86_400.0).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}
