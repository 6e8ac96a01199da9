//! Reads the bodies and query parameters of SCIM requests.

use actix_web::{HttpRequest, error::PayloadError, http::header};
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::answer::ScimRefusal;
use crate::{
    http::api::Body,
    scim::{Filter, MAX_PAGE, PageRange, Projection, ScimError},
};

/// The size of a page if the client requests none.
const DEFAULT_PAGE: usize = 100;

/// The query of a request for a list (RFC 7644, section 3.4.2).
#[derive(Debug)]
pub(super) struct ResourceQuery {
    pub filter: Option<Filter>,
    pub page: PageRange,
    pub projection: Projection,
}

impl ResourceQuery {
    pub fn parse(request: &HttpRequest) -> Result<Self, ScimError> {
        let query = request.query_string();
        let filter = parameter(query, "filter").filter(|filter| !filter.trim().is_empty());
        let start = number(query, "startIndex")?.map_or(1, |start| usize::try_from(start).unwrap_or(0).max(1));
        let count = number(query, "count")?.map_or(DEFAULT_PAGE, |count| usize::try_from(count).unwrap_or(0).min(MAX_PAGE));
        Ok(Self {
            filter: filter.map(|filter| Filter::parse(&filter)).transpose()?,
            page: PageRange { start, count },
            projection: projection(request),
        })
    }
}

pub(super) fn projection(request: &HttpRequest) -> Projection {
    let query = request.query_string();
    Projection::parse(parameter(query, "attributes").as_deref(), parameter(query, "excludedAttributes").as_deref())
}

/// Reads an object from a body.
pub(super) fn read_object(request: &HttpRequest, body: Body) -> Result<Map<String, Value>, ScimRefusal> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let is_accepted = |accepted: &&str| accepted.eq_ignore_ascii_case(essence);
    if !["application/scim+json", "application/json", ""].iter().any(is_accepted) {
        return Err(ScimRefusal::MediaType);
    }
    let body = body.map_err(|error| body_error(&error))?;
    let object = serde_json::from_slice(&body).map_err(|_| ScimError::syntax("The body is not a JSON object."))?;
    Ok(object)
}

/// The id in the path.
pub(super) fn id(request: &HttpRequest) -> &str {
    request.match_info().get("id").unwrap_or_default()
}

fn body_error(error: &actix_web::Error) -> ScimRefusal {
    match error.as_error::<PayloadError>() {
        Some(PayloadError::Overflow) => ScimRefusal::TooLarge,
        Some(PayloadError::Io(cause)) if cause.kind() == std::io::ErrorKind::TimedOut => ScimRefusal::Slow,
        _ => ScimError::syntax("The body cannot be read.").into(),
    }
}

/// Returns a parameter, whose name ignores case as those of attributes do.
fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.into_owned())
}

fn number(query: &str, name: &str) -> Result<Option<i64>, ScimError> {
    let Some(text) = parameter(query, name) else { return Ok(None) };
    text.trim().parse().map(Some).map_err(|_| ScimError::InvalidValue(format!("{name} must be a number.").into()))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", 1, 100, false)]
    #[case("?startIndex=1&count=2", 1, 2, false)]
    #[case("?startindex=0&COUNT=-1", 1, 0, false)]
    #[case("?startIndex=-5&count=100000", 1, MAX_PAGE, false)]
    #[case("?filter=userName+eq+%22a%22&startIndex=3", 3, 100, true)]
    #[case("?filter=", 1, 100, false)]
    fn pages_are_within_bounds(#[case] query: &str, #[case] start: usize, #[case] count: usize, #[case] has_filter: bool) {
        let request = TestRequest::with_uri(&format!("/Users{query}")).to_http_request();
        let query = ResourceQuery::parse(&request).unwrap();
        assert_eq!((query.page, query.filter.is_some()), (PageRange { start, count }, has_filter));
    }

    #[rstest]
    #[case("?count=many")]
    #[case("?startIndex=")]
    #[case("?filter=userName%20pr")]
    fn wrong_queries_are_refused(#[case] query: &str) {
        let request = TestRequest::with_uri(&format!("/Users{query}")).to_http_request();
        assert!(ResourceQuery::parse(&request).is_err());
    }

    #[rstest]
    #[case("application/scim+json", true)]
    #[case("application/scim+json; charset=utf-8", true)]
    #[case("Application/JSON", true)]
    #[case("", true)]
    #[case("text/plain", false)]
    #[case("application/x-www-form-urlencoded", false)]
    fn bodies_are_json(#[case] content_type: &str, #[case] expected: bool) {
        let request = TestRequest::default().insert_header(("content-type", content_type)).to_http_request();
        assert_eq!(read_object(&request, Ok("{}".into())).is_ok(), expected);
        assert!(read_object(&request, Ok("[]".into())).is_err());
    }
}
