//! `/vestibule/api/sessions`: lists and ends the caller's sessions.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Path};
use serde_json::{Value, json as value};

use super::end_own;
use crate::{
    http::{
        Services, Site,
        api::{ApiError, Endpoint, Intent, SignInAge, answer, caller, json, require_session},
    },
    secret::Digest,
    users::SessionEntry,
};

pub(in crate::http) fn all() -> Endpoint {
    Endpoint::new("/sessions")
        .get(async |request, services| answer(list(request, services).await))
        .delete(async |request, services| answer(delete_others(request, services).await))
}

pub(in crate::http) fn one() -> Endpoint {
    Endpoint::new("/sessions/{id}").delete(async |request, id, services| answer(delete(request, id, services).await))
}

async fn list(request: HttpRequest, services: Services) -> Result<HttpResponse, ApiError> {
    let caller = require_session(caller(&request, &services, Intent::Read).await?)?;
    let own = services.site.cookies.session_id_in(&request);
    let sessions = services.users.sessions(&caller.evaluation.identity.user).await?;
    let listed: Vec<Value> = sessions.iter().map(|session| to_json(session, own.as_ref(), &services.site)).collect();
    Ok(json(StatusCode::OK, value!({ "sessions": listed })))
}

async fn delete(request: HttpRequest, id: Path<String>, services: Services) -> Result<HttpResponse, ApiError> {
    let caller = require_session(caller(&request, &services, Intent::Revoke(SignInAge::Any)).await?)?;
    let user = &caller.evaluation.identity.user;
    let session = Digest::from_hex(&id).ok_or(ApiError::NoSession)?;
    if !end_own(&services, user, &session).await? {
        return Err(ApiError::NoSession);
    }
    Ok(json(StatusCode::OK, value!({"session_id": *id, "deleted": true})))
}

async fn delete_others(request: HttpRequest, services: Services) -> Result<HttpResponse, ApiError> {
    let caller = require_session(caller(&request, &services, Intent::Revoke(SignInAge::Any)).await?)?;
    let own = services.site.cookies.session_id_in(&request);
    services.users.end_sessions(&caller.evaluation.identity.user, own.as_ref()).await?;
    Ok(json(StatusCode::OK, value!({"deleted": true})))
}

fn to_json(SessionEntry { id, session }: &SessionEntry, own: Option<&Digest>, site: &Site) -> Value {
    value!({
        "session_id": id.to_hex(),
        "current": own == Some(id),
        "provider": session.provider,
        "user_agent": session.agent,
        "created_at": session.created,
        "last_seen": session.last_seen,
        "expires": session.created + site.limits.absolute,
    })
}
