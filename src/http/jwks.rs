//! `/vestibule/jwks.json`: the keys by which an upstream verifies assertions.

use actix_web::{HttpResponse, http::header};

use super::Services;

pub(super) const PATH: &str = "/vestibule/jwks.json";

/// Shorter than a new key waits before it signs, so that nobody meets one that they don't know.
const CACHE_CONTROL: &str = "public, max-age=60";

pub(super) async fn show(services: Services) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, CACHE_CONTROL)).json(services.upstream.public_keys())
}
