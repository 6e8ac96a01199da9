//! The page that an invitation's link leads to.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Form, Query},
};
use zeroize::Zeroizing;

use super::LinkQuery;
use crate::{
    http::{
        Services, Site,
        browser_binding::{is_ours, new_form_token},
        error, page,
        page_request::FormFields,
        passwords::unfit_problem,
        redirect,
        request::browser,
    },
    local_accounts::{Accounts, Claim, ClaimError, Token},
    pages::{self, Frame, ONBOARDING_REFUSED, OnboardingPage, PasswordProblem},
};

/// A look at the page uses nothing up, however often and by whomever it is opened.
pub(in crate::http::login) async fn show(request: HttpRequest, query: Query<LinkQuery>, services: Services) -> HttpResponse {
    let Some(accounts) = services.local_accounts.as_deref() else { return error::not_found(request, services).await };
    form(&request, &services.site, accounts, query.link(), StatusCode::OK, None).await
}

pub(in crate::http::login) async fn act(request: HttpRequest, posted: Form<FormFields>, services: Services) -> HttpResponse {
    let Some(accounts) = services.local_accounts.as_deref() else { return error::not_found(request, services).await };
    let site = &services.site;
    let field = |name| posted.one(name).unwrap_or_default();
    let link = field("invite_link");
    let again = async |status, problem| form(&request, site, accounts, link, status, Some(problem)).await;
    if !is_ours(&request, site, field("csrf")) {
        tracing::warn!(reason = "foreign_form", "invitation acceptance refused");
        return error::other_browser().respond(&request, site);
    }
    let password = Zeroizing::new(field("new_password").to_owned());
    if *password != field("repeat_password") {
        return again(StatusCode::BAD_REQUEST, PasswordProblem::Mismatch).await;
    }
    // The page may have lain open for longer than its token counts; who has the link gets another one.
    let opened = match accounts.onboarding_token(link).await {
        Ok(opened) => opened,
        Err(refused) => return told(&request, site, &refused),
    };
    let (token, user) = (opened.token, opened.invitation.user);
    let browser = browser(&request, &services);
    match accounts.claim(Claim { token: &token, link, user: &user, password, key: None, browser }).await {
        Ok(claimed) => {
            let mut response = redirect(StatusCode::SEE_OTHER, &site.public_url.join("/vestibule/"));
            site.set_login_cookies(&mut response, &claimed.entered.handle, &claimed.device);
            response
        }
        Err(ClaimError::Unfit(unfit)) => again(StatusCode::BAD_REQUEST, unfit_problem(unfit)).await,
        Err(ClaimError::Busy) => again(StatusCode::SERVICE_UNAVAILABLE, PasswordProblem::Busy).await,
        Err(refused) => told(&request, site, &refused),
    }
}

async fn form(
    request: &HttpRequest,
    site: &Site,
    accounts: &Accounts,
    link: &str,
    status: StatusCode,
    problem: Option<PasswordProblem>,
) -> HttpResponse {
    let Token { invitation, .. } = match accounts.onboarding_token(link).await {
        Ok(opened) => opened,
        Err(refused) => return told(request, site, &refused),
    };
    let (csrf, cookie) = new_form_token(request, site);
    let body = pages::render(&OnboardingPage {
        frame: Frame::of(&site.brand),
        email: invitation.email,
        role: Some(invitation.role.to_string()),
        expires: invitation.expires,
        minimum: accounts.passwords().min_length as u64,
        problem,
        invite_link: link.to_owned(),
        csrf,
    });
    let mut response = page(status, body);
    if let Some(cookie) = cookie {
        let _ = response.add_cookie(&site.cookies.login_cookie(&cookie));
    }
    response
}

fn told(request: &HttpRequest, site: &Site, refused: &ClaimError) -> HttpResponse {
    match refused {
        ClaimError::Invalid(_) | ClaimError::Key(_) | ClaimError::Unfit(_) => {
            error::Failure::new(StatusCode::UNAUTHORIZED, ONBOARDING_REFUSED).respond(request, site)
        }
        ClaimError::NoRoleMapYet => error::no_role_map_yet().respond(request, site),
        ClaimError::Busy | ClaimError::Store(_) => error::store_unavailable("").respond(request, site),
    }
}
