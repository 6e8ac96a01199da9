//! `/onboarding`: taking an invitation up, by the page that its link leads to or by programs.

mod page;

pub(super) use page::{act, show};

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
    local_accounts::{Claim, Claimed},
};

/// As LiteLLM's links have it, and as older ones do.
#[derive(Deserialize)]
pub(super) struct LinkQuery {
    invite_link: Option<String>,
    id: Option<String>,
}

/// A token for who has the link: nothing is used up by it, and no key or session exists yet.
pub(super) async fn get_token(request: HttpRequest, services: Services) -> HttpResponse {
    api::answer(token(&request, &services).await)
}

/// Sets the password and signs in, once.
pub(super) async fn claim_token(request: HttpRequest, body: Body, services: Services) -> HttpResponse {
    api::answer(claim(&request, body, &services).await)
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

async fn claim(request: &HttpRequest, body: Body, services: &Services) -> Result<HttpResponse, ApiError> {
    rate_limit::limit_acceptance(services, request)?;
    let accounts = local_accounts(services)?;
    // One that isn't there is none of ours, as the log says then.
    let token = bearer(request).unwrap_or_default();
    let mut fields = api::json_fields(request, &body.map_err(|error| api::unread(&error))?)?;
    let link = required_text(&mut fields, "invitation_link")?;
    let user = required_text(&mut fields, "user_id")?;
    let password = Zeroizing::new(required_text(&mut fields, "password")?);
    let key = fields.flag("key")?.then(KeyParameters::default);
    fields.finish()?;
    let browser = browser(request, services);
    let claimed = accounts.claim(Claim { token, link: &link, user: &user, password, key, browser }).await?;
    let mut response = HttpResponse::Ok().json(told(&claimed, &services.site));
    services.site.set_login_cookies(&mut response, &claimed.entered.handle, &claimed.device);
    Ok(response)
}

fn told(claimed: &Claimed, site: &Site) -> serde_json::Value {
    let mut body = value!({
        "user_id": claimed.entered.user.id,
        "user_email": claimed.email,
        "user_role": claimed.entered.grant.role,
        "redirect_url": site.public_url.join("/vestibule/"),
    });
    if let Some(made) = &claimed.key {
        body["key"] = made.secret.expose().into();
        body["token_id"] = made.key.id.to_string().into();
        body["expires"] = value!(made.key.expires);
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
