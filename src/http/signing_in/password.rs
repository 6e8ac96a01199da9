//! Signing in with a password, by the page's form.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Data, Form},
};
use zeroize::Zeroizing;

use super::login::{sign_in_page, target_of};
use crate::{
    accounts::{Attempt, SignInError},
    http::{Local, Site, binding::is_ours, error, passwords::origin, redirect, request::browser, visit::Posted},
    login::Login,
    pages::SignInProblem,
    sign_ins::Refused,
    users::Users,
};

/// `POST /sso/login`.
pub(super) async fn sign_in(
    request: HttpRequest,
    form: Form<Posted>,
    site: Data<Site>,
    (login, local, users): (Data<Login>, Local, Data<Users>),
) -> HttpResponse {
    let target = match target_of(form.one("rd"), &site) {
        Ok(target) => target,
        Err(refused) => return error::return_refused(refused).respond(&request),
    };
    let Some(accounts) = local.as_ref().as_ref() else { return error::not_found(request).await };
    let email = form.one("user_email").unwrap_or_default();
    let again = |status, problem| sign_in_page(&request, &site, &login, &local, &target, status, Some((email, problem)));
    if !is_ours(&request, &site, form.one("csrf").unwrap_or_default()) {
        tracing::warn!(reason = "not from our own page", "login refused");
        return again(StatusCode::FORBIDDEN, SignInProblem::CookiesNeeded);
    }
    let device = site.cookies.device_in(&request);
    let attempt = Attempt {
        email,
        password: Zeroizing::new(form.all("password").next().unwrap_or_default().to_owned()),
        origin: origin(&request, &site, device.as_deref()),
        browser: browser(&request, &site, &users),
    };
    match accounts.sign_in(attempt).await {
        Ok(signed_in) => {
            let mut response = redirect(StatusCode::SEE_OTHER, &site.public_url.join(target.as_str()));
            site.admit(&mut response, &signed_in.entered.handle, &signed_in.device);
            response
        }
        Err(SignInError::Wrong { .. }) => again(StatusCode::UNAUTHORIZED, SignInProblem::WrongCredentials),
        Err(SignInError::TooMany { retry_after }) => again(StatusCode::TOO_MANY_REQUESTS, SignInProblem::TooMany { retry_after }),
        Err(SignInError::Busy) => again(StatusCode::SERVICE_UNAVAILABLE, SignInProblem::Busy),
        Err(SignInError::NoRoleMapYet) => error::no_role_map_yet().respond(&request),
        Err(SignInError::Refused(Refused::Disabled)) => error::disabled(&site.contact).respond(&request),
        Err(SignInError::Refused(Refused::NoRole | Refused::MissingSource(_))) => {
            error::no_role_here(&site.contact).respond(&request)
        }
        Err(SignInError::Refused(Refused::Store(_)) | SignInError::Store(_)) => {
            error::store_unavailable("/sso/login").respond(&request)
        }
    }
}
