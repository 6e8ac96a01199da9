//! The JSON API under `/vestibule/api/`: its addresses, and what all its calls share: authentication, fields, answers.
//!
//! A caller is authenticated as by the check: by a header or by the session's cookie. A browser sends its cookie whatever page
//! makes the request, so a change by cookie must come from our own pages.

pub(super) mod address;
pub(super) mod fields;
mod openapi;
pub(super) mod refusal;

use actix_web::{
    HttpRequest, HttpResponse,
    dev::HttpServiceFactory,
    error::PayloadError,
    http::{StatusCode, header},
    middleware::from_fn,
    web::{self, Bytes, Data},
};

use super::{
    Services, Site, api_keys, app_keys, credential_headers, csrf, error::Failure, invitations, links::API, login, rate_limit,
    role_map, sessions, sign_in_methods, users,
};
use crate::{
    access::CredentialSources,
    check::{AuthenticatedCredential, AuthenticatedPrincipal},
    local_accounts::Accounts,
    principal::Evaluation,
    sign_ins::Administrator,
};
use fields::Fields;

pub(super) use address::Address;
pub(super) use refusal::Refused;

/// A body that has not been read yet.
pub(super) type Body = Result<Bytes, actix_web::Error>;

/// The intent of a call. Calls by cookie need more for some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    Look,
    Change,
    /// A secret will be shown: by a session it takes a fresh sign-in.
    ShowSecret,
}

/// Every address of the API.
fn addresses() -> Vec<Address> {
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
    let scope = web::scope(API).app_data(Data::new(openapi::Served::default()));
    let scope = addresses().into_iter().fold(scope, |scope, address| scope.service(address.into_resource()));
    scope
        .default_service(web::to(async || Refused::NotFound.respond()))
        .wrap(from_fn(rate_limit::limit_unknown_credentials(services)))
}

/// Authenticates the caller, and refuses calls by cookie that are not safe for their intent.
pub(super) async fn caller(
    request: &HttpRequest,
    services: &Services,
    intent: Intent,
) -> Result<AuthenticatedPrincipal, Refused> {
    let Services { site, checker, keys, .. } = services;
    let values = |place| credential_headers::values(request.headers(), place);
    let credential = checker.credentials().parse(CredentialSources::ALL, values);
    let principal = checker.authenticate(credential).await.map_err(Refused::Authentication)?;
    if let AuthenticatedCredential::Session(signed_in) = &principal.credential {
        if intent != Intent::Look && !is_same_origin(request, site) {
            return Err(Refused::ForeignOrigin);
        }
        if intent == Intent::ShowSecret && !keys.is_fresh(signed_in.session.created) {
            return Err(Refused::StaleSignIn);
        }
    }
    Ok(principal)
}

/// The caller as an administrator, in person or by a key that is for that.
pub(super) fn administrator<'a>(services: &Services, caller: &'a AuthenticatedPrincipal) -> Result<Administrator<'a>, Refused> {
    let Evaluation { grant, identity, .. } = &*caller.evaluation;
    let role = grant.role.as_ref().filter(|role| services.site.admin_roles.contains(role)).ok_or(Refused::NotAdministrator)?;
    match api_keys::manager(caller).may_manage_people() {
        true => Ok(Administrator { user: &identity.user, role }),
        false => Err(Refused::NotManagingPeople),
    }
}

pub(super) fn local_accounts(services: &Services) -> Result<&Accounts, Refused> {
    services.local_accounts.as_deref().ok_or(Refused::NoLocalAccounts)
}

/// Every browser in use declares the origin of a request that changes something; a program has keys.
pub(super) fn is_same_origin(request: &HttpRequest, site: &Site) -> bool {
    csrf::came_from(request, site) == csrf::CameFrom::Ourselves
}

/// The fields of a body; none if it is empty. By a session even an empty body must be declared as JSON, since a page of another
/// origin can't do that without a preflight.
pub(super) fn read_fields(request: &HttpRequest, body: Body, caller: &AuthenticatedPrincipal) -> Result<Fields, Refused> {
    let body = body.map_err(|error| unread(&error))?;
    if body.is_empty() && !matches!(caller.credential, AuthenticatedCredential::Session(_)) {
        return Ok(Fields::default());
    }
    json_fields(request, &body)
}

/// The fields of a body that must be declared as JSON.
pub(super) fn json_fields(request: &HttpRequest, body: &Bytes) -> Result<Fields, Refused> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Refused::NotJson);
    }
    if body.is_empty() { Ok(Fields::default()) } else { Fields::parse(body).ok_or(Refused::Malformed) }
}

pub(super) fn unread(error: &actix_web::Error) -> Refused {
    match error.as_error::<PayloadError>() {
        Some(PayloadError::Overflow) => Refused::TooLarge,
        Some(PayloadError::Io(cause)) if cause.kind() == std::io::ErrorKind::TimedOut => Refused::Slow,
        _ => Refused::Malformed,
    }
}

pub(super) fn answer(outcome: Result<HttpResponse, Refused>) -> HttpResponse {
    outcome.unwrap_or_else(|refused| refused.respond())
}

impl Refused {
    fn respond(&self) -> HttpResponse {
        let response = Failure::from(self).json();
        if self.is_logged() {
            return response;
        }
        if response.status().is_server_error() {
            tracing::error!(cause = %self.cause(), "a call can't be answered");
        } else {
            tracing::info!(reason = %self.cause(), "call refused");
        }
        response
    }
}

/// The caller as a user in person: sessions, passwords and sign-in methods are not for keys and tokens.
pub(super) fn in_person(caller: AuthenticatedPrincipal) -> Result<AuthenticatedPrincipal, Refused> {
    if matches!(caller.credential, AuthenticatedCredential::Session(_)) { Ok(caller) } else { Err(Refused::NotInPerson) }
}

/// A plain answer.
pub(super) fn json(status: StatusCode, body: serde_json::Value) -> HttpResponse {
    HttpResponse::build(status).json(body)
}
