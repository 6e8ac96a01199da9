//! Binds login flows and anonymous forms to one browser.

use actix_web::HttpRequest;

use super::{Site, csrf};
use crate::oidc::BrowserBinding;

/// The purpose in the tokens of anonymous forms. Their users enter or choose a password.
const FORM: &str = "password";

/// Returns the browser's binding, and a new cookie if the browser has none. All its tabs share the cookie.
pub(super) fn binding(request: &HttpRequest, site: &Site) -> (BrowserBinding, Option<String>) {
    if let Some(known) = site.cookies.binding_in(request) {
        return (known, None);
    }
    let value = BrowserBinding::new_cookie();
    let binding = BrowserBinding::parse_cookie(&value).expect("a new cookie has our form");
    (binding, Some(value))
}

/// Returns the token of an anonymous form, and a new cookie if the browser has none.
pub(super) fn new_form_token(request: &HttpRequest, site: &Site) -> (String, Option<String>) {
    let (binding, cookie) = binding(request, site);
    (csrf::token(&site.ring, FORM, &binding.fingerprint()), cookie)
}

/// True if the anonymous form comes from a page that this browser has loaded.
pub(super) fn is_own_form(request: &HttpRequest, site: &Site, token: &str) -> bool {
    let bound = site.cookies.binding_in(request).map(|binding| binding.fingerprint());
    let matches = bound.is_some_and(|bound| csrf::matches(&site.ring, FORM, &bound, token));
    matches && csrf::is_own_form(request, site)
}
