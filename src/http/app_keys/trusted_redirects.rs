//! `/vestibule/api/redirects`: redirect addresses that receive keys without asking the user again.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use serde_json::json as value;

use crate::http::{
    Services,
    api::{
        ApiError, Endpoint, Intent, SignInAge, answer, caller,
        fields::{Fields, required_text},
        json, require_session,
    },
};

pub(in crate::http) fn all() -> Endpoint {
    Endpoint::new("/redirects")
        .with_query()
        .get(async |request, services| answer(list(request, services).await))
        .delete(async |request, services| answer(forget(request, services).await))
}

async fn list(request: HttpRequest, services: Services) -> Result<HttpResponse, ApiError> {
    let caller = require_session(caller(&request, &services, Intent::Read).await?)?;
    let trusted = services.users.trusted(&caller.evaluation.identity.user).await?;
    Ok(json(StatusCode::OK, value!({ "redirect_uris": trusted })))
}

/// Removes an address, and the user is asked again before it receives a key. An address that is not trusted is no error.
async fn forget(request: HttpRequest, services: Services) -> Result<HttpResponse, ApiError> {
    let caller = require_session(caller(&request, &services, Intent::Revoke(SignInAge::Any)).await?)?;
    let mut query = Fields::parse_query(request.query_string()).ok_or(ApiError::Malformed)?;
    let redirect_uri = required_text(&mut query, "redirect_uri")?;
    query.finish()?;
    services.users.distrust(&caller.evaluation.identity.user, &redirect_uri).await?;
    Ok(json(StatusCode::OK, value!({"redirect_uri": redirect_uri, "deleted": true})))
}
