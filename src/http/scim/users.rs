//! `/Users`: the users that the company's directory provisions.

use actix_web::{HttpRequest, HttpResponse, Resource, http::StatusCode, web};
use serde_json::{Map, Value};

use super::{
    answer::{ScimRefusal, answer, created, list, resource},
    get, refuse_method,
    request::{ResourceQuery, id, projection, read_object},
    scim_of,
};
use crate::{
    http::{Services, api::Body},
    scim::{Projection, UserResources, parse_changes},
};

pub(super) fn all() -> Resource {
    web::resource("/Users")
        .route(get().to(async |request, services| answer(find(request, services).await)))
        .route(web::post().to(async |request, body, services| answer(create(request, body, services).await)))
        .default_service(web::to(refuse_method))
}

pub(super) fn one() -> Resource {
    web::resource("/Users/{id}")
        .route(get().to(async |request, services| answer(show(request, services).await)))
        .route(web::put().to(async |request, body, services| answer(replace(request, body, services).await)))
        .route(web::patch().to(async |request, body, services| answer(patch(request, body, services).await)))
        .route(web::delete().to(async |request, services| answer(delete(request, services).await)))
        .default_service(web::to(refuse_method))
}

async fn find(request: HttpRequest, services: Services) -> Result<HttpResponse, ScimRefusal> {
    let (scim, query) = (scim_of(&services)?, ResourceQuery::parse(&request)?);
    let UserResources { total, users } = match &query.filter {
        Some(filter) => scim.users.find(filter).await?,
        None => scim.users.list(query.page).await?,
    };
    let users = if query.filter.is_some() { query.page.of(users) } else { users };
    let users = users.into_iter().map(|user| Value::Object(query.projection.apply(user))).collect();
    Ok(list(total, query.page.start, users))
}

async fn create(request: HttpRequest, body: Body, services: Services) -> Result<HttpResponse, ScimRefusal> {
    let user = scim_of(&services)?.users.create(read_object(&request, body)?).await?;
    Ok(created(projection(&request).apply(user)))
}

async fn show(request: HttpRequest, services: Services) -> Result<HttpResponse, ScimRefusal> {
    let user = scim_of(&services)?.users.get(id(&request)).await?;
    Ok(user_response(user, &projection(&request)))
}

async fn replace(request: HttpRequest, body: Body, services: Services) -> Result<HttpResponse, ScimRefusal> {
    let user = scim_of(&services)?.users.replace(id(&request), &read_object(&request, body)?).await?;
    Ok(user_response(user, &projection(&request)))
}

async fn patch(request: HttpRequest, body: Body, services: Services) -> Result<HttpResponse, ScimRefusal> {
    let changes = parse_changes(&read_object(&request, body)?)?;
    let user = scim_of(&services)?.users.patch(id(&request), &changes).await?;
    Ok(user_response(user, &projection(&request)))
}

async fn delete(request: HttpRequest, services: Services) -> Result<HttpResponse, ScimRefusal> {
    scim_of(&services)?.users.delete(id(&request)).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn user_response(user: Map<String, Value>, projection: &Projection) -> HttpResponse {
    resource(StatusCode::OK, projection.apply(user))
}
