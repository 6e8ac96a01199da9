//! Protects forms against cross-site request forgery.

use actix_web::{HttpRequest, http::header};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::Site;
use crate::secret::{Digest, KeyRing, MacPurpose};

/// The origin of a request, as the browser declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestOrigin {
    SameOrigin,
    CrossOrigin,
    Undeclared,
}

/// Returns the declared origin. Older browsers send only `Origin`, which is `null` for pages without a referrer, such as ours.
pub(super) fn request_origin(request: &HttpRequest, site: &Site) -> RequestOrigin {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let ours = match (header("sec-fetch-site"), header(header::ORIGIN.as_str())) {
        (Some(from), _) => from == "same-origin",
        (None, None | Some("null")) => return RequestOrigin::Undeclared,
        (None, Some(origin)) => origin == site.public_url.origin(),
    };
    if ours { RequestOrigin::SameOrigin } else { RequestOrigin::CrossOrigin }
}

/// True if the request declares that a page sent it.
pub(super) fn is_browser(request: &HttpRequest) -> bool {
    request.headers().contains_key("sec-fetch-site") || request.headers().contains_key(header::ORIGIN)
}

/// True unless the request declares another origin, or that it is not a form. If a browser declares nothing, only the token
/// protects the form. A request by a script is detected, but not a form that a script of an upstream on the same host submits.
pub(super) fn is_own_form(request: &HttpRequest, site: &Site) -> bool {
    let is_absent_or = |name: &str, expected: &str| request.headers().get(name).is_none_or(|value| value == expected);
    request_origin(request, site) != RequestOrigin::CrossOrigin
        && is_absent_or("sec-fetch-mode", "navigate")
        && is_absent_or("sec-fetch-dest", "document")
}

/// Returns the token of a form. It is bound to the session and to the purpose of the form.
pub(super) fn token(ring: &KeyRing, form: &str, session: &str) -> String {
    URL_SAFE_NO_PAD.encode(ring.mac(MacPurpose::Csrf, &[form.as_bytes(), Digest::of(session.as_bytes()).as_bytes()]))
}

pub(super) fn matches(ring: &KeyRing, form: &str, session: &str, token: &str) -> bool {
    let Ok(token) = URL_SAFE_NO_PAD.decode(token) else { return false };
    ring.verify_mac(MacPurpose::Csrf, &[form.as_bytes(), Digest::of(session.as_bytes()).as_bytes()], &token)
}
