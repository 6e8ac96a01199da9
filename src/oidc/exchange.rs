//! Exchanges an authorization code for verified claims (OpenID Connect).

use jiff::Timestamp;
use openidconnect::AccessToken;
use url::Url;

use super::{
    AuthorizationRequest, LoginFlow, ProviderNotReadyError,
    authentication::{AuthTimeError, authentication_time},
    claims::text,
    id_token::{IdToken, IdTokenError},
    openid_connect::OpenIdConnectProvider,
    settings::RpLogout,
    token_claims::{ResponseIdentity, TokenOrigin},
    token_response::TokenResponseError,
    userinfo::UserInfoError,
};
use crate::{
    clock::Clock,
    jwt::JwtError,
    principal::IdentityClaims,
    store,
    users::{Logout, RefreshToken},
};

/// An identity after verification of the provider's tokens.
pub struct VerifiedIdentity {
    pub identity: IdentityClaims,
    pub sid: Option<String>,
    pub logout: Logout,
    /// The time at which the provider authenticated the user; `None` if it does not state one.
    pub authenticated_at: Option<Timestamp>,
    /// `None` if the provider issued none.
    pub refresh_token: Option<RefreshToken>,
    /// For the look-up in the provider's directory.
    pub(super) access_token: Option<AccessToken>,
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
    #[error("the id_token is of another subject than the login")]
    OtherSubject,
    #[error("the user did not authenticate recently: {0}")]
    Authentication(#[from] AuthTimeError),
    #[error("the userinfo endpoint: {0}")]
    UserInfo(#[from] UserInfoError),
    #[error("the provider takes too long to answer")]
    TooSlow,
    #[error("the userinfo endpoint: the field that subject_field names {0}")]
    Subject(String),
    #[error("the claims are {size} bytes large, more than max_claims ({limit}) allows")]
    TooLarge { size: usize, limit: usize },
    #[error("the directory does not answer, and its last claims could not be read: {0}")]
    LastDirectoryClaims(#[from] store::Error),
}

impl ExchangeError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotReady(_) => "provider_not_ready",
            Self::Token(error) => error.reason(),
            Self::NoIdToken => "id_token_missing",
            Self::IdToken(error) => error.reason(),
            Self::OtherSubject => "subject_mismatch",
            Self::Authentication(error) => error.reason(),
            Self::UserInfo(error) => error.reason(),
            Self::TooSlow => "provider_too_slow",
            Self::Subject(_) => "subject_field_invalid",
            Self::TooLarge { .. } => "claims_too_large",
            Self::LastDirectoryClaims(error) => error.reason(),
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
        let ResponseIdentity { identity, id_token } =
            self.identity_of(&tokens, TokenOrigin::Login { nonce: &flow.nonce }, clock).await?;
        let verified = id_token.ok_or(ExchangeError::NoIdToken)?;
        let authenticated_at = self.authenticated_at(&verified, flow, clock.now())?;
        let sid = text(&verified.claims, "sid").map(str::to_owned);
        let logout = self.logout_parameters(&verified, sid.as_deref(), tokens.id_token);
        let nonce = Some(flow.nonce.clone());
        let refresh_token = tokens.refresh_token.map(|text| RefreshToken::of_login(text, nonce, clock.now()));
        Ok(VerifiedIdentity { identity, sid, logout, authenticated_at, refresh_token, access_token: tokens.access_token })
    }

    /// Returns the time of the user's authentication, which is as recent as the login requires.
    fn authenticated_at(&self, id_token: &IdToken, flow: &LoginFlow, now: Timestamp) -> Result<Option<Timestamp>, AuthTimeError> {
        match authentication_time(&id_token.claims, flow.max_age, now)? {
            // The request did not allow the provider to ask the user.
            None if flow.is_silent => Ok(None),
            None if self.registration.config.trust_login_time => Ok(Some(now)),
            None if flow.max_age.is_some() => Err(AuthTimeError::Claim(JwtError::Missing("auth_time"))),
            stated => Ok(stated),
        }
    }

    fn logout_parameters(&self, verified: &IdToken, sid: Option<&str>, id_token: Option<String>) -> Logout {
        match self.settings.logout {
            RpLogout::Off => Logout::default(),
            // Entra ID expects its login_hint claim. Other providers accept their session id or the subject.
            RpLogout::Hint => {
                let hint = text(&verified.claims, "login_hint").or(sid).unwrap_or(&verified.subject).to_owned();
                Logout { hint: Some(hint), id_token: None }
            }
            RpLogout::IdTokenHint => Logout { hint: None, id_token },
        }
    }
}
