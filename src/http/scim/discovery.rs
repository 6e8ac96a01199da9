//! `/ServiceProviderConfig`, `/ResourceTypes` and `/Schemas`.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{self, ServiceConfig},
};
use serde_json::Value;

use super::{
    answer::{ScimRefusal, answer, list, respond_json},
    get, refuse_method,
    request::id,
    scim_of,
};
use crate::{
    http::Services,
    scim::{ScimError, resource_types, schemas, service_provider_config},
};

pub(super) fn routes(app: &mut ServiceConfig) {
    let resource = |path| web::resource(path).default_service(web::to(refuse_method));
    app.service(resource("/ServiceProviderConfig").route(get().to(async |services| answer(config(&services)))))
        .service(resource("/ResourceTypes").route(get().to(async |services| answer(all(&services, resource_types)))))
        .service(resource("/Schemas").route(get().to(async |services| answer(all(&services, schemas)))))
        .service(
            resource("/ResourceTypes/{id}")
                .route(get().to(async |request, services| answer(one(&request, &services, resource_types)))),
        )
        .service(resource("/Schemas/{id}").route(get().to(async |request, services| answer(one(&request, &services, schemas)))));
}

fn config(services: &Services) -> Result<HttpResponse, ScimRefusal> {
    Ok(respond_json(StatusCode::OK, &service_provider_config(&scim_of(services)?.base)))
}

fn all(services: &Services, describe: fn(&str) -> Vec<Value>) -> Result<HttpResponse, ScimRefusal> {
    let described = describe(&scim_of(services)?.base);
    Ok(list(described.len(), 1, described))
}

fn one(request: &HttpRequest, services: &Services, describe: fn(&str) -> Vec<Value>) -> Result<HttpResponse, ScimRefusal> {
    let described = describe(&scim_of(services)?.base);
    let found =
        described.into_iter().find(|found| found["id"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(id(request))));
    Ok(respond_json(StatusCode::OK, &found.ok_or(ScimError::NotFound)?))
}
