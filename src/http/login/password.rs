//! `POST /sso/login`: signs in with the page's password form, or begins a login for a provider's portal.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Form};
use zeroize::Zeroizing;

use super::{portal, provider::parse_target, refuse_script, sign_in_page::SignInRequest};
use crate::{
    http::{
        Services,
        browser_binding::is_own_form,
        error::{self, Failure},
        fetch_metadata::can_be_navigation,
        page_request::FormFields,
        passwords::origin,
        paths::LoginAuthentication,
        redirect,
        request::browser,
    },
    local_accounts::{Accounts, PasswordLogin, PasswordLoginError, PasswordLoginRequest},
    pages::Problem,
};

const PATH: &str = "/sso/login";

pub(super) async fn sign_in(request: HttpRequest, form: Form<FormFields>, services: Services) -> HttpResponse {
    let site = &services.site;
    if !can_be_navigation(&request) {
        return refuse_script(&request, &services);
    }
    if let Some(response) = portal::redirect_form(&form, site) {
        return response;
    }
    let target = match parse_target(form.one("rd"), site.public_url.host()) {
        Ok(target) => target,
        Err(error) => return Failure::from(error).respond(&request, site),
    };
    let Some(accounts) = services.local_accounts.as_deref() else { return error::no_page().respond(&request, site) };
    let authentication = LoginAuthentication::parse(form.one("authenticate"));
    let page = SignInRequest { request: &request, services: &services, target: &target, authentication };
    let email = form.one("user_email").unwrap_or_default();
    if !is_own_form(&request, &services, form.one("csrf").unwrap_or_default()) {
        tracing::warn!(reason = "foreign_form", suppressed = tracing::field::Empty, "login refused");
        return page.show(StatusCode::FORBIDDEN, Some((email, Problem::of("sign-in-problem-cookies"))));
    }
    match check_password(&request, &form, accounts, &services).await {
        Ok(signed_in) => {
            let mut response = redirect(StatusCode::SEE_OTHER, &site.public_url.join(target.as_str()));
            site.set_login_cookies(&mut response, &signed_in.login.session_token, &signed_in.device);
            response
        }
        Err(error) => refuse(&page, email, &error),
    }
}

async fn check_password(
    request: &HttpRequest,
    form: &FormFields,
    accounts: &Accounts,
    services: &Services,
) -> Result<PasswordLogin, PasswordLoginError> {
    let device = services.site.cookies.device_in(request);
    let attempt = PasswordLoginRequest {
        email: form.one("user_email").unwrap_or_default(),
        password: Zeroizing::new(form.all("password").next().unwrap_or_default().to_owned()),
        origin: origin(request, &services.site, device.as_deref()),
        browser: browser(request, services),
    };
    accounts.log_in(attempt).await
}

fn refuse(page: &SignInRequest<'_>, email: &str, error: &PasswordLoginError) -> HttpResponse {
    let failure = Failure::from(error);
    match failure.form_problem() {
        Some((status, problem)) => page.show(status, Some((email, problem))),
        None => failure.retry_at(PATH).respond(page.request, &page.services.site),
    }
}
