//! `/vestibule/`: who am I.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Data};

use super::{
    Site,
    pages::{Home, Place, Rule},
    redirect,
    visit::Visit,
};
use crate::{check::Checker, login::Login, principal::LOCAL};

pub(super) async fn to_home() -> HttpResponse {
    redirect(StatusCode::FOUND, Place::Account.href())
}

pub(super) async fn show(request: HttpRequest, site: Data<Site>, checker: Data<Checker>, login: Data<Login>) -> HttpResponse {
    match Visit::begin(&request, &site, &checker, Place::Account).await {
        Ok(visit) => visit.show(StatusCode::OK, &home(&visit, &login)),
        Err(response) => response,
    }
}

fn home(visit: &Visit<'_>, login: &Login) -> Home {
    let (judged, session) = (&visit.caller.judged, &visit.signed_in().session);
    let account = visit.account();
    let email = Some(judged.identity.email.clone()).filter(|email| !email.is_empty() && *email != account.name);
    Home {
        frame: visit.frame(),
        account,
        email,
        rule: judged.grant.rule.as_ref().map(|rule| Rule::of(rule.as_str())),
        teams: judged.grant.teams.iter().map(|team| team.to_string()).collect(),
        provider: provider_name(login, &session.provider),
        session_ends: session.created + visit.site.limits.absolute,
        idle_limit: Some(visit.site.limits.idle),
    }
}

/// What people call a provider; none for a password. One that is not configured any more has its id alone.
pub(super) fn provider_name(login: &Login, id: &str) -> Option<String> {
    let name = || login.providers().get(id).map_or_else(|| id.to_owned(), |known| known.name().to_owned());
    (id != LOCAL).then(name)
}
