//! Binds login flows and anonymous forms to one browser.

use actix_web::HttpRequest;

use super::{
    Services, Site, fetch_metadata,
    form_token::{self, FormId},
};
use crate::oidc::BrowserBinding;

/// The purpose in the tokens of forms that open a session. Their users enter or choose a password.
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
pub(super) fn new_form_token(request: &HttpRequest, services: &Services) -> (String, Option<String>) {
    let (binding, cookie) = binding(request, &services.site);
    let bound = bound_to(request, services, &binding);
    let token = services.form_tokens.issue(FormId { purpose: FORM, bound_to: &bound });
    (token, cookie)
}

/// True if the anonymous form comes from a page that this browser has loaded. It may be sent again, because no user is signed in,
/// and the password or link in the form grants access.
pub(super) fn is_own_form(request: &HttpRequest, services: &Services, token: &str) -> bool {
    let Services { site, form_tokens, .. } = services;
    let bound = site.cookies.binding_in(request).map(|binding| bound_to(request, services, &binding));
    let is_valid = |bound: String| form_tokens.is_valid(FormId { purpose: FORM, bound_to: &bound }, token, form_token::LIFE);
    bound.is_some_and(is_valid) && fetch_metadata::is_own_form(request, site)
}

/// A script of this origin can set the cookie of another browser, but it cannot read the session that the form would replace.
fn bound_to(request: &HttpRequest, services: &Services, binding: &BrowserBinding) -> String {
    let session = services.site.cookies.session_id_in(request).map(|session| session.to_hex());
    format!("{} {}", binding.fingerprint(), session.unwrap_or_default())
}
