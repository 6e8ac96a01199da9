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
    sign_in::{sign_in_path, sign_in_url},
};
use crate::{
    check::{CheckRequest, Decision, gateway::navigation},
    origin::PublicUrl,
};

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
/// escape a URL for a query, so the response has the URL of the sign-in. ingress-nginx builds its own.
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
                self.complete(redirect(StatusCode::FOUND, &sign_in_url(self.site, original)))
            }
            Decision::Unauthenticated(failure) => self.complete(error::authentication_error(*failure)),
            _ => self.render(Failure::of_denied_check(decision), self.site.origin_on(original.host)),
        }
    }

    /// Returns the response to a malformed auth request.
    pub fn refuse(&self) -> HttpResponse {
        self.render(error::malformed_auth_request(), &self.site.public_url)
    }

    /// A page with the brand of this origin if the client accepts one, else JSON.
    fn render(&self, failure: Failure, origin: &PublicUrl) -> HttpResponse {
        let is_page = navigation::accepts_html(self.values(header::ACCEPT.as_str()));
        let response =
            if is_page { failure.render_with(self.site, self.site.brand_of(origin), &self.request_id) } else { failure.json() };
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::check::{AuthenticationFailure, DenialReason, RuleDenial, UnavailableCause};
    use crate::principal::CredentialKind;

    const HTML: (&str, &str) = ("accept", "text/html,*/*;q=0.8");
    const JSON: (&str, &str) = ("accept", "application/json");

    fn respond(decision: &Decision, method: &str, headers: &[(&'static str, &'static str)]) -> HttpResponse {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let original = CheckRequest { method, scheme: "https", host: "llm.example.com", path: "/a", query: Some("b=1") };
        RelayedDenial::new(&Site::for_tests(), &map).respond(decision, &original)
    }

    fn value<'a>(response: &'a HttpResponse, name: &str) -> Option<&'a str> {
        response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    fn forbidden(reason: DenialReason) -> Decision {
        Decision::Forbidden { user: "u-1".to_owned(), credential: CredentialKind::Session, reason }
    }

    #[test]
    fn only_a_browser_that_opens_a_page_is_redirected() {
        for failure in [AuthenticationFailure::NoCredential, AuthenticationFailure::UnknownSession] {
            let decision = Decision::Unauthenticated(failure);
            let redirect = respond(&decision, "GET", &[HTML]);
            assert_eq!(redirect.status(), 302);
            assert_eq!(value(&redirect, "location"), Some("https://llm.example.com/sso/login?rd=%2Fa%3Fb%3D1"));
            assert_eq!(value(&redirect, "cache-control"), Some("no-store"));
            for (method, headers) in [("GET", JSON), ("GET", ("sec-fetch-mode", "cors")), ("POST", HTML), ("HEAD", HTML)] {
                let response = respond(&decision, method, &[headers]);
                assert_eq!(response.status(), 401);
                assert!(value(&response, "www-authenticate").unwrap().starts_with("Bearer "));
                assert_eq!((value(&response, "location"), value(&response, "content-type")), (None, Some("application/json")));
            }
        }
    }

    #[rstest]
    #[case::no_role(forbidden(DenialReason::NoRole), 403)]
    #[case::route(forbidden(DenialReason::RouteRestriction), 403)]
    #[case::closed(Decision::DeniedForAll(RuleDenial::UnknownRoute), 403)]
    #[case::timeout(Decision::Unavailable(UnavailableCause::Timeout), 503)]
    #[case::overdue(Decision::Unavailable(UnavailableCause::ClaimsOverdue), 503)]
    #[case::no_role_map(Decision::RoleMapNotLoaded, 503)]
    fn other_denials_are_a_page_or_json(#[case] decision: Decision, #[case] status: u16) {
        for (accept, kind) in
            [(HTML, "text/html; charset=utf-8"), (JSON, "application/json"), (("accept", "*/*"), "application/json")]
        {
            let response =
                respond(&decision, "GET", &[accept, ("sec-fetch-mode", "navigate"), ("x-request-id", "0a1b2c3d-4e5f")]);
            assert_eq!((response.status().as_u16(), value(&response, "content-type")), (status, Some(kind)));
            assert_eq!(value(&response, "retry-after").is_some(), status == 503);
            assert_eq!(value(&response, "x-request-id"), Some("0a1b2c3d-4e5f"));
            assert!(response.headers().keys().all(|name| !name.as_str().starts_with("x-vestibule-")));
            assert_eq!((value(&response, "cache-control"), value(&response, "location")), (Some("no-store"), None));
        }
    }

    #[test]
    fn nginx_gets_the_address_of_the_sign_in_and_no_redirect() {
        let original = CheckRequest { method: "GET", scheme: "https", host: "llm.example.com", path: "/a", query: None };
        let response = for_nginx(&Decision::Unauthenticated(AuthenticationFailure::NoCredential), &original);
        assert_eq!((response.status().as_u16(), value(&response, "x-vestibule-sign-in")), (401, Some("/sso/login?rd=%2Fa")));
        for (decision, status) in [(forbidden(DenialReason::NoRole), 403), (Decision::RoleMapNotLoaded, 503)] {
            assert_eq!(for_nginx(&decision, &original).status(), status);
        }
    }
}
