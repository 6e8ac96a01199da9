//! Sign-in methods of a user, their identities and password: rules that the JSON API and the page share.

pub(super) mod json;
pub(super) mod page;
pub(super) mod password;

use super::Services;
use crate::{
    login::BeginError,
    oidc::{BrowserBinding, Provider, RequiredAuthentication},
    pages::SitePage,
    principal::IdentityClaims,
    return_target::{Continuation, ReturnTarget},
};

/// Returns the providers that the user has no identity of.
fn linkable<'a>(services: &'a Services, identities: &'a [IdentityClaims]) -> impl Iterator<Item = &'a Provider> {
    let is_linked = move |id: &str| identities.iter().any(|identity| identity.provider == id);
    services.login.providers().iter().map(|provider| &**provider).filter(move |provider| !is_linked(provider.id()))
}

/// Begins to link an identity and returns the URL at the provider. The login flow returns to the page of sign-in methods.
async fn begin_link(
    services: &Services,
    provider: &Provider,
    binding: &BrowserBinding,
    user: &str,
) -> Result<url::Url, BeginError> {
    let retry = ReturnTarget::parse(SitePage::SignIn.href(), "").unwrap_or_else(|_| ReturnTarget::root());
    let link = Continuation::Link { user: user.to_owned(), retry };
    // The retry target is short, so that the browser keeps no target.
    Ok(services.login.begin(provider, binding, link, RequiredAuthentication::Any).await?.url)
}
