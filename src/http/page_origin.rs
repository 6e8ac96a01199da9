//! Decides which of our own paths a further origin answers. All pages with a session are on `public_url`.

use actix_web::{
    HttpResponse,
    body::BoxBody,
    dev::ServiceRequest,
    http::{Method, StatusCode, header},
    middleware::Next,
};
use futures::future::FutureExt;

use super::{Services, credential_headers::has_credential, error, jwks, paths, rate_limit::ResponseFuture, redirect};
use crate::{api_keys::app_requests, pages::ASSETS};

/// The answer of a further origin to a request for one of our own paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OriginPath {
    /// Part of the sign-in and the session on this host.
    OwnSession,
    /// For programs. The session of a browser is not used, so that scripts of the upstream cannot use it either.
    WithoutSession,
    /// A page of `public_url`.
    PublicPage,
    /// A form of `public_url`.
    PublicForm,
    /// Opens a session of `public_url` for a program.
    PublicEndpoint,
}

/// Middleware that redirects pages of further origins to `public_url`.
pub(super) fn redirect_pages(services: &Services) -> impl Fn(ServiceRequest, Next<BoxBody>) -> ResponseFuture + use<> {
    let services = services.clone();
    move |mut request, next| {
        let site = &services.site;
        if site.further_origin(request.headers()).is_none() {
            return next.call(request).boxed_local();
        }
        let has_credential = has_credential(request.headers());
        let response = match OriginPath::of(request.method(), request.path(), has_credential) {
            OriginPath::OwnSession => return next.call(request).boxed_local(),
            OriginPath::WithoutSession => {
                request.headers_mut().remove(header::COOKIE);
                return next.call(request).boxed_local();
            }
            OriginPath::PublicPage => redirect_to_public_url(&request, &services),
            OriginPath::PublicForm => error::no_page().respond(request.request(), site),
            OriginPath::PublicEndpoint => error::no_page().json(),
        };
        std::future::ready(Ok(request.into_response(response))).boxed_local()
    }
}

fn redirect_to_public_url(request: &ServiceRequest, services: &Services) -> HttpResponse {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    redirect(StatusCode::FOUND, &services.site.public_url.join(path))
}

impl OriginPath {
    fn of(method: &Method, path: &str, has_credential: bool) -> Self {
        let is_below = |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        match path {
            "/sso/login" if !method.is_safe() => Self::PublicForm,
            "/sso/login" | "/sso/handover" | "/sso/logout" | "/sso/session" => Self::OwnSession,
            "/vestibule/api/sign-in" | "/onboarding/claim_token" => Self::PublicEndpoint,
            "/onboarding/get_token" | jwks::PATH => Self::WithoutSession,
            app_requests::PATH if has_credential || method == Method::OPTIONS => Self::WithoutSession,
            _ if paths::is_api_path(path) || path.starts_with(ASSETS) => Self::WithoutSession,
            _ if is_below("/sso/backchannel-logout") || is_below("/sso/frontchannel-logout") => Self::WithoutSession,
            _ if method.is_safe() => Self::PublicPage,
            _ => Self::PublicForm,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&["/sso/login", "/sso/handover", "/sso/logout", "/sso/session"], OriginPath::OwnSession, &[Method::GET, Method::HEAD])]
    #[case(&["/sso/logout", "/sso/handover"], OriginPath::OwnSession, &[Method::POST])]
    #[case(&["/sso/login", "/vestibule/keys", "/onboarding", "/vestibule/", "/sso/key/generate"], OriginPath::PublicForm, &[Method::POST])]
    #[case(&["/vestibule/api/sign-in", "/onboarding/claim_token"], OriginPath::PublicEndpoint, &[Method::POST])]
    #[case(
        &["/vestibule/", "/vestibule/keys", "/vestibule/sessions", "/onboarding", "/sso/callback", "/sso/callback/corp",
            "/sso/key/generate", "/sso/unknown", "/sso/login/", "/vestibule/apis", "//sso/login"],
        OriginPath::PublicPage,
        &[Method::GET, Method::HEAD]
    )]
    #[case(
        &["/vestibule/api", "/vestibule/api/keys", "/vestibule/api/sessions/x", "/vestibule/scim/v2/Users", "/vestibule/jwks.json",
            "/vestibule/assets/style.0.css", "/sso/backchannel-logout/corp", "/sso/frontchannel-logout", "/onboarding/get_token"],
        OriginPath::WithoutSession,
        &[Method::GET, Method::POST, Method::DELETE]
    )]
    fn only_the_sign_in_uses_the_session_of_a_further_origin(
        #[case] paths: &[&str],
        #[case] expected: OriginPath,
        #[case] methods: &[Method],
    ) {
        for (path, method) in paths.iter().flat_map(|path| methods.iter().map(move |method| (path, method))) {
            assert_eq!(OriginPath::of(method, path, false), expected, "{method} {path}");
        }
    }

    #[test]
    fn programs_with_a_credential_of_their_own_create_keys_on_every_host() {
        let of = |method, has_credential| OriginPath::of(&method, "/sso/key/generate", has_credential);
        assert_eq!(of(Method::GET, true), OriginPath::WithoutSession);
        assert_eq!(of(Method::OPTIONS, false), OriginPath::WithoutSession);
        assert_eq!(of(Method::GET, false), OriginPath::PublicPage);
    }
}
