//! Exchanges an authorization code for verified claims (OpenID Connect).

use std::sync::Arc;

use jiff::Timestamp;
use openidconnect::AccessToken;
use url::Url;

use super::{
    AuthorizationRequest, LoginFlow, ProviderNotReadyError, access_token,
    authentication::{AuthTimeError, authentication_time},
    claims::{log_unfit_token_claims, text, without_token_claims},
    id_token::{self, IdToken, IdTokenError},
    openid_connect::{Metadata, OpenIdConnectProvider},
    settings::{RpLogout, UserInfoPolicy},
    token_response::{TokenResponseError, Tokens},
    userinfo::{self, UserInfoError},
};
use crate::{
    clock::Clock,
    jwt::JwtError,
    principal::{Claims, IdentityClaims, Source},
    users::Logout,
};

/// An identity after verification of the provider's tokens.
pub struct VerifiedIdentity {
    pub identity: IdentityClaims,
    pub sid: Option<String>,
    pub logout: Logout,
    /// The time at which the provider authenticated the user; `None` if it does not state one.
    pub authenticated_at: Option<Timestamp>,
}

/// The reason why a code could not be exchanged for an identity. The texts are for the log and contain no token.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    #[error(transparent)]
    NotReady(#[from] ProviderNotReadyError),
    #[error("the token endpoint: {0}")]
    Token(#[from] TokenResponseError),
    #[error("the token endpoint sent no id_token; is the scope openid granted?")]
    NoIdToken,
    #[error("the id_token does not verify: {0}")]
    IdToken(#[from] IdTokenError),
    #[error("the user did not authenticate recently: {0}")]
    Authentication(#[from] AuthTimeError),
    #[error("the userinfo endpoint: {0}")]
    UserInfo(#[from] UserInfoError),
    #[error("the userinfo endpoint: the field that subject_field names {0}")]
    Subject(String),
    #[error("the claims are {size} bytes large, more than max_claims ({limit}) allows")]
    TooLarge { size: usize, limit: usize },
}

impl ExchangeError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotReady(_) => "provider_not_ready",
            Self::Token(error) => error.reason(),
            Self::NoIdToken => "id_token_missing",
            Self::IdToken(error) => error.reason(),
            Self::Authentication(error) => error.reason(),
            Self::UserInfo(error) => error.reason(),
            Self::Subject(_) => "subject_field_invalid",
            Self::TooLarge { .. } => "claims_too_large",
        }
    }
}

impl OpenIdConnectProvider {
    /// Returns the URL of the sign-in page, always with PKCE (S256), `state` and `nonce`.
    pub(super) fn authorization_url(&self, request: &AuthorizationRequest) -> Result<Url, ProviderNotReadyError> {
        let metadata = self.metadata()?;
        let mut extra = request.authentication.parameters(&self.registration.config.authorization_params);
        extra.push(("nonce", request.nonce.clone()));
        Ok(self.registration.authorization_url(self.endpoints(&metadata), request, &extra))
    }

    /// Redeems the code and verifies the tokens.
    pub(super) async fn redeem(
        &self,
        code: &str,
        flow: &LoginFlow,
        clock: &dyn Clock,
    ) -> Result<VerifiedIdentity, ExchangeError> {
        let metadata = self.metadata()?;
        let tokens = self.registration.exchange(self.endpoints(&metadata), code, flow).await?;
        let id_token = tokens.id_token.as_deref().ok_or(ExchangeError::NoIdToken)?;
        let verify = |metadata: &Metadata| {
            let access_token = tokens.access_token.as_ref().map_or("", |token| token.secret());
            id_token::verify(id_token, &self.token_expectation(metadata), &flow.nonce, access_token, clock.now())
        };
        // The keys may have been rotated since the last fetch, so they are fetched once more.
        let (metadata, verified) = match verify(&metadata) {
            Err(IdTokenError::Jwt(error)) if error.suggests_newer_keys() => {
                let newer = self.fetch_newer_than(&metadata).await.ok_or(IdTokenError::Jwt(error))?;
                let verified = verify(&newer)?;
                (newer, verified)
            }
            verified => (metadata, verified?),
        };
        let authenticated_at = self.authenticated_at(&verified, flow, clock.now())?;
        let access_token = match &tokens.access_token {
            Some(token) => self.access_token_claims(&metadata, token, &verified.subject, clock).await,
            None => None,
        };
        let userinfo = self.userinfo_claims(&metadata, &tokens, &verified.subject, clock).await?;
        Ok(VerifiedIdentity { authenticated_at, ..self.build_identity(id_token, verified, access_token, userinfo) })
    }

    /// Returns the time of the user's authentication, which is as recent as the login requires.
    fn authenticated_at(&self, id_token: &IdToken, flow: &LoginFlow, now: Timestamp) -> Result<Option<Timestamp>, AuthTimeError> {
        match authentication_time(&id_token.claims, flow.max_age, now)? {
            // The provider was told not to ask the user.
            None if flow.is_silent => Ok(None),
            None if self.registration.config.trust_login_time => Ok(Some(now)),
            None if flow.max_age.is_some() => Err(AuthTimeError::Claim(JwtError::Missing("auth_time"))),
            stated => Ok(stated),
        }
    }

    /// Returns `None` if the token is opaque or does not verify. Its claims are then left out.
    async fn access_token_claims(
        &self,
        metadata: &Arc<Metadata>,
        token: &AccessToken,
        subject: &str,
        clock: &dyn Clock,
    ) -> Option<Claims> {
        let verify =
            |metadata: &Metadata| access_token::verify(token.secret(), &self.token_expectation(metadata), subject, clock.now());
        let verified = match verify(metadata) {
            // The token may be signed with a newer key than the id_token. A wrong signature leads to no fetch: some providers
            // sign access tokens such that only another resource can verify them, and each login would cost a fetch.
            Err(access_token::AccessTokenError::Jwt(error @ JwtError::NoMatchingKey)) => {
                match self.fetch_newer_than(metadata).await {
                    Some(newer) => verify(&newer),
                    None => Err(error.into()),
                }
            }
            verified => verified,
        };
        match verified {
            Ok(claims) => Some(claims),
            // Most access tokens are opaque.
            Err(access_token::AccessTokenError::Jwt(JwtError::Malformed)) => None,
            Err(unusable) => {
                tracing::info!(provider = self.id(), reason = unusable.reason(), error = %unusable, "access token claims ignored");
                None
            }
        }
    }

    async fn userinfo_claims(
        &self,
        metadata: &Metadata,
        tokens: &Tokens,
        subject: &str,
        clock: &dyn Clock,
    ) -> Result<Option<Claims>, ExchangeError> {
        let policy = self.settings.userinfo;
        let endpoint = match (policy, metadata.userinfo_endpoint()) {
            (UserInfoPolicy::Off, _) | (UserInfoPolicy::Optional, None) => return Ok(None),
            (UserInfoPolicy::Required, None) => return Err(UserInfoError::NoEndpoint.into()),
            (UserInfoPolicy::Required | UserInfoPolicy::Optional, Some(endpoint)) => endpoint,
        };
        let token = tokens.access_token.as_ref().ok_or(TokenResponseError::NoAccessToken)?;
        match userinfo::fetch(&self.registration.http, endpoint, token).await {
            Err(error) if policy == UserInfoPolicy::Optional && error.is_refusal() => {
                tracing::info!(provider = self.id(), reason = error.reason(), %error, "userinfo claims ignored");
                Ok(None)
            }
            response => Ok(Some(response?.claims(subject, &self.token_expectation(metadata), clock.now())?)),
        }
    }

    fn build_identity(
        &self,
        id_token: &str,
        verified: IdToken,
        access_token: Option<Claims>,
        userinfo: Option<Claims>,
    ) -> VerifiedIdentity {
        let IdToken { subject, claims } = verified;
        log_unfit_token_claims(self.id(), Source::IdToken, &claims);
        let sid = text(&claims, "sid").map(str::to_owned);
        let logout = match self.settings.logout {
            RpLogout::Off => Logout::default(),
            // Entra ID expects its login_hint claim. Other providers accept their session id or the subject.
            RpLogout::Hint => {
                let hint = text(&claims, "login_hint").or(sid.as_deref()).unwrap_or(&subject).to_owned();
                Logout { hint: Some(hint), id_token: None }
            }
            RpLogout::IdTokenHint => Logout { hint: None, id_token: Some(id_token.to_owned()) },
        };
        let identity = IdentityClaims {
            provider: self.id().to_owned(),
            issuer: self.settings.issuer.clone(),
            subject,
            id_token: without_token_claims(claims),
            access_token: access_token.map(without_token_claims),
            userinfo: userinfo.map(without_token_claims),
            verified_at: None,
            user_claims: Default::default(),
        };
        VerifiedIdentity { identity, sid, logout, authenticated_at: None }
    }
}
