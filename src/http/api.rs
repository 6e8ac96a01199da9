//! The JSON API under `/vestibule/api/`: the authentication, fields and responses of all calls.
//!
//! A caller authenticates as in a check, with a header or the session cookie. Browsers send the cookie with requests of any
//! page, so a change by cookie must come from our own origin. It can revoke access, but not grant any.

pub(super) mod api_error;
pub(super) mod endpoint;
pub(super) mod fields;
pub(super) mod openapi;

use actix_web::{
    HttpRequest, HttpResponse,
    error::PayloadError,
    http::{StatusCode, header},
    web::Bytes,
};

use super::{Services, Site, api_keys, credential_headers, error::Failure, fetch_metadata};
use crate::{
    access::CredentialSources,
    check::{AuthenticatedCredential, AuthenticatedPrincipal},
    local_accounts::Accounts,
    principal::Evaluation,
    principal_cache::UserSession,
    users::Administrator,
};
use fields::Fields;

pub(super) use api_error::ApiError;
pub(super) use endpoint::Endpoint;

/// A body that has not been read yet.
pub(super) type Body = Result<Bytes, actix_web::Error>;

/// The intent of a call. It determines what a call with a session cookie must fulfill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    Read,
    /// Revokes access.
    Revoke(SignInAge),
    /// Creates a credential or a right, or removes the mark that refuses a user. With a session, users do this on a page, unless
    /// `api.session_writes` is set: a script of an upstream on the same origin cannot submit the page's form.
    Grant(SignInAge),
}

/// The age of the sign-in of a call with a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignInAge {
    Any,
    Recent,
}

/// Authenticates the caller. A call with a session cookie must fulfill the requirements of its intent.
pub(super) async fn caller(
    request: &HttpRequest,
    services: &Services,
    intent: Intent,
) -> Result<AuthenticatedPrincipal, ApiError> {
    let checker = &services.checker;
    let values = |place| credential_headers::values(request.headers(), place);
    let credential = checker.credentials().parse(CredentialSources::ALL, values);
    let principal = checker.authenticate(credential).await.map_err(ApiError::Authentication)?;
    if let AuthenticatedCredential::Session(signed_in) = &principal.credential {
        authorize_session(request, services, signed_in, intent)?;
    }
    Ok(principal)
}

fn authorize_session(
    request: &HttpRequest,
    services: &Services,
    signed_in: &UserSession,
    intent: Intent,
) -> Result<(), ApiError> {
    let Services { site, keys, .. } = services;
    let (Intent::Revoke(age) | Intent::Grant(age)) = intent else { return Ok(()) };
    if matches!(intent, Intent::Grant(_)) && !site.session_writes {
        return Err(ApiError::SessionWrite);
    }
    if !is_same_origin(request, site) {
        return Err(ApiError::ForeignOrigin);
    }
    match age {
        SignInAge::Recent if !keys.is_fresh(signed_in.session.authenticated_at) => Err(ApiError::StaleSignIn),
        SignInAge::Recent | SignInAge::Any => Ok(()),
    }
}

/// Returns the caller as an administrator, with a session or with a key that manages users.
pub(super) fn administrator<'a>(services: &Services, caller: &'a AuthenticatedPrincipal) -> Result<Administrator<'a>, ApiError> {
    let Evaluation { grant, identity, .. } = &*caller.evaluation;
    let administrator = services.policy.administrator(&identity.user, grant.role.as_ref()).ok_or(ApiError::NotAdministrator)?;
    match api_keys::manager(caller).can_manage_users() {
        true => Ok(administrator),
        false => Err(ApiError::NotManagingUsers),
    }
}

pub(super) fn local_accounts(services: &Services) -> Result<&Accounts, ApiError> {
    services.local_accounts.as_deref().ok_or(ApiError::NoLocalAccounts)
}

/// True if a page of this site made the request. Current browsers declare the origin of every request that changes something.
pub(super) fn is_same_origin(request: &HttpRequest, site: &Site) -> bool {
    fetch_metadata::request_origin(request, site) == fetch_metadata::RequestOrigin::SameOrigin
}

/// Refuses calls of pages that would open a session: a page could sign a user in to another account, to which the user then links
/// their own. With `api.session_writes`, pages of this origin are allowed.
pub(super) fn require_program(request: &HttpRequest, site: &Site) -> Result<(), ApiError> {
    match fetch_metadata::is_browser(request) {
        true if !site.session_writes => Err(ApiError::SessionWrite),
        true if !is_same_origin(request, site) => Err(ApiError::ForeignOrigin),
        _ => Ok(()),
    }
}

/// Reads the fields of a body, which may be empty. With a session even an empty body must be declared as JSON, since a page of
/// another origin can't do that without a preflight.
pub(super) fn read_fields(request: &HttpRequest, body: Body, caller: &AuthenticatedPrincipal) -> Result<Fields, ApiError> {
    let body = body.map_err(|error| body_error(&error))?;
    if body.is_empty() && !matches!(caller.credential, AuthenticatedCredential::Session(_)) {
        return Ok(Fields::default());
    }
    read_json_fields(request, &body)
}

/// Reads the fields of a body that must be declared as JSON.
pub(super) fn read_json_fields(request: &HttpRequest, body: &Bytes) -> Result<Fields, ApiError> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(ApiError::NotJson);
    }
    if body.is_empty() { Ok(Fields::default()) } else { Fields::parse(body).ok_or(ApiError::Malformed) }
}

pub(super) fn body_error(error: &actix_web::Error) -> ApiError {
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
    pub(super) fn respond(&self) -> HttpResponse {
        let response = Failure::from(self).json();
        if self.is_logged() {
            return response;
        }
        if response.status().is_server_error() {
            tracing::error!(error = %self.cause(), suppressed = tracing::field::Empty, "api request failed");
        } else {
            tracing::info!(reason = self.reason(), error = %self.cause(), suppressed = tracing::field::Empty, "api request refused");
        }
        response
    }
}

/// Requires a session. Keys and tokens have no access to sessions, passwords and sign-in methods.
pub(super) fn require_session(caller: AuthenticatedPrincipal) -> Result<AuthenticatedPrincipal, ApiError> {
    if matches!(caller.credential, AuthenticatedCredential::Session(_)) { Ok(caller) } else { Err(ApiError::SessionRequired) }
}

/// Returns a JSON response.
pub(super) fn json(status: StatusCode, body: serde_json::Value) -> HttpResponse {
    HttpResponse::build(status).json(body)
}
