//! `/vestibule/sessions`: a person's own sessions, as a page.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Form};

use crate::{
    http::{
        Services,
        api::{refused::Refused, sessions::end_one},
        names::provider_name,
        visit::{Posted, Visit},
    },
    login::Login,
    pages::{Place, SessionLine, SessionsPage, browser},
    secret::Digest,
    store,
    users::Listed,
};

const PLACE: Place = Place::Sessions;

pub(super) async fn show(request: HttpRequest, services: Services) -> HttpResponse {
    match Visit::begin(&request, &services, PLACE).await {
        Ok(visit) => page(&visit).await.unwrap_or_else(|cause| visit.unavailable(&cause)),
        Err(response) => response,
    }
}

pub(super) async fn act(request: HttpRequest, form: Form<Posted>, services: Services) -> HttpResponse {
    let visit = match Visit::begin(&request, &services, PLACE).await {
        Ok(visit) => visit,
        Err(response) => return response,
    };
    if let Some(response) = visit.refuse(&form) {
        return response;
    }
    let ended = match form.one("action") {
        Some("end") => end(&visit, &form).await,
        Some("end_others") => end_others(&visit).await,
        _ => return visit.foreign_form(),
    };
    match ended {
        Ok(()) => visit.back(),
        Err(cause) => visit.unavailable(&cause),
    }
}

async fn page(visit: &Visit<'_>) -> Result<HttpResponse, store::Error> {
    let sessions = visit.services.users.sessions(visit.user()).await?;
    let own = visit.session();
    let (own_first, others): (Vec<_>, Vec<_>) = sessions.iter().partition(|session| session.id == own);
    let lines = own_first.into_iter().chain(others).map(|session| line(session, &own, &visit.services.login)).collect();
    let page = SessionsPage { frame: visit.frame(), sessions: lines, csrf: visit.csrf() };
    Ok(visit.show(StatusCode::OK, &page))
}

/// One that has ended already has ended: the page says what there is.
async fn end(visit: &Visit<'_>, form: &Posted) -> Result<(), store::Error> {
    let Some(handle) = form.one("session_id").and_then(Digest::from_hex) else { return Ok(()) };
    match end_one(visit.services, visit.user(), &handle).await {
        Err(Refused::Store(error)) => Err(error),
        _ => Ok(()),
    }
}

async fn end_others(visit: &Visit<'_>) -> Result<(), store::Error> {
    visit.services.users.end_sessions(visit.user(), Some(&visit.session())).await?;
    Ok(())
}

fn line(Listed { id, session }: &Listed, own: &Digest, login: &Login) -> SessionLine {
    SessionLine {
        id: id.to_hex(),
        browser: session.agent.as_deref().and_then(browser),
        provider: provider_name(login, &session.provider),
        begun: session.created,
        last_used: session.last_seen,
        is_this_browser: id == own,
    }
}
