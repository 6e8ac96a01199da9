//! The JSON API under `/vestibule/api/`: its endpoints, and what all its calls share: authentication, fields, answers.
//!
//! A caller is authenticated as by the check: by a header or by the session's cookie. A browser sends its cookie whatever page
//! makes the request, so a change by cookie must come from our own pages.

pub(super) mod api_error;
pub(super) mod endpoint;
pub(super) mod fields;
mod openapi;

use actix_web::{
    HttpRequest, HttpResponse,
    dev::HttpServiceFactory,
    error::PayloadError,
    http::{StatusCode, header},
    middleware::from_fn,
    web::{self, Bytes, Data},
};

use super::{
    Services, Site, api_keys, app_keys, credential_headers, csrf, error, invitations, login, paths::API, rate_limit, role_map,
    sessions, sign_in_methods, users,
};
use crate::{
    access::CredentialSources,
    check::{AuthenticatedCredential, AuthenticatedPrincipal},
    local_accounts::Accounts,
    principal::Evaluation,
    sign_ins::Administrator,
};
use fields::Fields;

pub(super) use api_error::ApiError;
pub(super) use endpoint::Endpoint;

/// A body that has not been read yet.
pub(super) type Body = Result<Bytes, actix_web::Error>;

/// The intent of a call. Calls by cookie need more for some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    Read,
    Change,
    /// A secret will be shown: by a session it takes a fresh sign-in.
    ShowSecret,
}

/// Every address of the API.
fn endpoints() -> Vec<Endpoint> {
    vec![
        api_keys::json::all(),
        api_keys::json::one(),
        api_keys::json::regenerate(),
        app_keys::trusted_redirects::all(),
        sessions::json::all(),
        sessions::json::one(),
        sign_in_methods::json::all(),
        sign_in_methods::json::unlink(),
        sign_in_methods::password::change(),
        login::json::sign_in(),
        invitations::json::all(),
        invitations::json::one(),
        users::json::all(),
        users::json::one(),
        users::json::disable(),
        users::json::enable(),
        users::json::sessions(),
        role_map::json::in_force(),
        role_map::json::explain(),
        openapi::document(),
    ]
}

pub(super) fn routes(services: &Services) -> impl HttpServiceFactory + use<> {
    let scope = web::scope(API).app_data(Data::new(openapi::DocumentCache::default()));
    let scope = endpoints().into_iter().fold(scope, |scope, address| scope.service(address.into_resource()));
    scope
        .default_service(web::to(async || ApiError::NotFound.respond()))
        .wrap(from_fn(rate_limit::limit_unknown_credentials(services)))
}

/// Authenticates the caller, and refuses calls by cookie that are not safe for their intent.
pub(super) async fn caller(
    request: &HttpRequest,
    services: &Services,
    intent: Intent,
) -> Result<AuthenticatedPrincipal, ApiError> {
    let Services { site, checker, keys, .. } = services;
    let values = |place| credential_headers::values(request.headers(), place);
    let credential = checker.credentials().parse(CredentialSources::ALL, values);
    let principal = checker.authenticate(credential).await.map_err(ApiError::Authentication)?;
    if let AuthenticatedCredential::Session(signed_in) = &principal.credential {
        if intent != Intent::Read && !is_same_origin(request, site) {
            return Err(ApiError::ForeignOrigin);
        }
        if intent == Intent::ShowSecret && !keys.is_fresh(signed_in.session.created) {
            return Err(ApiError::StaleSignIn);
        }
    }
    Ok(principal)
}

/// The caller as an administrator, in person or by a key that is for that.
pub(super) fn administrator<'a>(services: &Services, caller: &'a AuthenticatedPrincipal) -> Result<Administrator<'a>, ApiError> {
    let Evaluation { grant, identity, .. } = &*caller.evaluation;
    let role = grant.role.as_ref().filter(|role| services.site.admin_roles.contains(role)).ok_or(ApiError::NotAdministrator)?;
    match api_keys::manager(caller).may_manage_users() {
        true => Ok(Administrator { user: &identity.user, role }),
        false => Err(ApiError::NotManagingPeople),
    }
}

pub(super) fn local_accounts(services: &Services) -> Result<&Accounts, ApiError> {
    services.local_accounts.as_deref().ok_or(ApiError::NoLocalAccounts)
}

/// Every browser in use declares the origin of a request that changes something; a program has keys.
pub(super) fn is_same_origin(request: &HttpRequest, site: &Site) -> bool {
    csrf::request_origin(request, site) == csrf::RequestOrigin::SameOrigin
}

/// The fields of a body; none if it is empty. By a session even an empty body must be declared as JSON, since a page of another
/// origin can't do that without a preflight.
pub(super) fn read_fields(request: &HttpRequest, body: Body, caller: &AuthenticatedPrincipal) -> Result<Fields, ApiError> {
    let body = body.map_err(|error| unread(&error))?;
    if body.is_empty() && !matches!(caller.credential, AuthenticatedCredential::Session(_)) {
        return Ok(Fields::default());
    }
    json_fields(request, &body)
}

/// The fields of a body that must be declared as JSON.
pub(super) fn json_fields(request: &HttpRequest, body: &Bytes) -> Result<Fields, ApiError> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(ApiError::NotJson);
    }
    if body.is_empty() { Ok(Fields::default()) } else { Fields::parse(body).ok_or(ApiError::Malformed) }
}

pub(super) fn unread(error: &actix_web::Error) -> ApiError {
    match error.as_error::<PayloadError>() {
        Some(PayloadError::Overflow) => ApiError::TooLarge,
        Some(PayloadError::Io(cause)) if cause.kind() == std::io::ErrorKind::TimedOut => ApiError::Slow,
        _ => ApiError::Malformed,
    }
}

pub(super) fn answer(outcome: Result<HttpResponse, ApiError>) -> HttpResponse {
    outcome.unwrap_or_else(|refused| refused.respond())
}

impl ApiError {
    fn respond(&self) -> HttpResponse {
        let response = error::api(self);
        if self.is_logged() {
            return response;
        }
        if response.status().is_server_error() {
            tracing::error!(error = %self.cause(), "api request failed");
        } else {
            tracing::info!(reason = self.reason(), error = %self.cause(), "api request refused");
        }
        response
    }
}

/// The caller as a user in person: sessions, passwords and sign-in methods are not for keys and tokens.
pub(super) fn in_person(caller: AuthenticatedPrincipal) -> Result<AuthenticatedPrincipal, ApiError> {
    if matches!(caller.credential, AuthenticatedCredential::Session(_)) { Ok(caller) } else { Err(ApiError::NotInPerson) }
}

/// A plain answer.
pub(super) fn json(status: StatusCode, body: serde_json::Value) -> HttpResponse {
    HttpResponse::build(status).json(body)
}
