//! Detects a sign-in that cannot help: the browser is signed in, but the gateway refuses a credential in one of its headers.
//!
//! The gateway redirects such a browser to the sign-in, and the sign-in redirects it back, again and again.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};

use crate::{
    access::{CredentialSource, CredentialSources},
    check::{AuthenticationFailure, CheckRequest, Decision, RouteRestrictions},
    http::{
        Services,
        credential_headers::{self, find_credential_headers, has_credential},
        error::Failure,
        paths::is_own_path,
    },
    origin::PublicUrl,
    return_target::ReturnTarget,
};

/// Returns a page that names the headers, if they are the reason why a signed-in browser does not reach its target.
pub(super) async fn explain(request: &HttpRequest, services: &Services, target: &ReturnTarget) -> Option<HttpResponse> {
    // Most browsers send no such header.
    if !has_credential(request.headers()) || is_own_path(target.as_str()) || !has_live_session(request, services).await {
        return None;
    }
    let rejected = rejected_headers(request, services, target).await?;
    tracing::warn!(reason = "credential_header_rejected", suppressed = tracing::field::Empty, "login refused");
    let failure = Failure::of_page(StatusCode::UNAUTHORIZED, "error-header-rejected").with("headers", rejected.join(", "));
    Some(failure.action("action-again", target.as_str()).respond(request, &services.site))
}

async fn has_live_session(request: &HttpRequest, services: &Services) -> bool {
    let Some(cookie) = services.site.cookies.session_in(request) else { return false };
    let host = services.site.page_origin(request.headers()).host();
    let Ok(token) = services.checker.credentials().parse_session_on(host, &cookie) else { return false };
    matches!(services.checker.load_session(&token).await, Ok(Some(_)))
}

/// Returns the headers for which the check would refuse the target. A header takes precedence over the session.
async fn rejected_headers(request: &HttpRequest, services: &Services, target: &ReturnTarget) -> Option<Vec<&'static str>> {
    let headers = request.headers();
    let mut sources = CredentialSources::NONE;
    let origin = services.site.page_origin(headers);
    let parse = |read| {
        sources = read;
        services.checker.credentials().parse_on(origin.host(), read, |source| credential_headers::values(headers, source))
    };
    match services.checker.decide(&auth_request(origin, target), &RouteRestrictions::default(), parse).await {
        Decision::Unauthenticated(AuthenticationFailure::NoCredential | AuthenticationFailure::ExpiredClaims) => return None,
        Decision::Unauthenticated(_) => {}
        _ => return None,
    }
    let names: Vec<&str> = find_credential_headers(headers, sources).map(display_name).collect();
    (!names.is_empty()).then_some(names)
}

/// The auth request of a gateway for the browser's navigation to the target.
fn auth_request<'a>(origin: &'a PublicUrl, target: &'a ReturnTarget) -> CheckRequest<'a> {
    let (path, query) = match target.as_str().split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target.as_str(), None),
    };
    CheckRequest { method: "GET", scheme: origin.scheme(), host: origin.host(), path, query }
}

fn display_name(source: CredentialSource) -> &'static str {
    match source {
        CredentialSource::Authorization => "Authorization",
        other => other.as_str(),
    }
}
