use jsonwebtoken::Header;
use rstest::rstest;
use serde_json::{Map, Value, json};

use super::*;
use crate::jwt::{
    Algorithm, KeySet,
    test_signer::{Signer, key_set},
};

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://idp.example.com";

fn valid_claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "vestibule", "iat": NOW, "exp": NOW + 120, "jti": "j", "sub": "s", "sid": "d",
        "events": {EVENT: {}},
    })
}

/// Returns the valid claims with some replaced. Null removes a claim.
fn claims_with(changed: &Value) -> Value {
    crate::json::with_members(valid_claims(), changed)
}

fn verify_with(token: &str, keys: &KeySet) -> Result<LogoutToken, LogoutTokenError> {
    let trusted = ["project".to_owned()];
    let algorithms = &[Algorithm::ES256];
    let expected = TokenExpectation { issuer: ISSUER, client_id: "vestibule", trusted_audiences: &trusted, algorithms, keys };
    verify(token, &expected, Timestamp::from_second(NOW).unwrap())
}

fn verify_claims(claims: &Value) -> Result<LogoutToken, LogoutTokenError> {
    let signer = Signer::es256(Some("k1"));
    verify_with(&signer.sign(claims), &key_set(&[&signer]))
}

fn session(subject: Option<&str>) -> LogoutTarget {
    LogoutTarget::Session { sid: "d".to_owned(), subject: subject.map(str::to_owned) }
}

#[rstest]
#[case::both(json!({}), session(Some("s")))]
#[case::session(json!({"sub": null}), session(None))]
#[case::subject(json!({"sid": null}), LogoutTarget::Subject("s".to_owned()))]
#[case::no_expiry(json!({"exp": null}), session(Some("s")))]
#[case::oldest(json!({"iat": NOW - 300}), session(Some("s")))]
#[case::clock_ahead(json!({"iat": NOW + 120}), session(Some("s")))]
#[case::trusted_audience(json!({"aud": ["vestibule", "project"]}), session(Some("s")))]
#[case::audience_as_list(json!({"aud": ["vestibule"]}), session(Some("s")))]
#[case::event_with_members(json!({"events": {EVENT: {"a": 1}, "https://example.com/event": 7}}), session(Some("s")))]
#[case::claims_that_are_not_needed(json!({"auth_time": "x", "typ": "Logout", "trace_id": [], "revoke_offline_access": true}), session(Some("s")))]
fn a_valid_token_names_what_has_ended(#[case] changed: Value, #[case] target: LogoutTarget) {
    assert_eq!(verify_claims(&claims_with(&changed)), Ok(LogoutToken { id: "j".to_owned(), target }));
}

/// The certification's tests of relying parties are those with another issuer, audience, algorithm or event, without event, and
/// with `nonce`.
#[rstest]
#[case::other_issuer(json!({"iss": "https://evil.example.com"}), JwtError::Issuer.into())]
#[case::no_issuer(json!({"iss": null}), JwtError::Missing("iss").into())]
#[case::other_audience(json!({"aud": "other"}), JwtError::Audience.into())]
#[case::further_audience(json!({"aud": ["vestibule", "other"]}), JwtError::Audience.into())]
#[case::only_a_trusted_audience(json!({"aud": ["project"]}), JwtError::Audience.into())]
#[case::no_audience(json!({"aud": null}), JwtError::Missing("aud").into())]
#[case::no_event(json!({"events": null}), LogoutTokenError::Event)]
#[case::other_event(json!({"events": {"http://schemas.openid.net/event/frontchannel-logout": {}}}), LogoutTokenError::Event)]
#[case::event_in_list(json!({"events": [EVENT]}), LogoutTokenError::Event)]
#[case::event_as_text(json!({"events": EVENT}), LogoutTokenError::Event)]
#[case::event_without_object(json!({"events": {EVENT: true}}), LogoutTokenError::Event)]
#[case::event_as_null(json!({"events": {EVENT: null}}), LogoutTokenError::Event)]
#[case::with_nonce(json!({"nonce": "n"}), LogoutTokenError::Nonce)]
#[case::with_empty_nonce(json!({"nonce": ""}), LogoutTokenError::Nonce)]
#[case::with_nonce_of_another_type(json!({"nonce": 0}), LogoutTokenError::Nonce)]
#[case::no_time_of_issue(json!({"iat": null}), JwtError::Missing("iat").into())]
#[case::time_of_issue_as_text(json!({"iat": "1800000000"}), JwtError::WrongType { claim: "iat", found: "a string" }.into())]
#[case::too_old(json!({"iat": NOW - 301}), LogoutTokenError::TooOld)]
#[case::issued_long_ago(json!({"iat": -1e300}), LogoutTokenError::TooOld)]
#[case::issued_in_future(json!({"iat": NOW + 121}), JwtError::IssuedInFuture.into())]
#[case::expired(json!({"exp": NOW - 120}), JwtError::Expired.into())]
#[case::expiry_as_text(json!({"exp": "1800000120"}), JwtError::WrongType { claim: "exp", found: "a string" }.into())]
#[case::not_yet_valid(json!({"nbf": NOW + 121}), JwtError::NotYetValid.into())]
#[case::no_id(json!({"jti": null}), JwtError::Missing("jti").into())]
#[case::empty_id(json!({"jti": ""}), LogoutTokenError::Empty("jti"))]
#[case::id_of_another_type(json!({"jti": 7}), JwtError::WrongType { claim: "jti", found: "a number" }.into())]
#[case::neither_session_nor_subject(json!({"sid": null, "sub": null}), LogoutTokenError::NoTarget)]
#[case::empty_session(json!({"sid": ""}), LogoutTokenError::Empty("sid"))]
#[case::empty_subject(json!({"sub": "", "sid": null}), LogoutTokenError::Empty("sub"))]
#[case::session_of_another_type(json!({"sid": ["d"]}), JwtError::WrongType { claim: "sid", found: "a list" }.into())]
#[case::subject_of_another_type(json!({"sub": {}}), JwtError::WrongType { claim: "sub", found: "an object" }.into())]
fn an_invalid_token_is_refused(#[case] changed: Value, #[case] expected: LogoutTokenError) {
    assert_eq!(verify_claims(&claims_with(&changed)), Err(expected));
}

#[test]
fn a_nonce_counts_as_present_even_if_it_is_null() {
    let mut claims = valid_claims();
    claims["nonce"] = Value::Null;
    assert_eq!(verify_claims(&claims), Err(LogoutTokenError::Nonce));
}

#[test]
fn an_id_token_is_no_logout_token() {
    let id_token = json!({"iss": ISSUER, "aud": "vestibule", "sub": "s", "sid": "d", "iat": NOW, "exp": NOW + 60, "jti": "j"});
    assert_eq!(verify_claims(&id_token), Err(LogoutTokenError::Event));
    assert_eq!(verify_claims(&Value::Object(Map::new())), Err(JwtError::Missing("iss").into()));
}

#[test]
fn the_type_is_that_of_logout_tokens_or_of_all_jwts_or_absent() {
    let signer = Signer::es256(Some("k1"));
    let with_type = |typ: Option<&str>| {
        let header = Header { typ: typ.map(str::to_owned), ..signer.header() };
        verify_with(&signer.sign_with(&header, &valid_claims()), &key_set(&[&signer])).map(drop)
    };
    for accepted in [None, Some("logout+jwt"), Some("application/logout+jwt"), Some("Logout+JWT"), Some("JWT")] {
        assert_eq!(with_type(accepted), Ok(()), "{accepted:?}");
    }
    for refused in ["at+jwt", "id_token+jwt", "secevent+jwt", "logout", ""] {
        assert_eq!(with_type(Some(refused)), Err(JwtError::Type.into()), "{refused}");
    }
}

#[test]
fn another_algorithm_or_key_or_no_signature_is_refused() {
    let (signer, other) = (Signer::es256(Some("k1")), Signer::eddsa(Some("k2")));
    let keys = key_set(&[&signer, &other]);
    assert_eq!(verify_with(&other.sign(&valid_claims()), &keys), Err(JwtError::Algorithm.into()));
    let unrelated = Signer::es256(Some("k1"));
    assert_eq!(verify_with(&unrelated.sign(&valid_claims()), &keys), Err(JwtError::Signature.into()));
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", signer.sign(&valid_claims()).split('.').nth(1).unwrap());
    assert_eq!(verify_with(&unsigned, &keys), Err(JwtError::Algorithm.into()));
    assert_eq!(verify_with("no token", &keys), Err(JwtError::Malformed.into()));
}

#[test]
fn a_token_is_remembered_for_longer_than_it_is_accepted() {
    // Accepted first by a pod whose clock is late, and again by one whose clock is ahead.
    assert!(LogoutToken::LIFETIME > MAX_AGE + super::super::LEEWAY);
}
