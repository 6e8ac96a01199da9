//! OpenID Connect: from an authorization code to verified claims.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use openidconnect::{
    AccessToken, AccessTokenHash, AuthorizationCode, ClaimsVerificationError, CsrfToken, ErrorResponseType, Nonce,
    OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, RequestTokenError, Scope, SignatureVerificationError,
    StandardErrorResponse, SubjectIdentifier, TokenResponse, UserInfoClaims, UserInfoError,
    core::{CoreAuthenticationFlow, CoreGenderClaim, CoreIdToken, CoreTokenResponse},
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    LEEWAY, NotReady, Started, Taken, access_token,
    claims::{NotATime, of_verified_token, text, time, without_token_claims},
    for_openidconnect,
    http::HttpClientError,
    openid_connect::{Known, OidcClient, OpenIdConnect},
};
use crate::{
    causes::causes,
    clock::Clock,
    config::RpLogout,
    principal::{Claims, IdentityClaims},
    session::Logout,
};

/// Who a provider says has signed in.
pub struct Verified {
    pub identity: IdentityClaims,
    pub sid: Option<String>,
    pub logout: Logout,
}

/// Why a code led to nobody, whatever the provider speaks. The texts are for the log and hold no token.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    #[error(transparent)]
    NotReady(#[from] NotReady),
    #[error("the token endpoint: {0}")]
    Token(String),
    #[error("the token endpoint sent no id_token; is the scope openid granted?")]
    NoIdToken,
    #[error("the id_token does not verify: {0}")]
    IdToken(String),
    #[error("the userinfo endpoint: {0}")]
    UserInfo(String),
    #[error("the userinfo endpoint: the field that subject_field names {0}")]
    Subject(&'static str),
    #[error("the claims are {size} bytes large, more than max_claims ({limit}) allows")]
    TooLarge { size: usize, limit: usize },
}

/// Every claim of a userinfo answer that has no field of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct OtherClaims(Claims);

impl openidconnect::AdditionalClaims for OtherClaims {}

impl OpenIdConnect {
    /// Where the browser is sent to sign in: always with PKCE (S256), `state` and `nonce`.
    pub(super) fn authorization_url(&self, started: &Started) -> Result<Url, NotReady> {
        let known = self.known()?;
        let client = self.client(&known);
        let verifier = PkceCodeVerifier::new(started.verifier.clone());
        let (state, nonce) = (CsrfToken::new(started.state.clone()), Nonce::new(started.nonce.clone()));
        let mut request = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, || state, || nonce)
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        for scope in self.registration.config.scopes.iter().filter(|scope| *scope != "openid") {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        for (name, value) in &self.registration.config.authorization_params {
            request = request.add_extra_param(name.clone(), value.clone());
        }
        Ok(request.url().0)
    }

    /// Redeems the code and verifies what comes back.
    pub(super) async fn redeem(&self, code: &str, taken: &Taken, clock: &dyn Clock) -> Result<Verified, ExchangeError> {
        let known = self.known()?;
        let tokens = self.exchange(&self.client(&known), code, taken).await?;
        let id_token = tokens.id_token().ok_or(ExchangeError::NoIdToken)?;
        // Keys may have been rotated since they were fetched; once is enough to find out.
        let (known, claims) = match self.verify_id_token(&known, id_token, &tokens, &taken.nonce, clock) {
            Err(IdTokenError::UnknownKey(text)) => {
                let known = self.newer_than(&known).await.ok_or(ExchangeError::IdToken(text))?;
                let claims = self.verify_id_token(&known, id_token, &tokens, &taken.nonce, clock)?;
                (known, claims)
            }
            outcome => (known, outcome?),
        };
        let subject = text(&claims, "sub").ok_or_else(|| ExchangeError::IdToken("sub is missing".into()))?;
        let access_token = self.access_token_claims(&known, tokens.access_token(), &subject, clock).await;
        let userinfo = self.userinfo_claims(&known, tokens.access_token(), &subject).await?;
        Ok(self.verified(id_token, &subject, claims, access_token, userinfo))
    }

    async fn exchange(&self, client: &OidcClient, code: &str, taken: &Taken) -> Result<CoreTokenResponse, ExchangeError> {
        let call = |request| self.registration.http.call_for_tokens(request);
        client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|error| ExchangeError::Token(error.to_string()))?
            .set_pkce_verifier(PkceCodeVerifier::new(taken.verifier.clone()))
            .request_async(&call)
            .await
            .map_err(|error| ExchangeError::Token(describe(error)))
    }

    fn verify_id_token(
        &self,
        known: &Known,
        id_token: &CoreIdToken,
        tokens: &CoreTokenResponse,
        nonce: &str,
        clock: &dyn Clock,
    ) -> Result<Claims, IdTokenError> {
        let client = self.client(known);
        let now = now(clock);
        let leeway = chrono::TimeDelta::from_std(LEEWAY).unwrap_or_default();
        let verifier = client
            .id_token_verifier()
            .set_allowed_algs(self.settings.algorithms.iter().copied().map(for_openidconnect))
            // The library knows no leeway: what expires is compared with a clock that is as much behind.
            .set_time_fn(move || now - leeway);
        let claims = id_token.claims(&verifier, &Nonce::new(nonce.to_owned()))?;
        if let Some(hash) = claims.access_token_hash() {
            let (algorithm, key) = (id_token.signing_alg().map_err(IdTokenError::from)?, id_token.signing_key(&verifier)?);
            let actual = AccessTokenHash::from_token(tokens.access_token(), algorithm, key)
                .map_err(|error| IdTokenError::Other(error.to_string()))?;
            if actual != *hash {
                return Err(IdTokenError::Other("at_hash is not that of the access token".into()));
            }
        }
        let all = of_verified_token(&id_token.to_string()).ok_or_else(|| IdTokenError::Other("it can't be read".into()))?;
        check_unverified_by_library(&all, &self.registration.config.client_id, now.timestamp())?;
        Ok(all)
    }

    /// Absent when the token is opaque, or does not verify: nothing stands in for its claims.
    async fn access_token_claims(
        &self,
        known: &Arc<Known>,
        token: &AccessToken,
        subject: &str,
        clock: &dyn Clock,
    ) -> Option<Claims> {
        let algorithms = self.algorithms();
        let verify = |known: &Known| {
            access_token::verify(token.secret(), &self.access_token_expectations(known, &algorithms), clock.now())
        };
        let verified = match verify(known) {
            // It may be signed with another key than the id_token, and that one be the new one.
            Err(access_token::Unusable::NoMatchingKey) => match self.newer_than(known).await {
                Some(known) => verify(&known),
                None => Err(access_token::Unusable::NoMatchingKey),
            },
            verified => verified,
        };
        let reason = match verified {
            Ok(claims) if text(&claims, "sub").is_none_or(|sub| sub == subject) => return Some(claims),
            Ok(_) => "it is of another subject than the id_token".to_owned(),
            Err(access_token::Unusable::Opaque) => return None,
            Err(reason) => reason.to_string(),
        };
        tracing::info!(provider = self.id(), reason, "the access token's claims are left out");
        None
    }

    async fn userinfo_claims(&self, known: &Known, token: &AccessToken, subject: &str) -> Result<Option<Claims>, ExchangeError> {
        if !self.has_userinfo(known) {
            return Ok(None);
        }
        let failed = |cause: String| ExchangeError::UserInfo(cause);
        // The library would panic over bytes that no header can carry.
        check_bearer(token)?;
        let call = |request| self.registration.http.call(request);
        let client = self.client(known);
        let answer: UserInfoClaims<OtherClaims, CoreGenderClaim> = client
            .user_info(token.clone(), Some(SubjectIdentifier::new(subject.to_owned())))
            .map_err(|error| failed(error.to_string()))?
            .request_async(&call)
            .await
            .map_err(|error| failed(describe_userinfo(error)))?;
        match serde_json::to_value(&answer) {
            Ok(serde_json::Value::Object(claims)) => Ok(Some(claims)),
            _ => Err(failed("its answer is not an object".into())),
        }
    }

    fn verified(
        &self,
        id_token: &CoreIdToken,
        subject: &str,
        claims: Claims,
        access_token: Option<Claims>,
        userinfo: Option<Claims>,
    ) -> Verified {
        let sid = text(&claims, "sid");
        let logout = match self.settings.logout {
            RpLogout::Off => Logout::default(),
            // Entra ID wants its login_hint claim back; others take their session or the subject.
            RpLogout::Hint => {
                let hint = text(&claims, "login_hint").or_else(|| sid.clone()).unwrap_or_else(|| subject.to_owned());
                Logout { hint: Some(hint), id_token: None }
            }
            RpLogout::IdTokenHint => Logout { hint: None, id_token: Some(id_token.to_string()) },
        };
        let identity = IdentityClaims {
            provider: self.id().to_owned(),
            issuer: self.settings.issuer.clone(),
            subject: subject.to_owned(),
            id_token: without_token_claims(claims),
            access_token: access_token.map(without_token_claims),
            userinfo: userinfo.map(without_token_claims),
        };
        Verified { identity, sid, logout }
    }
}

/// Why an id_token was refused: apart from an unknown key, nothing can be done about it.
enum IdTokenError {
    UnknownKey(String),
    Other(String),
}

impl From<ClaimsVerificationError> for IdTokenError {
    fn from(error: ClaimsVerificationError) -> Self {
        match error {
            ClaimsVerificationError::SignatureVerification(error) => error.into(),
            // The library's own words name a time that is ours less the leeway.
            ClaimsVerificationError::Expired(_) => Self::Other("it has expired".into()),
            error => Self::Other(error.to_string()),
        }
    }
}

impl From<SignatureVerificationError> for IdTokenError {
    fn from(error: SignatureVerificationError) -> Self {
        let text = error.to_string();
        // A rotated key under the old id, or one without an id, shows itself as a wrong signature.
        match error {
            SignatureVerificationError::NoMatchingKey | SignatureVerificationError::CryptoError(_) => Self::UnknownKey(text),
            _ => Self::Other(text),
        }
    }
}

impl From<NotATime> for IdTokenError {
    fn from(error: NotATime) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<IdTokenError> for ExchangeError {
    fn from(error: IdTokenError) -> Self {
        match error {
            IdTokenError::UnknownKey(text) | IdTokenError::Other(text) => Self::IdToken(text),
        }
    }
}

/// OpenID Connect Core, section 3.1.3.7: `azp` and `iat`, and `nbf` of RFC 7519, which the library leaves alone.
fn check_unverified_by_library(claims: &Claims, client_id: &str, now: i64) -> Result<(), IdTokenError> {
    let other = |text: &str| Err(IdTokenError::Other(text.to_owned()));
    if text(claims, "azp").is_some_and(|azp| azp != client_id) {
        return other("azp names another client");
    }
    let future = now as f64 + LEEWAY.as_secs_f64();
    if time(claims, "iat")?.is_some_and(|issued| issued > future) {
        return other("iat lies in the future");
    }
    if time(claims, "nbf")?.is_some_and(|from| from > future) { other("it is not valid yet") } else { Ok(()) }
}

fn now(clock: &dyn Clock) -> DateTime<Utc> {
    DateTime::from_timestamp(clock.now().as_second(), 0).unwrap_or_default()
}

pub(super) fn check_bearer(token: &AccessToken) -> Result<(), ExchangeError> {
    if token.secret().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(ExchangeError::UserInfo("the access token has bytes that no header can carry".into()))
}

/// What the endpoint said: its error code alone, since a description may name the person.
pub(super) fn describe<E, C>(error: RequestTokenError<E, StandardErrorResponse<C>>) -> String
where
    E: std::error::Error,
    C: ErrorResponseType + AsRef<str> + std::fmt::Display,
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

/// The same of userinfo. The subjects are left out: some providers have addresses there.
fn describe_userinfo(error: UserInfoError<HttpClientError>) -> String {
    match error {
        UserInfoError::ClaimsVerification(ClaimsVerificationError::InvalidSubject(_)) => {
            "its answer is of another subject than the id_token".into()
        }
        UserInfoError::ClaimsVerification(error) => format!("its answer does not verify: {}", causes(&error)),
        UserInfoError::Parse(error) => unreadable(error.inner()).into(),
        UserInfoError::Request(error) => error.to_string(),
        UserInfoError::Response(status, ..) if status.as_u16() != 200 => format!("it answered with status {}", status.as_u16()),
        error => error.to_string(),
    }
}

/// The parser's own words may quote a value, and it knows no place inside a token.
fn unreadable(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Data => "its answer, or a token in it, lacks something or has it in the wrong form",
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
