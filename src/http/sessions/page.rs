//! `/vestibule/sessions`: the page of a user's sessions.

use actix_web::{
    HttpRequest,
    http::StatusCode,
    web::{self, Form, ServiceConfig},
};

use super::end_own;
use crate::{
    http::{
        Services,
        display_names::provider_name,
        get,
        page_request::{FormFields, PageRequest, PageResult, answer},
    },
    login::Login,
    pages::{SessionRow, SessionsPage, SitePage, browser},
    secret::Digest,
    users::SessionEntry,
};

pub(in crate::http) fn routes(app: &mut ServiceConfig) {
    let show = async |request, services| answer(show(request, services).await);
    let submit = async |request, form, services| answer(submit(request, form, services).await);
    app.service(web::resource(SitePage::Sessions.href()).route(get().to(show)).post(submit));
}

async fn show(request: HttpRequest, services: Services) -> PageResult {
    let page = PageRequest::authenticate(&request, &services, SitePage::Sessions).await?;
    let sessions = services.users.sessions(page.user()).await.map_err(|error| page.fail(&error))?;
    let own = page.session();
    let (own_first, others): (Vec<_>, Vec<_>) = sessions.iter().partition(|session| session.id == own);
    let lines = own_first.into_iter().chain(others).map(|session| line(session, &own, &services.login)).collect();
    Ok(page.show(StatusCode::OK, &SessionsPage { frame: page.frame(), sessions: lines, csrf: page.csrf() }))
}

/// A session that has ended already is no error: the page lists the sessions that there are.
async fn submit(request: HttpRequest, form: Form<FormFields>, services: Services) -> PageResult {
    let page = PageRequest::authenticate_form(&request, &services, SitePage::Sessions, &form, &["end", "end_others"]).await?;
    let ended = match (form.one("action"), form.one("session_id").and_then(Digest::from_hex)) {
        (Some("end"), Some(session)) => end_own(&services, page.user(), &session).await.map(drop),
        (Some("end"), None) => Ok(()),
        (Some("end_others"), _) => services.users.end_sessions(page.user(), Some(&page.session())).await,
        _ => return Err(page.foreign_form()),
    };
    ended.map(|()| page.back()).map_err(|error| page.fail(&error))
}

fn line(SessionEntry { id, session }: &SessionEntry, own: &Digest, login: &Login) -> SessionRow {
    SessionRow {
        id: id.to_hex(),
        browser: session.agent.as_deref().and_then(browser),
        provider: provider_name(login, &session.provider),
        begun: session.created,
        last_used: session.last_seen,
        is_this_browser: id == own,
    }
}
