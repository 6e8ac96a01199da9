//! Silent sign-in: the provider of a session verifies its user again without asking, because the claims have expired.

use std::sync::Arc;

use actix_web::HttpRequest;

use crate::{
    http::Services,
    oidc::{Provider, RpLogout},
    principal::IdentityClaims,
    principal_cache::UserSession,
    users::SessionToken,
};

/// The claim that Entra ID issues for this purpose.
const LOGIN_HINT: &str = "login_hint";

/// The maximum length of an id_token in the redirect, in bytes. Gateways and providers refuse long headers and URLs.
const MAX_ID_TOKEN_HINT: usize = 2048;

/// A silent sign-in at the provider of the browser's session.
pub(super) struct SilentLogin {
    pub provider: Arc<Provider>,
    pub hint: UserHint,
}

/// The hint that tells the provider which of its users has to be verified. A browser may have several accounts there.
pub(super) enum UserHint {
    /// The id_token that the session keeps (`logout: id_token_hint`).
    IdToken(String),
    LoginHint(String),
    None,
}

impl SilentLogin {
    /// Returns the silent sign-in that the browser's session needs. A session that cannot be looked up needs none: the sign-in
    /// then fails at the store, and the browser keeps its session.
    pub async fn find(request: &HttpRequest, services: &Services) -> Option<Self> {
        let cookie = services.site.cookies.session_in(request)?;
        let token = services.checker.credentials().parse_session(&cookie).ok()?;
        let (signed_in, evaluation) = services.checker.load_session(&token).await.ok()??;
        if !services.checker.needs_verification(&signed_in, &evaluation) {
            return None;
        }
        let provider = Arc::clone(services.login.providers().get(&signed_in.session.provider)?);
        let hint = UserHint::find(services, &provider, &signed_in, &token).await;
        Some(Self { provider, hint })
    }
}

impl UserHint {
    async fn find(services: &Services, provider: &Provider, signed_in: &UserSession, token: &SessionToken<'_>) -> Self {
        if let Some(id_token) = kept_id_token(services, provider, signed_in, token).await {
            return Self::IdToken(id_token);
        }
        let is_own = |identity: &IdentityClaims| signed_in.session.is_of(&identity.provider, &identity.subject);
        let identity = signed_in.user.identities().into_iter().find(is_own);
        identity.and_then(|identity| login_hint(&identity, provider)).map_or(Self::None, Self::LoginHint)
    }

    /// The values of `login_hint` and `id_token_hint`.
    pub fn parameters(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::IdToken(id_token) => (None, Some(id_token)),
            Self::LoginHint(hint) => (Some(hint), None),
            Self::None => (None, None),
        }
    }
}

/// Only the record of the session has the id_token, and only for some providers.
async fn kept_id_token(
    services: &Services,
    provider: &Provider,
    signed_in: &UserSession,
    token: &SessionToken<'_>,
) -> Option<String> {
    if provider.logout() != RpLogout::IdTokenHint {
        return None;
    }
    let session = services.users.session(&signed_in.user.id, &token.digest()).await.ok()??;
    session.logout.id_token.filter(|id_token| id_token.len() <= MAX_ID_TOKEN_HINT)
}

fn login_hint(identity: &IdentityClaims, provider: &Provider) -> Option<String> {
    let own = identity.id_token.get(LOGIN_HINT).and_then(|hint| hint.as_str()).filter(|hint| !hint.is_empty());
    own.or_else(|| identity.email(provider.profile())).map(str::to_owned)
}
