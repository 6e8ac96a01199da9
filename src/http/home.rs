//! `/vestibule/`: who am I.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Data};

use super::{
    Site, error, page,
    pages::{self, Account, Home},
    redirect,
};
use crate::{check::Checker, login::Login, principal::Judged, principals::SignedIn};

const PATH: &str = "/vestibule/";

pub(super) async fn to_home() -> HttpResponse {
    redirect(StatusCode::FOUND, PATH)
}

pub(super) async fn show(request: HttpRequest, site: Data<Site>, checker: Data<Checker>, login: Data<Login>) -> HttpResponse {
    let sign_in = || redirect(StatusCode::FOUND, "/sso/login?rd=%2Fvestibule%2F");
    let Some(cookie) = site.cookies.session_in(&request) else { return sign_in() };
    match checker.who(&cookie).await {
        Ok(None) => sign_in(),
        Ok(Some((signed_in, judged))) => page(StatusCode::OK, pages::render(&home(&site, &login, &signed_in, &judged))),
        Err(unanswered) => {
            tracing::error!(cause = %unanswered, "who is signed in can't be looked up");
            error::store_unavailable(PATH).respond(&request)
        }
    }
}

fn home(site: &Site, login: &Login, signed_in: &SignedIn, judged: &Judged) -> Home {
    let account = account(signed_in, judged);
    let email = Some(judged.identity.email.clone()).filter(|email| !email.is_empty() && *email != account.name);
    let provider = &signed_in.session.provider;
    Home {
        account,
        email,
        rule: judged.grant.rule.as_ref().map(|rule| rule.to_string()).filter(|rule| rule != "default_role"),
        teams: judged.grant.teams.iter().map(|team| team.to_string()).collect(),
        provider: login.providers().get(provider).map_or_else(|| provider.clone(), |known| known.name().to_owned()),
        session_ends: signed_in.session.created + site.limits.absolute,
        idle_limit: Some(site.limits.idle),
        sign_out_href: "/sso/logout".to_owned(),
    }
}

/// The person, by the best name that is known.
pub(super) fn account(signed_in: &SignedIn, judged: &Judged) -> Account {
    let identity = &judged.identity;
    let known = [&identity.preferred_username, &identity.email].into_iter().find(|name| !name.is_empty());
    Account { name: known.unwrap_or(&signed_in.user.id).clone(), role: judged.grant.role.as_ref().map(|role| role.to_string()) }
}
