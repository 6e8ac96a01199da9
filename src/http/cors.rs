//! Access of other origins' pages (the CORS protocol of the Fetch standard).

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderMap, HeaderValue},
    },
};

use crate::api_keys::app_requests::AllowedOrigins;

/// The headers that a page may send besides those that are always allowed.
const HEADERS: HeaderValue = HeaderValue::from_static("authorization, x-litellm-api-key");
const METHODS: HeaderValue = HeaderValue::from_static("GET");

/// Browsers cache the response to a preflight for at most two hours.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// Allows the page to read the response if its origin is listed.
pub(super) fn allow(origins: &AllowedOrigins, request: &HttpRequest, headers: &mut HeaderMap) {
    // Caches must not mix the responses for different origins.
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = request.headers().get(header::ORIGIN) else { return };
    match origins {
        AllowedOrigins::Any => headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        AllowedOrigins::Listed(listed) if listed.iter().any(|listed| listed.as_bytes() == origin.as_bytes()) => {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone())
        }
        AllowedOrigins::Listed(_) => return,
    };
}

/// Answers a preflight. If the origin is not listed, the headers are absent and the browser does not send the request.
pub(super) fn preflight(origins: &AllowedOrigins, request: &HttpRequest) -> HttpResponse {
    let mut response = HttpResponse::build(StatusCode::NO_CONTENT).finish();
    allow(origins, request, response.headers_mut());
    if response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;
    use rstest::rstest;

    fn listed() -> AllowedOrigins {
        AllowedOrigins::Listed(vec!["https://app.example.com".to_owned(), "vscode-webview://x1".to_owned()])
    }

    fn answer(origins: &AllowedOrigins, origin: Option<&str>) -> HttpResponse {
        let request = TestRequest::default();
        let request = origin.into_iter().fold(request, |request, origin| request.insert_header((header::ORIGIN, origin)));
        preflight(origins, &request.to_http_request())
    }

    fn value(response: &HttpResponse, name: header::HeaderName) -> Option<&str> {
        response.headers().get(name).and_then(|value| value.to_str().ok())
    }

    #[rstest]
    #[case::listed(listed(), Some("https://app.example.com"), Some("https://app.example.com"), true)]
    #[case::an_editors_own(listed(), Some("vscode-webview://x1"), Some("vscode-webview://x1"), true)]
    #[case::another_port(listed(), Some("https://app.example.com:8443"), None, false)]
    #[case::another_scheme(listed(), Some("http://app.example.com"), None, false)]
    #[case::a_longer_one(listed(), Some("https://app.example.com.evil.example"), None, false)]
    #[case::a_part_of_it(listed(), Some("https://app.example.co"), None, false)]
    #[case::capitals(listed(), Some("https://APP.example.com"), None, false)]
    #[case::no_origin_at_all(listed(), Some("null"), None, false)]
    #[case::a_list(listed(), Some("https://app.example.com, https://evil.example"), None, false)]
    #[case::empty(listed(), Some(""), None, false)]
    #[case::none_sent(listed(), None, None, false)]
    #[case::no_origin_listed(AllowedOrigins::Listed(Vec::new()), Some("https://app.example.com"), None, false)]
    #[case::any(AllowedOrigins::Any, Some("https://evil.example"), Some("*"), false)]
    #[case::any_and_none_sent(AllowedOrigins::Any, None, None, false)]
    fn only_listed_origins_are_allowed(
        #[case] origins: AllowedOrigins,
        #[case] origin: Option<&str>,
        #[case] allowed: Option<&str>,
        #[case] with_cookies: bool,
    ) {
        let response = answer(&origins, origin);
        assert_eq!(response.status(), 204);
        assert_eq!(value(&response, header::ACCESS_CONTROL_ALLOW_ORIGIN), allowed);
        assert_eq!(value(&response, header::ACCESS_CONTROL_ALLOW_CREDENTIALS).is_some(), with_cookies);
        assert_eq!(value(&response, header::ACCESS_CONTROL_ALLOW_METHODS).is_some(), allowed.is_some());
        assert_eq!(value(&response, header::VARY), Some("Origin"));
    }
}
