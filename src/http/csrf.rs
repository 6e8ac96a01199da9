//! Whether a form that is posted is one of our own pages'.

use actix_web::{HttpRequest, http::header};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::Site;
use crate::secret::{Digest, KeyRing, MacPurpose};

/// What a browser itself says of where a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestOrigin {
    SameOrigin,
    CrossOrigin,
    Undeclared,
}

/// `Origin` is the older way, and is `null` for pages that send no referrer, as ours do.
pub(super) fn request_origin(request: &HttpRequest, site: &Site) -> RequestOrigin {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let ours = match (header("sec-fetch-site"), header(header::ORIGIN.as_str())) {
        (Some(from), _) => from == "same-origin",
        (None, None | Some("null")) => return RequestOrigin::Undeclared,
        (None, Some(origin)) => origin == site.public_url.origin(),
    };
    if ours { RequestOrigin::SameOrigin } else { RequestOrigin::CrossOrigin }
}

/// Whether the request says that it comes from a page at all.
pub(super) fn is_browser(request: &HttpRequest) -> bool {
    request.headers().contains_key("sec-fetch-site") || request.headers().contains_key(header::ORIGIN)
}

/// For forms: browsers that say nothing have the token alone. What a script sends by itself is told from a form; a form that a
/// script of our own origin submits is not, and an upstream on the same host has such scripts.
pub(super) fn is_own_form(request: &HttpRequest, site: &Site) -> bool {
    let said = |name: &str, expected: &str| request.headers().get(name).is_none_or(|value| value == expected);
    request_origin(request, site) != RequestOrigin::CrossOrigin
        && said("sec-fetch-mode", "navigate")
        && said("sec-fetch-dest", "document")
}

/// What a form carries: bound to the session, and to what the form is for.
pub(super) fn token(ring: &KeyRing, form: &str, session: &str) -> String {
    URL_SAFE_NO_PAD.encode(ring.mac(MacPurpose::Csrf, &[form.as_bytes(), Digest::of(session.as_bytes()).as_bytes()]))
}

pub(super) fn matches(ring: &KeyRing, form: &str, session: &str, token: &str) -> bool {
    let Ok(token) = URL_SAFE_NO_PAD.decode(token) else { return false };
    ring.verify_mac(MacPurpose::Csrf, &[form.as_bytes(), Digest::of(session.as_bytes()).as_bytes()], &token)
}
