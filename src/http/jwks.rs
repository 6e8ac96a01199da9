//! `/vestibule/jwks.json`: the public keys for the verification of identity assertions.

use actix_web::{HttpResponse, http::header};

use super::Services;

pub(super) const PATH: &str = "/vestibule/jwks.json";

/// Shorter than the delay before a new key signs. Upstreams know a key before it is used.
const CACHE_CONTROL: &str = "public, max-age=60";

pub(super) async fn show(services: Services) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, CACHE_CONTROL)).json(services.upstream.public_keys())
}
