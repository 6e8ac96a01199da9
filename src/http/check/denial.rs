//! Responses to checks that are not allowed. nginx reads only their status and headers; the other gateways relay them to the
//! client.

use std::time::Duration;

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
};

use super::{
    super::{
        Site,
        error::{self, Failure},
        redirect,
        request_id::{REQUEST_ID, RequestId},
        security_headers::{self, OpenerPolicy},
    },
    sign_in::sign_in_path,
};
use crate::check::{CheckRequest, Decision, gateway::navigation};

const SIGN_IN: HeaderName = HeaderName::from_static("x-vestibule-sign-in");

/// The time after which a client should repeat a request that could not be checked.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The client's headers, which select the form of a denial that the gateway relays.
pub(super) struct RelayedDenial<'a> {
    site: &'a Site,
    headers: &'a HeaderMap,
    request_id: RequestId,
}

/// Returns the response to nginx, which understands 2xx, 401 and 403 and answers every other status with 500. Plain nginx can't
/// escape a URL for a query, so it gets that of the sign-in. ingress-nginx builds its own.
pub(super) fn for_nginx(decision: &Decision, original: &CheckRequest<'_>) -> HttpResponse {
    let text = decision.description();
    match decision {
        Decision::Unauthenticated(failure) => {
            let mut response = error::authentication_error(*failure);
            if let Ok(path) = HeaderValue::try_from(sign_in_path(original)) {
                response.headers_mut().insert(SIGN_IN, path);
            }
            response
        }
        Decision::Unavailable(cause) => error::unavailable(text, cause.retry_after()),
        Decision::RoleMapNotLoaded => error::unavailable(text, None),
        _ => error::json(StatusCode::FORBIDDEN, "access_denied", text),
    }
}

impl<'a> RelayedDenial<'a> {
    pub fn new(site: &'a Site, headers: &'a HeaderMap) -> Self {
        Self { site, headers, request_id: RequestId::from_headers_or_new(headers) }
    }

    /// Returns the response for the client: the sign-in for a browser that opens a page, else an error as a page or as JSON.
    pub fn respond(&self, decision: &Decision, original: &CheckRequest<'_>) -> HttpResponse {
        match decision {
            Decision::Unauthenticated(_) if navigation::is_navigation(original.method, |name| self.values(name)) => {
                let sign_in = self.site.public_url.join(&sign_in_path(original));
                self.complete(redirect(StatusCode::FOUND, &sign_in))
            }
            Decision::Unauthenticated(failure) => self.complete(error::authentication_error(*failure)),
            _ => self.render(Failure::of_denied_check(decision)),
        }
    }

    /// Returns the response to a malformed auth request.
    pub fn refuse(&self) -> HttpResponse {
        self.render(error::malformed_auth_request())
    }

    /// A page if the client accepts one, else JSON.
    fn render(&self, failure: Failure) -> HttpResponse {
        let is_page = navigation::accepts_html(self.values(header::ACCEPT.as_str()));
        let response = if is_page { failure.render(self.site, &self.request_id) } else { failure.json() };
        self.complete(response)
    }

    /// Adds the headers that all responses to clients have.
    fn complete(&self, mut response: HttpResponse) -> HttpResponse {
        if response.status() == StatusCode::SERVICE_UNAVAILABLE && !response.headers().contains_key(header::RETRY_AFTER) {
            error::set_retry_after(&mut response, Some(RETRY_AFTER));
        }
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(self.request_id.as_str()) {
            headers.insert(REQUEST_ID, id);
        }
        security_headers::complete(headers, OpenerPolicy::of(self.headers));
        response
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.headers.get_all(name).map(HeaderValue::as_bytes)
    }
}
