//! Forms with passwords: the origin of an attempt, and a repeated password that differs.

use actix_web::HttpRequest;

use super::{Site, request::forwarded_client};
use crate::{local_accounts::Origin, pages::Problem};

/// The browser and the client address that try a password, as far as they are known.
pub(super) fn origin<'a>(request: &HttpRequest, site: &Site, device: Option<&'a str>) -> Origin<'a> {
    Origin { device, address: forwarded_client(request, site) }
}

/// The problem with a new password that was typed differently the second time.
pub(super) fn mismatch() -> Problem {
    Problem::of("password-problem-mismatch").field("new_password")
}
