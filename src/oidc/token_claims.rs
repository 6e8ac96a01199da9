//! Makes the claims of a user from the tokens of a response: at a login and at a refresh (OpenID Connect).

use std::sync::Arc;

use openidconnect::AccessToken;

use super::{
    ExchangeError, access_token,
    claims::{log_ignored_token_claims, without_token_claims},
    id_token::{self, ExpectedNonce, IdToken, IdTokenError},
    openid_connect::{Metadata, OpenIdConnectProvider},
    settings::UserInfoPolicy,
    token_response::Tokens,
    userinfo::{self, UserInfoError},
};
use crate::{
    clock::Clock,
    jwt::JwtError,
    principal::{Claims, IdentityClaims, Source},
};

/// The origin of a token response. It decides how its id_token is verified.
#[derive(Clone, Copy)]
pub(super) enum TokenOrigin<'a> {
    /// A code (OpenID Connect Core, section 3.1.3.7).
    Login { nonce: &'a str },
    /// A refresh token (section 12.2). The response may have no id_token.
    Refresh { nonce: Option<&'a str>, known: &'a IdentityClaims },
}

/// The user of a token response, and the id_token if there is one.
pub(super) struct ResponseIdentity {
    pub identity: IdentityClaims,
    pub id_token: Option<IdToken>,
}

impl<'a> TokenOrigin<'a> {
    fn nonce(self) -> ExpectedNonce<'a> {
        match self {
            Self::Login { nonce } => ExpectedNonce::Required(nonce),
            Self::Refresh { nonce, .. } => ExpectedNonce::IfPresent(nonce),
        }
    }

    /// The subject, unless an id_token must state it.
    fn require_identity(self) -> Result<&'a IdentityClaims, ExchangeError> {
        match self {
            Self::Login { .. } => Err(ExchangeError::NoIdToken),
            Self::Refresh { known, .. } => Ok(known),
        }
    }
}

impl OpenIdConnectProvider {
    /// Verifies the tokens and returns their claims by source. A source without usable claims is absent. Only the claims of the
    /// id_token stay as they were if a refresh brings none, because it may. They keep their time of verification.
    pub(super) async fn identity_of(
        &self,
        tokens: &Tokens,
        origin: TokenOrigin<'_>,
        clock: &dyn Clock,
    ) -> Result<ResponseIdentity, ExchangeError> {
        let (metadata, id_token) = self.verified_id_token(tokens, origin, clock).await?;
        let (subject, claims, id_token_at) = match &id_token {
            Some(IdToken { subject, claims }) => (subject.clone(), without_token_claims(claims.clone()), None),
            None => origin
                .require_identity()
                .map(|known| (known.subject.clone(), known.id_token.clone(), known.id_token_at.or(known.verified_at)))?,
        };
        let access_token = match &tokens.access_token {
            Some(token) => self.access_token_claims(&metadata, token, &subject, clock).await,
            None => None,
        };
        let userinfo = self.userinfo_claims(&metadata, tokens, &subject, clock).await?;
        let identity = IdentityClaims {
            provider: self.id().to_owned(),
            issuer: self.settings.issuer.clone(),
            subject,
            id_token: claims,
            id_token_at,
            access_token: access_token.map(without_token_claims),
            userinfo: userinfo.map(without_token_claims),
            ..IdentityClaims::default()
        };
        Ok(ResponseIdentity { identity, id_token })
    }

    /// Verifies the id_token if there is one, with the keys that verify it. The subject of a refresh must be the known one.
    async fn verified_id_token(
        &self,
        tokens: &Tokens,
        origin: TokenOrigin<'_>,
        clock: &dyn Clock,
    ) -> Result<(Arc<Metadata>, Option<IdToken>), ExchangeError> {
        let metadata = self.metadata()?;
        let Some(id_token) = tokens.id_token.as_deref() else { return origin.require_identity().map(|_| (metadata, None)) };
        let verify = |metadata: &Metadata| {
            let access_token = tokens.access_token.as_ref().map_or("", |token| token.secret());
            id_token::verify(id_token, &self.token_expectation(metadata), origin.nonce(), access_token, clock.now())
        };
        // The keys may have been rotated since the last fetch, so they are fetched once more.
        let (metadata, verified) = match verify(&metadata) {
            Err(IdTokenError::Jwt(error)) if error.can_be_fixed_by_newer_keys() => {
                let newer = self.fetch_newer_than(&metadata).await.ok_or(IdTokenError::Jwt(error))?;
                let verified = verify(&newer)?;
                (newer, verified)
            }
            verified => (metadata, verified?),
        };
        if origin.require_identity().is_ok_and(|known| known.subject != verified.subject) {
            return Err(ExchangeError::OtherSubject);
        }
        log_ignored_token_claims(self.id(), Source::IdToken, &verified.claims);
        Ok((metadata, Some(verified)))
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
        match userinfo::fetch(&self.registration.http, endpoint, tokens.access_token.as_ref()).await {
            Err(error) if policy == UserInfoPolicy::Optional && error.is_absence() => {
                tracing::info!(provider = self.id(), reason = error.reason(), %error, "userinfo claims ignored");
                Ok(None)
            }
            response => Ok(Some(response?.claims(subject, &self.token_expectation(metadata), clock.now())?)),
        }
    }
}
