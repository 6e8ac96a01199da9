//! `/Groups`: the groups of the company's directory.

use actix_web::{HttpRequest, HttpResponse, Resource, http::StatusCode, web};
use serde_json::Value;

use super::{
    answer::{ScimRefusal, answer, created, list, resource},
    get, refuse_method,
    request::{ResourceQuery, id, projection, read_object},
    scim_of,
};
use crate::{
    http::{Services, api::Body},
    scim::{GroupResources, parse_changes},
};

pub(super) fn all() -> Resource {
    web::resource("/Groups")
        .route(get().to(async |request, services| answer(find(request, services).await)))
        .route(web::post().to(async |request, body, services| answer(create(request, body, services).await)))
        .default_service(web::to(refuse_method))
}

pub(super) fn one() -> Resource {
    web::resource("/Groups/{id}")
        .route(get().to(async |request, services| answer(show(request, services).await)))
        .route(web::put().to(async |request, body, services| answer(replace(request, body, services).await)))
        .route(web::patch().to(async |request, body, services| answer(patch(request, body, services).await)))
        .route(web::delete().to(async |request, services| answer(delete(request, services).await)))
        .default_service(web::to(refuse_method))
}

async fn find(request: HttpRequest, services: Services) -> Result<HttpResponse, ScimRefusal> {
    let (scim, query) = (scim_of(&services)?, ResourceQuery::parse(&request)?);
    let GroupResources { total, groups } = match &query.filter {
        Some(filter) => scim.groups.find(filter, &query.projection).await?,
        None => scim.groups.list(query.page, &query.projection).await?,
    };
    let groups = if query.filter.is_some() { query.page.of(groups) } else { groups };
    let groups = groups.into_iter().map(|group| Value::Object(query.projection.apply(group))).collect();
    Ok(list(total, query.page.start, groups))
}

async fn create(request: HttpRequest, body: Body, services: Services) -> Result<HttpResponse, ScimRefusal> {
    let group = scim_of(&services)?.groups.create(read_object(&request, body)?).await?;
    Ok(created(projection(&request).apply(group)))
}

async fn show(request: HttpRequest, services: Services) -> Result<HttpResponse, ScimRefusal> {
    let projection = projection(&request);
    let group = scim_of(&services)?.groups.get(id(&request), &projection).await?;
    Ok(resource(StatusCode::OK, projection.apply(group)))
}

async fn replace(request: HttpRequest, body: Body, services: Services) -> Result<HttpResponse, ScimRefusal> {
    let group = scim_of(&services)?.groups.replace(id(&request), read_object(&request, body)?).await?;
    Ok(resource(StatusCode::OK, projection(&request).apply(group)))
}

/// The answer is empty, since a group may have many members (RFC 7644, section 3.5.2).
async fn patch(request: HttpRequest, body: Body, services: Services) -> Result<HttpResponse, ScimRefusal> {
    let changes = parse_changes(&read_object(&request, body)?)?;
    scim_of(&services)?.groups.patch(id(&request), &changes).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn delete(request: HttpRequest, services: Services) -> Result<HttpResponse, ScimRefusal> {
    scim_of(&services)?.groups.delete(id(&request)).await?;
    Ok(HttpResponse::NoContent().finish())
}
