//! `/vestibule/api/`: what the pages do, as JSON for programs.
//!
//! Callers authenticate as at a check, by a credential in a header or by the session's cookie. A browser
//! sends its cookie along whoever makes it ask, so that a change by cookie has to come from our own pages.

pub(super) mod address;
pub(super) mod fields;
mod identities;
pub(super) mod invitations;
pub(super) mod keys;
mod openapi;
mod password;
mod people;
mod redirects;
pub(super) mod refused;
pub(super) mod role_map;
pub(super) mod sessions;
mod sign_in;

use actix_web::{
    HttpRequest, HttpResponse,
    dev::HttpServiceFactory,
    error::PayloadError,
    http::{StatusCode, header},
    middleware::from_fn,
    web::{self, Bytes, Data},
};

use super::{Services, Site, credential, csrf, error, links::API, rate};
use crate::{
    access::CredentialSources,
    accounts::Accounts,
    check::{AuthenticatedCredential, AuthenticatedPrincipal},
    principal::Evaluation,
    sign_ins::Administrator,
};
use address::Address;
use fields::Fields;
use refused::Refused;

pub(super) use keys::manager;

/// What a call is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Intent {
    Look,
    Change,
    /// A secret will be shown: by a session it takes a fresh sign-in.
    ShowSecret,
}

/// Every address of the API.
fn addresses() -> Vec<Address> {
    vec![
        keys::all(),
        keys::one(),
        keys::regenerate(),
        redirects::all(),
        sessions::all(),
        sessions::one(),
        identities::all(),
        identities::unlink(),
        password::change(),
        sign_in::sign_in(),
        invitations::all(),
        invitations::one(),
        people::all(),
        people::one(),
        people::disable(),
        people::enable(),
        people::sessions(),
        role_map::in_force(),
        role_map::explain(),
        openapi::document(),
    ]
}

pub(super) fn routes(services: &Services) -> impl HttpServiceFactory + use<> {
    let scope = web::scope(API).app_data(Data::new(openapi::Served::default()));
    let scope = addresses().into_iter().fold(scope, |scope, address| scope.service(address.into_resource()));
    scope.default_service(web::to(async || Refused::NotFound.respond())).wrap(from_fn(rate::limit_unknown_credentials(services)))
}

/// Who calls, if they may do such a thing in such a way.
async fn caller(request: &HttpRequest, services: &Services, intent: Intent) -> Result<AuthenticatedPrincipal, Refused> {
    let Services { site, checker, keys, .. } = services;
    let values = |place| credential::values(request.headers(), place);
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
fn administrator<'a>(services: &Services, caller: &'a AuthenticatedPrincipal) -> Result<Administrator<'a>, Refused> {
    let Evaluation { grant, identity, .. } = &*caller.evaluation;
    let role = grant.role.as_ref().filter(|role| services.site.admin_roles.contains(role)).ok_or(Refused::NotAdministrator)?;
    match manager(caller).may_manage_people() {
        true => Ok(Administrator { user: &identity.user, role }),
        false => Err(Refused::NotManagingPeople),
    }
}

pub(super) fn local_accounts(services: &Services) -> Result<&Accounts, Refused> {
    services.local_accounts.as_deref().ok_or(Refused::NoLocalAccounts)
}

/// Every browser says where a request comes from that changes something; one that says nothing is none of
/// those that people use, and a program has keys.
fn is_same_origin(request: &HttpRequest, site: &Site) -> bool {
    csrf::came_from(request, site) == csrf::CameFrom::Ourselves
}

/// The fields of a body; none of an empty one. By a session it has to be said of that one too that it is JSON, since a page
/// of another origin can't say so without asking first.
fn fields(
    request: &HttpRequest,
    body: Result<Bytes, actix_web::Error>,
    caller: &AuthenticatedPrincipal,
) -> Result<Fields, Refused> {
    let body = body.map_err(|error| unread(&error))?;
    if body.is_empty() && !matches!(caller.credential, AuthenticatedCredential::Session(_)) {
        return Ok(Fields::default());
    }
    json_fields(request, &body)
}

/// The fields of a body that is said to be JSON.
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
        let response = error::api(self);
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

/// A plain answer.
fn json(status: StatusCode, body: serde_json::Value) -> HttpResponse {
    HttpResponse::build(status).json(body)
}
