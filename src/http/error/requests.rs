//! Requests that the API or a page refuses before a domain is called.

use actix_web::{
    HttpRequest, HttpResponse,
    error::InternalError,
    http::{StatusCode, header::HeaderValue},
};

use super::Failure;
use crate::http::{Services, Site, api::api_error::ApiError, form_token::FormTokenError};

/// RFC 9470.
const CHALLENGE_FRESH: HeaderValue =
    HeaderValue::from_static(r#"Bearer realm="vestibule", error="insufficient_user_authentication""#);

pub(super) const UNEXPECTED: &str = "Something went wrong here. Give your administrator the X-Request-Id.";
pub(super) const UNEXPECTED_PAGE: &str = "error-internal";

const ACCOUNT: &str = "/vestibule/";

impl From<&ApiError> for Failure {
    fn from(refused: &ApiError) -> Self {
        match refused {
            ApiError::Authentication(error) => error.into(),
            ApiError::StaleSignIn => sign_in_again(),
            ApiError::ForeignOrigin => foreign_form(),
            ApiError::SessionWrite => session_write(),
            ApiError::NotJson => {
                Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request", "The body must be of type application/json.")
            }
            ApiError::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "The body is too large."),
            ApiError::Slow => slow_body(),
            ApiError::Malformed => malformed(),
            ApiError::RateLimited(error) => (*error).into(),
            ApiError::Query => Self::bad_request("This endpoint has no query parameters."),
            ApiError::Field(error) => Self::bad_request(format!("{error}.")),
            ApiError::NotFound => no_page(),
            ApiError::Method => {
                Self::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "This endpoint does not support the method.")
            }
            ApiError::NotAdministrator => administrators_only(),
            ApiError::NotManagingUsers => Self::forbidden("This credential is not permitted to manage users."),
            ApiError::SessionRequired => Self::forbidden("This requires a session, not a key or a token."),
            ApiError::NoLocalAccounts => no_local_accounts(),
            ApiError::NoSession => Self::absent("There is no such session."),
            ApiError::NoProvider => Self::absent("There is no such provider."),
            ApiError::NoIdentity => Self::absent("There is no such identity."),
            ApiError::LastIdentity => Self::limit_reached("This is your only sign-in method. Link another identity first."),
            ApiError::Begin(error) => error.into(),
            ApiError::Store(error) => error.into(),
            ApiError::Keys(error) => error.into(),
            ApiError::Invitation(error) => error.into(),
            ApiError::Explanation(error) => error.into(),
            ApiError::Administration(error) => error.into(),
            ApiError::SignIn(error) => error.into(),
            ApiError::Acceptance(error) => error.into(),
            ApiError::Password(error) => error.into(),
        }
    }
}

impl From<&FormTokenError> for Failure {
    fn from(refused: &FormTokenError) -> Self {
        match refused {
            FormTokenError::Foreign => foreign_form(),
            FormTokenError::Expired | FormTokenError::Used => Self::of_page(StatusCode::FORBIDDEN, "error-form-used"),
            FormTokenError::Store(error) => error.into(),
        }
    }
}

pub(in crate::http) async fn not_found(request: HttpRequest, services: Services) -> HttpResponse {
    no_page().respond(&request, &services.site)
}

/// Rejects a query or form that is malformed, too large, or has a parameter twice.
pub(in crate::http) fn reject_malformed_query(request: &HttpRequest, site: &Site) -> actix_web::Error {
    // The library's own message may quote the request.
    tracing::warn!(reason = "malformed_query_or_form", suppressed = tracing::field::Empty, "request refused");
    InternalError::from_response("a malformed query or form", malformed().respond(request, site)).into()
}

pub(in crate::http) fn reject_slow_body(request: &HttpRequest, site: &Site) -> actix_web::Error {
    tracing::warn!(reason = "body_timeout", suppressed = tracing::field::Empty, "request refused");
    InternalError::from_response("a slow body", slow_body().respond(request, site)).into()
}

pub(in crate::http) fn no_page() -> Failure {
    Failure::absent("There is no such page or endpoint.").page("error-not-found").action("action-account", ACCOUNT)
}

pub(in crate::http) fn internal() -> Failure {
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", UNEXPECTED).page(UNEXPECTED_PAGE)
}

pub(in crate::http) fn administrators_only() -> Failure {
    Failure::forbidden("Your role does not allow this.").page("error-for-administrators").action("action-account", ACCOUNT)
}

pub(in crate::http) fn no_local_accounts() -> Failure {
    let failure = Failure::absent("Local accounts are disabled (local_accounts.enabled).");
    failure.page("error-no-local-accounts").action("action-account", ACCOUNT)
}

/// A change that does not come from our own page.
pub(in crate::http) fn foreign_form() -> Failure {
    Failure::forbidden("A browser must send this request from a page of this site.").page("error-foreign-form")
}

/// A script or a frame of this origin requests a page of a session.
pub(in crate::http) fn navigation_required() -> Failure {
    Failure::forbidden("A browser must open this address in a tab.").page("error-not-in-a-tab").action("action-account", ACCOUNT)
}

/// A call with a session that would create a credential or a right.
fn session_write() -> Failure {
    let description = "A session may not do this by the API: use the page, or send an API key (see api.session_writes).";
    Failure::new(StatusCode::FORBIDDEN, "session_not_allowed", description)
}

/// The session has ended, or its sign-in is not fresh enough. A form can't be redirected to the identity provider, because
/// browsers refuse redirects of forms to other sites.
pub(in crate::http) fn sign_in_again() -> Failure {
    let description = "This requires a recent sign-in. Sign in again.";
    Failure::unauthorized("insufficient_user_authentication", description, CHALLENGE_FRESH).page("error-sign-in-again")
}

pub(in crate::http) fn unknown_provider() -> Failure {
    tracing::warn!(reason = "unknown_provider", suppressed = tracing::field::Empty, "login refused");
    Failure::of_page(StatusCode::NOT_FOUND, "error-unknown-provider").action("action-sign-in", "/sso/login")
}

/// A form or a login that began in another browser.
pub(in crate::http) fn other_browser() -> Failure {
    Failure::of_page(StatusCode::BAD_REQUEST, "error-other-browser")
}

fn malformed() -> Failure {
    let failure = Failure::bad_request("The body must be one JSON object, and a query must have each parameter once.");
    failure.page("error-malformed").action("action-account", ACCOUNT)
}

fn slow_body() -> Failure {
    let failure = Failure::new(StatusCode::REQUEST_TIMEOUT, "invalid_request", "The body did not arrive in time.");
    failure.page("error-slow").action("action-account", ACCOUNT)
}
