//! `/vestibule/api/redirects`: where a person's keys go without their being asked again.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use serde_json::json as value;

use super::{
    Address, Intent, Refused, answer, caller,
    fields::{Fields, required_text},
    json,
    sessions::in_person,
};
use crate::http::Services;

pub(super) fn all() -> Address {
    Address::new("/redirects")
        .with_query()
        .get(async |request, services| answer(list(request, services).await))
        .delete(async |request, services| answer(forget(request, services).await))
}

async fn list(request: HttpRequest, services: Services) -> Result<HttpResponse, Refused> {
    let caller = in_person(caller(&request, &services, Intent::Look).await?)?;
    let trusted = services.users.trusted(&caller.evaluation.identity.user).await?;
    Ok(json(StatusCode::OK, value!({ "redirect_uris": trusted })))
}

/// The person is asked again before a key goes there. One that is not remembered need not be forgotten.
async fn forget(request: HttpRequest, services: Services) -> Result<HttpResponse, Refused> {
    let caller = in_person(caller(&request, &services, Intent::Change).await?)?;
    let mut query = Fields::of_query(request.query_string()).ok_or(Refused::Malformed)?;
    let redirect_uri = required_text(&mut query, "redirect_uri")?;
    query.finish()?;
    services.users.distrust(&caller.evaluation.identity.user, &redirect_uri).await?;
    Ok(json(StatusCode::OK, value!({"redirect_uri": redirect_uri, "deleted": true})))
}
