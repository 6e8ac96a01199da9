//! Sign-in from a provider's portal (third-party initiated login; OpenID Connect Core, section 4).

use std::sync::Arc;

use actix_web::{HttpResponse, http::StatusCode};
use url::form_urlencoded;

use super::login_target::LoginTarget;
use crate::{
    http::{Site, page_request::FormFields, redirect},
    oidc::{Provider, Providers},
    return_target::ReturnTarget,
};

const ISSUER: &str = "iss";
const LOGIN_HINT: &str = "login_hint";
const TARGET: &str = "target_link_uri";

/// A longer hint is ignored. An email address has at most 254 characters.
const LONGEST_HINT: usize = 512;

/// The provider that initiates a login, as the request names it.
pub(super) enum Initiator<'a> {
    Known(&'a Arc<Provider>),
    /// The user chooses a provider.
    Unknown,
}

impl<'a> Initiator<'a> {
    /// `None` if the request names no issuer.
    pub fn find(issuer: Option<&str>, providers: &'a Providers) -> Option<Self> {
        let issuer = issuer.filter(|issuer| !issuer.is_empty())?;
        Some(providers.find_by_issuer(issuer).map_or(Self::Unknown, Self::Known))
    }
}

/// Returns the target of the portal's link. A target that a login without a portal would refuse is ignored.
pub(super) fn target<'a>(uri: &str, site: &'a Site) -> LoginTarget<'a> {
    LoginTarget::parse(uri, site).unwrap_or_else(|_| LoginTarget::Own(ReturnTarget::root()))
}

/// Returns the hint for the provider about the user.
pub(super) fn login_hint(hint: Option<&str>) -> Option<&str> {
    hint.filter(|hint| !hint.is_empty() && hint.len() <= LONGEST_HINT && !hint.chars().any(char::is_control))
}

/// Redirects a portal's form to the same login by GET. With a POST from another site, browsers send no cookies, so that the answer
/// would replace the binding of the browser's other login flows. `None` if the form is not a portal's.
pub(super) fn redirect_form(form: &FormFields, site: &Site) -> Option<HttpResponse> {
    form.one(ISSUER)?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    for name in [ISSUER, LOGIN_HINT, TARGET] {
        if let Some(value) = form.one(name) {
            query.append_pair(name, value);
        }
    }
    let href = site.public_url.join(&format!("/sso/login?{}", query.finish()));
    Some(redirect(StatusCode::SEE_OTHER, &href))
}
