//! What ties logins in flight, and forms that nobody is signed in for, to one browser.

use actix_web::HttpRequest;

use super::{Site, csrf};
use crate::oidc::BrowserBinding;

/// What such a form is for: a password, typed or chosen.
const FORM: &str = "password";

/// The browser's binding, and a cookie for it if it has none: one for all its tabs.
pub(super) fn binding(request: &HttpRequest, site: &Site) -> (BrowserBinding, Option<String>) {
    if let Some(known) = site.cookies.binding_in(request) {
        return (known, None);
    }
    let value = BrowserBinding::new_cookie();
    let binding = BrowserBinding::parse_cookie(&value).expect("a new cookie has our form");
    (binding, Some(value))
}

/// The token of a form that nobody is signed in for, and the cookie that goes with it where the browser has none.
pub(super) fn new_form_token(request: &HttpRequest, site: &Site) -> (String, Option<String>) {
    let (binding, cookie) = binding(request, site);
    (csrf::token(&site.ring, FORM, &binding.fingerprint()), cookie)
}

/// Whether such a form comes from a page that this browser was shown.
pub(super) fn is_ours(request: &HttpRequest, site: &Site, token: &str) -> bool {
    let bound = site.cookies.binding_in(request).map(|binding| binding.fingerprint());
    let matches = bound.is_some_and(|bound| csrf::matches(&site.ring, FORM, &bound, token));
    matches && csrf::is_own_form(request, site)
}
