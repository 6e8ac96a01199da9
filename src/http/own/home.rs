//! `/vestibule/`: who am I.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};

use crate::{
    http::{Services, names::provider_name, redirect, visit::Visit},
    pages::{Home, Place, Rule},
};

pub(super) async fn to_home() -> HttpResponse {
    redirect(StatusCode::FOUND, Place::Account.href())
}

pub(super) async fn show(request: HttpRequest, services: Services) -> HttpResponse {
    match Visit::begin(&request, &services, Place::Account).await {
        Ok(visit) => visit.show(StatusCode::OK, &home(&visit)),
        Err(response) => response,
    }
}

fn home(visit: &Visit<'_>) -> Home {
    let (judged, session) = (&visit.caller.evaluation, &visit.signed_in().session);
    let account = visit.account();
    let email = Some(judged.identity.email.clone()).filter(|email| !email.is_empty() && *email != account.name);
    Home {
        frame: visit.frame(),
        account,
        email,
        rule: judged.grant.rule.as_ref().map(|rule| Rule::of(rule.as_str())),
        teams: judged.grant.teams.iter().map(|team| team.to_string()).collect(),
        provider: provider_name(&visit.services.login, &session.provider),
        session_ends: session.created + visit.services.site.limits.absolute,
        idle_limit: Some(visit.services.site.limits.idle),
    }
}
