//! Signing in with a password, by the page's form.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Form};
use zeroize::Zeroizing;

use super::provider::{sign_in_page, target_of};
use crate::{
    http::{Services, browser_binding::is_ours, error, page_request::FormFields, passwords::origin, redirect, request::browser},
    local_accounts::{Attempt, SignInError},
    pages::SignInProblem,
    sign_ins::Refused,
};

/// `POST /sso/login`.
pub(super) async fn sign_in(request: HttpRequest, form: Form<FormFields>, services: Services) -> HttpResponse {
    let site = &services.site;
    let target = match target_of(form.one("rd"), site) {
        Ok(target) => target,
        Err(refused) => return error::return_refused(refused).respond(&request, site),
    };
    let Some(accounts) = services.local_accounts.as_deref() else { return error::not_found(request, services).await };
    let email = form.one("user_email").unwrap_or_default();
    let again = |status, problem| sign_in_page(&request, &services, &target, status, Some((email, problem)));
    if !is_ours(&request, site, form.one("csrf").unwrap_or_default()) {
        tracing::warn!(reason = "foreign_form", "login refused");
        return again(StatusCode::FORBIDDEN, SignInProblem::CookiesNeeded);
    }
    let device = site.cookies.device_in(&request);
    let attempt = Attempt {
        email,
        password: Zeroizing::new(form.all("password").next().unwrap_or_default().to_owned()),
        origin: origin(&request, site, device.as_deref()),
        browser: browser(&request, &services),
    };
    match accounts.sign_in(attempt).await {
        Ok(signed_in) => {
            let mut response = redirect(StatusCode::SEE_OTHER, &site.public_url.join(target.as_str()));
            site.set_login_cookies(&mut response, &signed_in.entered.handle, &signed_in.device);
            response
        }
        Err(SignInError::Wrong { .. }) => again(StatusCode::UNAUTHORIZED, SignInProblem::WrongCredentials),
        Err(SignInError::TooMany { retry_after }) => again(StatusCode::TOO_MANY_REQUESTS, SignInProblem::TooMany { retry_after }),
        Err(SignInError::Busy) => again(StatusCode::SERVICE_UNAVAILABLE, SignInProblem::Busy),
        Err(SignInError::NoRoleMapYet) => error::no_role_map_yet().respond(&request, site),
        Err(SignInError::Refused(Refused::Disabled)) => error::disabled(&site.contact).respond(&request, site),
        Err(SignInError::Refused(Refused::NoRole | Refused::MissingSource(_))) => {
            error::no_role_here(&site.contact).respond(&request, site)
        }
        Err(SignInError::Refused(Refused::Store(_)) | SignInError::Store(_)) => {
            error::store_unavailable("/sso/login").respond(&request, site)
        }
    }
}
