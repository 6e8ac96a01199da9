//! The page that an invitation's link leads to.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Data, Form, Query},
};
use zeroize::Zeroizing;

use super::LinkQuery;
use crate::{
    accounts::{Accounts, Claim, ClaimError, Token},
    http::{
        Local, Site,
        binding::{is_ours, new_form_token},
        error, page,
        passwords::unfit_problem,
        redirect,
        request::browser,
        visit::Posted,
    },
    pages::{self, Frame, ONBOARDING_REFUSED, Onboarding, PasswordProblem},
    users::Users,
};

/// A look at the page uses nothing up, however often and by whomever it is opened.
pub(in crate::http::signing_in) async fn show(
    request: HttpRequest,
    query: Query<LinkQuery>,
    (site, local): (Data<Site>, Local),
) -> HttpResponse {
    let Some(accounts) = local.as_ref().as_ref() else { return error::not_found(request).await };
    form(&request, &site, accounts, query.link(), StatusCode::OK, None).await
}

pub(in crate::http::signing_in) async fn act(
    request: HttpRequest,
    posted: Form<Posted>,
    (site, local, users): (Data<Site>, Local, Data<Users>),
) -> HttpResponse {
    let Some(accounts) = local.as_ref().as_ref() else { return error::not_found(request).await };
    let field = |name| posted.one(name).unwrap_or_default();
    let link = field("invite_link");
    let again = async |status, problem| form(&request, &site, accounts, link, status, Some(problem)).await;
    if !is_ours(&request, &site, field("csrf")) {
        tracing::warn!(reason = "not from our own page", "a claim refused");
        return error::other_browser().respond(&request);
    }
    let password = Zeroizing::new(field("new_password").to_owned());
    if *password != field("repeat_password") {
        return again(StatusCode::BAD_REQUEST, PasswordProblem::Mismatch).await;
    }
    // The page may have lain open for longer than its token counts; who has the link gets another one.
    let opened = match accounts.onboarding_token(link).await {
        Ok(opened) => opened,
        Err(refused) => return told(&request, &refused),
    };
    let (token, user) = (opened.token, opened.invitation.user);
    let browser = browser(&request, &site, &users);
    match accounts.claim(Claim { token: &token, link, user: &user, password, key: None, browser }).await {
        Ok(claimed) => {
            let mut response = redirect(StatusCode::SEE_OTHER, &site.public_url.join("/vestibule/"));
            site.admit(&mut response, &claimed.entered.handle, &claimed.device);
            response
        }
        Err(ClaimError::Unfit(unfit)) => again(StatusCode::BAD_REQUEST, unfit_problem(unfit)).await,
        Err(ClaimError::Busy) => again(StatusCode::SERVICE_UNAVAILABLE, PasswordProblem::Busy).await,
        Err(refused) => told(&request, &refused),
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
        Err(refused) => return told(request, &refused),
    };
    let (csrf, cookie) = new_form_token(request, site);
    let body = pages::render(&Onboarding {
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

fn told(request: &HttpRequest, refused: &ClaimError) -> HttpResponse {
    match refused {
        ClaimError::Invalid(_) | ClaimError::Key(_) | ClaimError::Unfit(_) => {
            error::Failure::new(StatusCode::UNAUTHORIZED, ONBOARDING_REFUSED).respond(request)
        }
        ClaimError::NoRoleMapYet => error::no_role_map_yet().respond(request),
        ClaimError::Busy | ClaimError::Store(_) => error::store_unavailable("").respond(request),
    }
}
