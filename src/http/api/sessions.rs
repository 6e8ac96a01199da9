//! `/vestibule/api/sessions`: a person's own sessions.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Path};
use serde_json::{Value, json as value};

use super::{Address, Intent, Refused, answer, caller, json};
use crate::{
    check::{AuthenticatedCredential, AuthenticatedPrincipal},
    http::{Services, Site},
    secret::Digest,
    users::Listed,
};

pub(super) fn all() -> Address {
    Address::new("/sessions")
        .get(async |request, services| answer(list(request, services).await))
        .delete(async |request, services| answer(end_others(request, services).await))
}

pub(super) fn one() -> Address {
    Address::new("/sessions/{id}").delete(async |request, id, services| answer(end(request, id, services).await))
}

async fn list(request: HttpRequest, services: Services) -> Result<HttpResponse, Refused> {
    let caller = in_person(caller(&request, &services, Intent::Look).await?)?;
    let own = own_session(&request, &services.site);
    let sessions = services.users.sessions(&caller.evaluation.identity.user).await?;
    let listed: Vec<Value> = sessions.iter().map(|session| shown(session, own.as_ref(), &services.site)).collect();
    Ok(json(StatusCode::OK, value!({ "sessions": listed })))
}

async fn end(request: HttpRequest, id: Path<String>, services: Services) -> Result<HttpResponse, Refused> {
    let caller = in_person(caller(&request, &services, Intent::Change).await?)?;
    let user = &caller.evaluation.identity.user;
    let handle = Digest::from_hex(&id).ok_or(Refused::NoSession)?;
    end_one(&services, user, &handle).await?;
    Ok(json(StatusCode::OK, value!({"session_id": *id, "deleted": true})))
}

async fn end_others(request: HttpRequest, services: Services) -> Result<HttpResponse, Refused> {
    let caller = in_person(caller(&request, &services, Intent::Change).await?)?;
    let user = &caller.evaluation.identity.user;
    services.users.end_sessions(user, own_session(&request, &services.site).as_ref()).await?;
    Ok(json(StatusCode::OK, value!({"deleted": true})))
}

/// Ends a session that is the person's.
pub(in crate::http) async fn end_one(services: &Services, user: &str, handle: &Digest) -> Result<(), Refused> {
    let session = services.users.session(user, handle).await?;
    session.filter(|session| session.user == user).ok_or(Refused::NoSession)?;
    services.users.end_session(user, handle).await?;
    Ok(())
}

/// Sessions are a browser's affair.
pub(super) fn in_person(caller: AuthenticatedPrincipal) -> Result<AuthenticatedPrincipal, Refused> {
    if matches!(caller.credential, AuthenticatedCredential::Session(_)) { Ok(caller) } else { Err(Refused::NotInPerson) }
}

/// The id of the session that the request was made by.
pub(in crate::http) fn own_session(request: &HttpRequest, site: &Site) -> Option<Digest> {
    site.cookies.session_in(request).map(|cookie| Digest::of(cookie.as_bytes()))
}

fn shown(Listed { id, session }: &Listed, own: Option<&Digest>, site: &Site) -> Value {
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
