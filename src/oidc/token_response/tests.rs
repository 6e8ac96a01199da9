//! Tests of responses as providers send them.

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::json::arbitrary_text;

fn response(status: u16, content_type: &'static str, body: &str) -> HttpResponse {
    let mut response = HttpResponse::new(body.as_bytes().to_vec());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn read(status: u16, body: &str) -> Result<Tokens, TokenResponseError> {
    let normalized = normalize(&response(status, "text/plain", body))?;
    assert_eq!((normalized.status().as_u16(), normalized.headers()[CONTENT_TYPE].as_bytes()), (200, &b"application/json"[..]));
    let tokens: StandardTokens = serde_json::from_slice(normalized.body()).expect("it has every field");
    Ok(tokens.into())
}

/// The id_token, and the access token as a bearer token.
fn tokens(status: u16, body: &str) -> (Option<String>, Result<String, String>) {
    let tokens = read(status, body).unwrap_or_else(|error| panic!("{body}: {error}"));
    let bearer = tokens.bearer_token().map(|token| token.secret().clone()).map_err(|error| error.to_string());
    (tokens.id_token, bearer)
}

#[rstest]
#[case::ended(400, r#"{"error": "invalid_grant"}"#, Some(RefreshRefusal::Ended))]
#[case::ended_with_another_status(401, r#"{"error": "invalid_grant", "error_description": 7}"#, Some(RefreshRefusal::Ended))]
#[case::github(200, r#"{"error": "bad_refresh_token"}"#, Some(RefreshRefusal::Ended))]
#[case::entra(400, r#"{"error": "interaction_required"}"#, Some(RefreshRefusal::InteractionNeeded))]
#[case::client(401, r#"{"error": "invalid_client"}"#, None)]
#[case::unauthorized(400, r#"{"error": "unauthorized_client"}"#, None)]
#[case::other_case(400, r#"{"error": "INVALID_GRANT"}"#, None)]
#[case::in_a_text(400, r#"{"error": "temporarily_unavailable", "error_description": "invalid_grant"}"#, None)]
#[case::too_many(429, r#"{"error": "invalid_grant"}"#, None)]
#[case::server(502, r#"{"error": "invalid_grant"}"#, None)]
#[case::page(400, "<html>invalid_grant</html>", None)]
fn only_named_codes_say_something_about_the_refresh_token(
    #[case] status: u16,
    #[case] body: &str,
    #[case] expected: Option<RefreshRefusal>,
) {
    let error = read(status, body).err().expect("an error");
    assert_eq!(error.refresh_refusal(), expected, "{error}");
}

#[rstest]
#[case::form("application/x-www-form-urlencoded; charset=utf-8", Some(RefreshRefusal::Ended))]
#[case::plain_text("Text/Plain", Some(RefreshRefusal::Ended))]
#[case::page("text/html; charset=utf-8", None)]
#[case::wrong_json("application/json", None)]
#[case::no_type("", None)]
fn only_a_form_says_something_without_json(#[case] content_type: &'static str, #[case] expected: Option<RefreshRefusal>) {
    let page = "<a href=\"/login?a=1&error=invalid_grant&b\">sign in</a>";
    let error = normalize(&response(400, content_type, page)).expect_err("no tokens");
    assert_eq!(error.refresh_refusal(), expected, "{error}");
}

#[test]
fn a_refresh_token_is_read_if_it_is_a_text() {
    let token = |value: &str| read(200, &format!(r#"{{"access_token": "a", "refresh_token": {value}}}"#)).unwrap().refresh_token;
    assert_eq!(token(r#""r""#).as_deref(), Some("r"));
    for absent in ["null", "7", r#"["r"]"#, r#""""#] {
        assert_eq!(token(absent), None, "{absent}");
    }
}

#[rstest]
#[case::complete(200, r#"{"id_token": "i", "access_token": "a", "token_type": "Bearer", "expires_in": 3599}"#, Ok("a"))]
#[case::no_type(200, r#"{"id_token": "i", "access_token": "a"}"#, Ok("a"))]
#[case::null_type(201, r#"{"id_token": "i", "access_token": "a", "token_type": null}"#, Ok("a"))]
#[case::empty_type(200, r#"{"id_token": "i", "access_token": "a", "token_type": ""}"#, Ok("a"))]
#[case::type_of_another_type(200, r#"{"id_token": "i", "access_token": "a", "token_type": ["Bearer"]}"#, Ok("a"))]
#[case::upper_case(200, r#"{"id_token": "i", "access_token": "a", "token_type": "BEARER"}"#, Ok("a"))]
#[case::odd_fields(
    203,
    r#"{"id_token": "i", "access_token": "a", "expires_in": "3599", "scope": ["a"], "refresh_token": {}}"#,
    Ok("a")
)]
#[case::an_error_beside_tokens(200, r#"{"id_token": "i", "access_token": "a", "error": ""}"#, Ok("a"))]
#[case::no_access_token(200, r#"{"id_token": "i"}"#, Err("access_token is missing"))]
#[case::empty_access_token(200, r#"{"id_token": "i", "access_token": ""}"#, Err("access_token is missing"))]
#[case::access_token_of_another_type(200, r#"{"id_token": "i", "access_token": {"a": 1}}"#, Err("access_token is missing"))]
#[case::bound_to_a_key(
    200,
    r#"{"id_token": "i", "access_token": "a", "token_type": "DPoP"}"#,
    Err("token_type is another type than Bearer")
)]
fn the_needed_fields_are_read(#[case] status: u16, #[case] body: &str, #[case] bearer: Result<&str, &str>) {
    assert_eq!(tokens(status, body), (Some("i".to_owned()), bearer.map(str::to_owned).map_err(str::to_owned)));
}

#[test]
fn an_id_token_of_another_type_is_absent() {
    for id_token in ["null", "7", "{}", r#""""#, r#"["i"]"#] {
        let body = format!(r#"{{"access_token": "a", "id_token": {id_token}}}"#);
        assert_eq!(tokens(200, &body), (None, Ok("a".to_owned())), "{id_token}");
    }
}

#[rstest]
#[case(
    400,
    r#"{"error": "invalid_grant", "error_description": "j@example.com"}"#,
    r#"it refused with status 400: "invalid_grant""#
)]
#[case(200, r#"{"error": "bad_verification_code"}"#, r#"it refused with status 200: "bad_verification_code""#)]
#[case(400, r#"{"error": {"code": 190, "message": "j@example.com"}}"#, r#"it refused with status 400: "190""#)]
#[case(400, r#"{"error": {"type": "OAuthException"}}"#, r#"it refused with status 400: "OAuthException""#)]
#[case(401, r#"{"errorCode": "E0000004", "errorSummary": "…"}"#, r#"it refused with status 401: "E0000004""#)]
#[case(404, r#"{"timestamp": 1, "status": 404, "error": "Not Found"}"#, r#"it refused with status 404: "Not Found""#)]
#[case(400, "error=invalid_client&error_description=x", r#"it refused with status 400: "invalid_client""#)]
#[case(400, r#"{"error": "j@example.com"}"#, "it answered with status 400")]
#[case(400, r#"{"errors": [7, {"code": "E17", "message": "j@example.com"}]}"#, r#"it refused with status 400: "E17""#)]
#[case(400, r#"{"errcode": 40029, "errmsg": "invalid code"}"#, r#"it refused with status 400: "40029""#)]
#[case(400, r#"{"error": ["invalid_grant"]}"#, "it answered with status 400")]
#[case(400, r#"{"id_token": "i", "access_token": "a"}"#, "it answered with status 400")]
#[case(400, r#"["invalid_grant"]"#, "it answered with status 400")]
#[case(503, "<h1>Hello</h1>", "it answered with status 503")]
#[case(302, "", "it answered with status 302")]
#[case(200, "<h1>Hello</h1>", "its answer with status 200 is not a JSON object")]
#[case(204, "", "its answer with status 204 is not a JSON object")]
fn an_error_of_any_shape_is_described_by_status_and_code(#[case] status: u16, #[case] body: &str, #[case] expected: &str) {
    assert_eq!(read(status, body).err().expect(body).to_string(), expected);
}

#[test]
fn a_code_is_short_and_the_reason_contains_no_token() {
    let long = format!(r#"{{"error": "{}"}}"#, "x".repeat(500));
    assert!(read(400, &long).err().unwrap().to_string().len() < 110);
    let field = IdTokenField { id_token: Some("secret".to_owned()) };
    assert_eq!(format!("{field:?}"), "IdTokenField([redacted])");
}

proptest! {
    #[test]
    fn any_json_in_a_field_that_is_not_needed_does_not_matter(
        name in prop::sample::select(vec!["expires_in", "refresh_token", "scope", "session_state", "not-before-policy", "error", "ext"]),
        value in arbitrary_text(),
    ) {
        let body = format!(r#"{{"{name}": {value}, "id_token": "i", "access_token": "a", "x": {value}}}"#);
        prop_assert_eq!(tokens(200, &body), (Some("i".to_owned()), Ok("a".to_owned())));
    }
}
