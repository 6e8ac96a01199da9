//! `/vestibule/`: the page of the user's account.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::ServiceConfig};

use super::{
    Services,
    display_names::provider_name,
    get,
    page_request::{PageRequest, PageResult, answer},
    pages::{AccountPage, GrantRule, SitePage},
    redirect,
};

pub(super) fn routes(app: &mut ServiceConfig) {
    let show = async |request, services| answer(show(request, services).await);
    app.route("/", get().to(to_account))
        .route("/vestibule", get().to(to_account))
        .route(SitePage::Account.href(), get().to(show));
}

async fn to_account() -> HttpResponse {
    redirect(StatusCode::FOUND, SitePage::Account.href())
}

async fn show(request: HttpRequest, services: Services) -> PageResult {
    let page = PageRequest::authenticate(&request, &services, SitePage::Account).await?;
    Ok(page.show(StatusCode::OK, &home(&page)))
}

fn home(page: &PageRequest<'_>) -> AccountPage {
    let (evaluation, session) = (&page.caller.evaluation, &page.signed_in().session);
    let account = page.account();
    let email = Some(evaluation.identity.email.clone()).filter(|email| !email.is_empty() && *email != account.name);
    AccountPage {
        frame: page.frame(),
        account,
        email,
        rule: evaluation.grant.rule.as_ref().map(|rule| GrantRule::of(rule.as_str())),
        teams: evaluation.grant.teams.iter().map(|team| team.to_string()).collect(),
        provider: provider_name(&page.services.login, &session.provider),
        session_ends: session.created + page.site().limits.absolute,
        idle_limit: Some(page.site().limits.idle),
    }
}
