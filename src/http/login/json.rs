//! `/vestibule/api/sign-in`: signs in with a password, for programs that show a form of their own.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use serde_json::json as value;
use zeroize::Zeroizing;

use crate::{
    http::{
        Services, Site,
        api::{
            ApiError, Body, Endpoint, answer, body_error, fields::required_text, json, local_accounts, read_json_fields,
            require_program,
        },
        passwords::origin,
        request::browser,
    },
    local_accounts::{PasswordLogin, PasswordLoginRequest},
};

pub(in crate::http) fn sign_in() -> Endpoint {
    Endpoint::new("/sign-in").post(async |request, body, services| answer(handle(request, body, services).await))
}

async fn handle(request: HttpRequest, body: Body, services: Services) -> Result<HttpResponse, ApiError> {
    let accounts = local_accounts(&services)?;
    require_program(&request, &services.site)?;
    let body = body.map_err(|error| body_error(&error))?;
    let mut fields = read_json_fields(&request, &body)?;
    let email = required_text(&mut fields, "user_email")?;
    let password = required_text(&mut fields, "password")?;
    fields.finish()?;
    let device = services.site.cookies.device_in(&request);
    let origin = origin(&request, &services.site, device.as_deref());
    let attempt =
        PasswordLoginRequest { email: &email, password: Zeroizing::new(password), origin, browser: browser(&request, &services) };
    Ok(login_response(&accounts.log_in(attempt).await?, &services.site))
}

fn login_response(PasswordLogin { login: entered, device }: &PasswordLogin, site: &Site) -> HttpResponse {
    let mut response = json(
        StatusCode::OK,
        value!({
            "user_id": entered.user.id,
            "user_email": entered.user.local_account().map(|account| &account.subject),
            "user_role": entered.grant.role,
        }),
    );
    site.set_login_cookies(&mut response, &entered.session_token, device);
    response
}
