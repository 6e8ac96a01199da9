//! `/vestibule/api/redirects`: app consents, as the redirect URIs that receive keys without asking the user again.

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
        .delete(async |request, services| answer(remove(request, services).await))
}

async fn list(request: HttpRequest, services: Services) -> Result<HttpResponse, ApiError> {
    let caller = require_session(caller(&request, &services, Intent::Read).await?)?;
    let consents = services.users.app_consents(&caller.evaluation.identity.user).await?;
    Ok(json(StatusCode::OK, value!({ "redirect_uris": consents })))
}

/// Removes an app consent, so that the user is asked again. A redirect URI without a consent is no error.
async fn remove(request: HttpRequest, services: Services) -> Result<HttpResponse, ApiError> {
    let caller = require_session(caller(&request, &services, Intent::Revoke(SignInAge::Any)).await?)?;
    let mut query = Fields::parse_query(request.query_string()).ok_or(ApiError::Malformed)?;
    let redirect_uri = required_text(&mut query, "redirect_uri")?;
    query.finish()?;
    services.users.remove_app_consent(&caller.evaluation.identity.user, &redirect_uri).await?;
    Ok(json(StatusCode::OK, value!({"redirect_uri": redirect_uri, "deleted": true})))
}
