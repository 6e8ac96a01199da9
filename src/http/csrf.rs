//! Whether a form that is posted is one of our own pages'.

use actix_web::{HttpRequest, http::header};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::Site;
use crate::secret::{Digest, KeyRing, MacPurpose};

/// What browsers themselves say of where a request came from. Those that say nothing have the token alone.
/// `Origin` is the older way, and is `null` for pages that send no referrer, as ours do.
pub(super) fn same_origin(request: &HttpRequest, site: &Site) -> bool {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    match (header("sec-fetch-site"), header(header::ORIGIN.as_str())) {
        (Some(from), _) => from == "same-origin",
        (None, None | Some("null")) => true,
        (None, Some(origin)) => origin == site.public_url.origin(),
    }
}

/// What a form carries: bound to the session, and to what the form is for.
pub(super) fn token(ring: &KeyRing, form: &str, session: &str) -> String {
    URL_SAFE_NO_PAD.encode(ring.mac(MacPurpose::Csrf, &[form.as_bytes(), Digest::of(session.as_bytes()).as_bytes()]))
}

pub(super) fn matches(ring: &KeyRing, form: &str, session: &str, token: &str) -> bool {
    let Ok(token) = URL_SAFE_NO_PAD.decode(token) else { return false };
    ring.verify_mac(MacPurpose::Csrf, &[form.as_bytes(), Digest::of(session.as_bytes()).as_bytes()], &token)
}
