//! OpenID Connect: from an authorization code to verified claims.

use std::sync::Arc;

use openidconnect::{AccessToken, OAuth2TokenResponse};
use url::Url;

use super::{
    NotReady, Started, Taken, access_token,
    claims::{text, without_token_claims},
    id_token::{self, IdToken, IdTokenError},
    openid_connect::{Metadata, OpenIdConnect},
    settings::RpLogout,
    userinfo::{self, UserInfoError},
};
use crate::{
    clock::Clock,
    jwt::JwtError,
    principal::{Claims, IdentityClaims},
    session::Logout,
};

/// The identity that a provider has vouched for.
pub struct Verified {
    pub identity: IdentityClaims,
    pub sid: Option<String>,
    pub logout: Logout,
}

/// The reason why a code led to no identity, whatever the provider speaks. The texts are for the log and hold no token.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    #[error(transparent)]
    NotReady(#[from] NotReady),
    #[error("the token endpoint: {0}")]
    Token(String),
    #[error("the token endpoint sent no id_token; is the scope openid granted?")]
    NoIdToken,
    #[error("the id_token does not verify: {0}")]
    IdToken(#[from] IdTokenError),
    #[error("the userinfo endpoint: {0}")]
    UserInfo(#[from] UserInfoError),
    #[error("the userinfo endpoint: the field that subject_field names {0}")]
    Subject(&'static str),
    #[error("the claims are {size} bytes large, more than max_claims ({limit}) allows")]
    TooLarge { size: usize, limit: usize },
}

impl ExchangeError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotReady(_) => "provider_not_ready",
            Self::Token(_) => "token_request_failed",
            Self::NoIdToken => "id_token_missing",
            Self::IdToken(error) => error.reason(),
            Self::UserInfo(error) => error.reason(),
            Self::Subject(_) => "subject_field_invalid",
            Self::TooLarge { .. } => "claims_too_large",
        }
    }
}

impl OpenIdConnect {
    /// Returns the URL of the sign-in page, always with PKCE (S256), `state` and `nonce`.
    pub(super) fn authorization_url(&self, started: &Started) -> Result<Url, NotReady> {
        let metadata = self.metadata()?;
        Ok(self.registration.authorization_url(self.endpoints(&metadata), started, &[("nonce", &started.nonce)]))
    }

    /// Redeems the code and verifies the tokens.
    pub(super) async fn redeem(&self, code: &str, taken: &Taken, clock: &dyn Clock) -> Result<Verified, ExchangeError> {
        let metadata = self.metadata()?;
        let tokens = self.registration.exchange(self.endpoints(&metadata), code, taken).await?;
        let id_token = tokens.extra_fields().id_token().ok_or(ExchangeError::NoIdToken)?;
        let verify = |metadata: &Metadata| {
            let expected = id_token::Expected {
                issuer: &self.settings.issuer,
                client_id: self.client_id(),
                algorithms: &self.algorithms,
                nonce: &taken.nonce,
                access_token: tokens.access_token().secret(),
            };
            id_token::verify(id_token, &expected, &metadata.keys, clock.now())
        };
        // Keys may have been rotated since they were fetched; one more fetch shows that.
        let (metadata, verified) = match verify(&metadata) {
            Err(IdTokenError::Jwt(error)) if error.suggests_newer_keys() => {
                let newer = self.newer_than(&metadata).await.ok_or(IdTokenError::Jwt(error))?;
                let verified = verify(&newer)?;
                (newer, verified)
            }
            verified => (metadata, verified?),
        };
        let access_token = self.access_token_claims(&metadata, tokens.access_token(), &verified.subject, clock).await;
        let userinfo = self.userinfo_claims(&metadata, tokens.access_token(), &verified.subject, clock).await?;
        Ok(self.verified(id_token, verified, access_token, userinfo))
    }

    /// None when the token is opaque or does not verify: nothing replaces its claims.
    async fn access_token_claims(
        &self,
        metadata: &Arc<Metadata>,
        token: &AccessToken,
        subject: &str,
        clock: &dyn Clock,
    ) -> Option<Claims> {
        let verify = |metadata: &Metadata| {
            let expected = access_token::Expected {
                issuer: &self.settings.issuer,
                client_id: self.client_id(),
                algorithms: &self.algorithms,
                subject,
            };
            access_token::verify(token.secret(), &expected, &metadata.keys, clock.now())
        };
        let verified = match verify(metadata) {
            // It may be signed with another key than the id_token, and that one be the new one.
            // Some providers sign access tokens for another resource so that nobody else can verify them: a wrong signature
            // there must not cost a fetch at each login.
            Err(access_token::Unusable::Jwt(error @ JwtError::NoMatchingKey)) => match self.newer_than(metadata).await {
                Some(newer) => verify(&newer),
                None => Err(error.into()),
            },
            verified => verified,
        };
        match verified {
            Ok(claims) => Some(claims),
            // An opaque token is the usual case.
            Err(access_token::Unusable::Jwt(JwtError::Malformed)) => None,
            Err(unusable) => {
                tracing::info!(provider = self.id(), reason = unusable.reason(), error = %unusable, "access token claims ignored");
                None
            }
        }
    }

    async fn userinfo_claims(
        &self,
        metadata: &Metadata,
        token: &AccessToken,
        subject: &str,
        clock: &dyn Clock,
    ) -> Result<Option<Claims>, UserInfoError> {
        let Some(endpoint) = &metadata.userinfo_endpoint else { return Ok(None) };
        let answer = userinfo::fetch(&self.registration.http, endpoint, token).await?;
        let expected = userinfo::Expected {
            subject,
            issuer: &self.settings.issuer,
            client_id: self.client_id(),
            algorithms: &self.algorithms,
            keys: &metadata.keys,
        };
        answer.claims(&expected, clock.now()).map(Some)
    }

    fn verified(&self, id_token: &str, verified: IdToken, access_token: Option<Claims>, userinfo: Option<Claims>) -> Verified {
        let IdToken { subject, claims } = verified;
        let sid = text(&claims, "sid").map(str::to_owned);
        let logout = match self.settings.logout {
            RpLogout::Off => Logout::default(),
            // Entra ID wants its login_hint claim back; others take their session or the subject.
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
        };
        Verified { identity, sid, logout }
    }
}
