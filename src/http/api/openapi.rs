//! `/vestibule/api/openapi.json`: the OpenAPI 3.1 document of this API and related endpoints.

use std::sync::{LazyLock, OnceLock};

use actix_web::{
    HttpResponse,
    http::header::{self, ContentType},
    web::{Bytes, Data},
};
use serde_json::{Value, json};

use super::Endpoint;
use crate::{
    http::Services,
    yaml::{self, Subset},
};

const SOURCE: &str = include_str!("openapi.yaml");

/// The document changes only with a release.
const CACHE_CONTROL: &str = "public, max-age=300";

/// The serialized document, which is built once.
#[derive(Default)]
pub(in crate::http) struct DocumentCache(OnceLock<Bytes>);

pub(in crate::http) fn document() -> Endpoint {
    Endpoint::new("/openapi.json").get(show)
}

async fn show(services: Services, cache: Data<DocumentCache>) -> HttpResponse {
    let text = cache.0.get_or_init(|| build_document(services.site.public_url.origin()).to_string().into());
    HttpResponse::Ok().insert_header(ContentType::json()).insert_header((header::CACHE_CONTROL, CACHE_CONTROL)).body(text.clone())
}

/// Returns the document with the version and the origin of this service.
fn build_document(origin: &str) -> Value {
    static SOURCE_DOCUMENT: LazyLock<Value> = LazyLock::new(|| yaml::json::to_json(&yaml::parse(SOURCE, Subset::Plain).root));
    let mut document = SOURCE_DOCUMENT.clone();
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    document["servers"] = json!([{ "url": origin }]);
    document
}

#[cfg(test)]
mod tests;
