//! `/vestibule/api/openapi.json`: all calls of this API and of what belongs to it, for programs that read OpenAPI 3.1.

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

/// Another release has another one.
const CACHE_CONTROL: &str = "public, max-age=300";

/// The document as it was served before.
#[derive(Default)]
pub(super) struct DocumentCache(OnceLock<Bytes>);

pub(super) fn document() -> Endpoint {
    Endpoint::new("/openapi.json").get(show)
}

async fn show(services: Services, served: Data<DocumentCache>) -> HttpResponse {
    let text = served.0.get_or_init(|| written(services.site.public_url.origin()).to_string().into());
    HttpResponse::Ok().insert_header(ContentType::json()).insert_header((header::CACHE_CONTROL, CACHE_CONTROL)).body(text.clone())
}

/// The document, with what the source can't know.
fn written(origin: &str) -> Value {
    static READ: LazyLock<Value> = LazyLock::new(|| yaml::json::to_json(&yaml::parse(SOURCE, Subset::Plain).root));
    let mut document = READ.clone();
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    document["servers"] = json!([{ "url": origin }]);
    document
}

#[cfg(test)]
mod tests;
