//! `/sso/backchannel-logout`: receives the logout tokens of identity providers.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Path},
};
use url::form_urlencoded;

use crate::http::{
    Services,
    api::{self, ApiError, Body, Endpoint},
    error::Failure,
    rate_limit,
};

/// The parameter with the token (OpenID Connect Back-Channel Logout 1.0, section 2.5).
const PARAMETER: &str = "logout_token";

/// The endpoint at this path. The path of a provider ends with its id. A registered URL may have a query of its own.
pub(super) fn endpoint(path: &'static str) -> Endpoint {
    Endpoint::new(path).with_query().post(receive)
}

async fn receive(request: HttpRequest, provider: Option<Path<String>>, body: Body, services: Services) -> HttpResponse {
    let token = match read_token(&request, body, &services) {
        Ok(token) => token,
        Err(error) => return error.respond(),
    };
    match services.backchannel_logout.accept(provider.as_deref().map(String::as_str), &token).await {
        Ok(()) => HttpResponse::Ok().finish(),
        Err(error) => Failure::from(&error).json(),
    }
}

fn read_token(request: &HttpRequest, body: Body, services: &Services) -> Result<String, ApiError> {
    rate_limit::limit_provider_logout(services, request)?;
    let body = body.map_err(|error| api::body_error(&error))?;
    only_token(&body).ok_or_else(|| ApiError::missing(PARAMETER))
}

/// Returns the token if the form has exactly one.
fn only_token(body: &Bytes) -> Option<String> {
    let mut tokens = form_urlencoded::parse(body).filter(|(name, _)| name == PARAMETER).map(|(_, token)| token);
    let token = tokens.next().filter(|token| !token.is_empty())?;
    tokens.next().is_none().then(|| token.into_owned())
}
