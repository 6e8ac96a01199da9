//! `/vestibule/`: who am I.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Data};

use crate::{
    check::Checker,
    http::{Site, names::provider_name, redirect, visit::Visit},
    login::Login,
    pages::{Home, Place, Rule},
};

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
