//! `/onboarding`: acceptance of an invitation, by the page that its link leads to or by programs.

mod page;

pub(super) use page::{show, submit};

use actix_web::{HttpRequest, HttpResponse, http::header, web::Query};
use serde::Deserialize;
use serde_json::json as value;
use zeroize::Zeroizing;

use crate::{
    api_keys::KeyParameters,
    http::{
        Services, Site,
        api::{self, Body, api_error::ApiError, fields::required_text, local_accounts},
        rate_limit,
        request::browser,
    },
    local_accounts::{Acceptance, AcceptanceRequest},
};

/// The parameters of an invitation link, in LiteLLM's current and older form.
#[derive(Deserialize)]
pub(super) struct LinkQuery {
    invite_link: Option<String>,
    id: Option<String>,
}

/// Returns a token to the holder of the link. This does not accept the invitation.
pub(super) async fn get_token(request: HttpRequest, services: Services) -> HttpResponse {
    api::answer(token(&request, &services).await)
}

/// Sets the password and signs in, once.
pub(super) async fn accept_invitation(request: HttpRequest, body: Body, services: Services) -> HttpResponse {
    api::answer(accept(&request, body, &services).await)
}

async fn token(request: &HttpRequest, services: &Services) -> Result<HttpResponse, ApiError> {
    rate_limit::limit_acceptance(services, request)?;
    let query = Query::<LinkQuery>::from_query(request.query_string()).map_err(|_| ApiError::Malformed)?;
    let token = local_accounts(services)?.onboarding_token(query.link()).await?;
    let body = value!({
        "login_url": services.site.public_url.join("/sso/login"),
        "token": *token.token,
        "user_email": token.invitation.email,
    });
    Ok(HttpResponse::Ok().json(body))
}

async fn accept(request: &HttpRequest, body: Body, services: &Services) -> Result<HttpResponse, ApiError> {
    rate_limit::limit_acceptance(services, request)?;
    let accounts = local_accounts(services)?;
    api::require_program(request, &services.site)?;
    // An absent token is refused as an invalid one.
    let token = bearer(request).unwrap_or_default();
    let mut fields = api::read_json_fields(request, &body.map_err(|error| api::body_error(&error))?)?;
    let link = required_text(&mut fields, "invitation_link")?;
    let user = required_text(&mut fields, "user_id")?;
    let password = Zeroizing::new(required_text(&mut fields, "password")?);
    let key = fields.flag("key")?.then(KeyParameters::default);
    fields.finish()?;
    let browser = browser(request, services);
    let accepted = accounts.accept(AcceptanceRequest { token, link: &link, user: &user, password, key, browser }).await?;
    let mut response = HttpResponse::Ok().json(to_json(&accepted, &services.site));
    services.site.set_login_cookies(&mut response, &accepted.login.session_token, &accepted.device);
    Ok(response)
}

fn to_json(accepted: &Acceptance, site: &Site) -> serde_json::Value {
    let mut body = value!({
        "user_id": accepted.login.user.id,
        "user_email": accepted.email,
        "user_role": accepted.login.grant.role,
        "redirect_url": site.public_url.join("/vestibule/"),
    });
    if let Some(created) = &accepted.key {
        body["key"] = created.secret.expose().into();
        body["token_id"] = created.key.id.to_string().into();
        body["expires"] = value!(created.key.expires);
    }
    body
}

fn bearer(request: &HttpRequest) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl LinkQuery {
    pub(super) fn link(&self) -> &str {
        self.invite_link.as_deref().or(self.id.as_deref()).unwrap_or_default()
    }
}
