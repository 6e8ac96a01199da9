use std::sync::LazyLock;

use jsonwebtoken::Header;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::{
    json::{self, arbitrary, object},
    jwt::{
        KeySet,
        test_signer::{Signer, key_set},
    },
};

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://idp.example.com";
const ACCESS_TOKEN: &str = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";

fn valid_claims() -> Value {
    json!({"iss": ISSUER, "aud": "vestibule", "sub": "s", "nonce": "n", "exp": NOW + 60, "iat": NOW})
}

/// Returns the valid claims with some replaced. Null removes a claim.
fn claims_with(changed: &Value) -> Value {
    crate::json::with_members(valid_claims(), changed)
}

fn verify_with(token: &str, keys: &KeySet) -> Result<IdToken, IdTokenError> {
    verify_trusting(token, keys, &[])
}

fn verify_trusting(token: &str, keys: &KeySet, trusted_audiences: &[String]) -> Result<IdToken, IdTokenError> {
    let (algorithms, client_id) = (&[Algorithm::ES256][..], "vestibule");
    let expected = TokenExpectation { issuer: ISSUER, client_id, trusted_audiences, algorithms, keys };
    verify(token, &expected, ExpectedNonce::Required("n"), ACCESS_TOKEN, Timestamp::from_second(NOW).unwrap())
}

#[test]
fn claims_that_are_not_needed_may_have_any_type_and_are_kept_unchanged() {
    let signer = Signer::es256(Some("k1"));
    for odd in [json!([]), json!({}), json!("text"), json!(7), json!(1e300), json!(true)] {
        let mut claims = valid_claims();
        for name in ["address", "locale", "updated_at", "email", "phone_number", "auth_time", "amr", "typ"] {
            claims[name] = odd.clone();
        }
        let verified = verify_with(&signer.sign(&claims), &key_set(&[&signer])).unwrap_or_else(|error| panic!("{odd}: {error}"));
        assert_eq!(verified.claims, object(claims));
    }
}

#[rstest]
#[case::repeated(json!({}), Some("n"), Ok(()))]
#[case::absent(json!({"nonce": null}), Some("n"), Ok(()))]
#[case::of_another_login(json!({"nonce": "forged"}), Some("n"), Err(IdTokenError::Nonce))]
#[case::wrong_type(json!({"nonce": ["n"]}), Some("n"), Err(IdTokenError::Jwt(JwtError::WrongType { claim: "nonce", found: "a list" })))]
#[case::unknown(json!({"nonce": "any"}), None, Ok(()))]
fn after_a_refresh_the_nonce_may_be_absent_but_not_another(
    #[case] changed: Value,
    #[case] nonce: Option<&str>,
    #[case] expected: Result<(), IdTokenError>,
) {
    let signer = Signer::es256(None);
    let (token, keys) = (signer.sign(&claims_with(&changed)), key_set(&[&signer]));
    let (algorithms, client_id) = (&[Algorithm::ES256][..], "vestibule");
    let expectation = TokenExpectation { issuer: ISSUER, client_id, trusted_audiences: &[], algorithms, keys: &keys };
    let now = Timestamp::from_second(NOW).unwrap();
    let verified = verify(&token, &expectation, ExpectedNonce::IfPresent(nonce), ACCESS_TOKEN, now);
    assert_eq!(verified.map(drop), expected);
}

#[test]
fn at_hash_is_half_the_hash_of_the_access_token() {
    let signer = Signer::es256(None);
    // OpenID Connect Core, appendix A.3.
    let token = signer.sign(&claims_with(&json!({"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"})));
    assert_eq!(verify_with(&token, &key_set(&[&signer])).unwrap().subject, "s");
}

#[rstest]
#[case::other_issuer(json!({"iss": "https://evil.example.com"}), JwtError::Issuer.into())]
#[case::other_audience(json!({"aud": ["other"]}), JwtError::Audience.into())]
#[case::further_audience(json!({"aud": ["vestibule", "other"], "azp": "vestibule"}), JwtError::Audience.into())]
#[case::audience_of_wrong_type(json!({"aud": ["vestibule", 7]}), JwtError::Audience.into())]
#[case::no_audience(json!({"aud": []}), JwtError::Audience.into())]
#[case::other_client(json!({"azp": "other"}), IdTokenError::OtherClient)]
#[case::client_of_wrong_type(json!({"azp": ["vestibule"]}), JwtError::WrongType { claim: "azp", found: "a list" }.into())]
#[case::empty_client(json!({"azp": ""}), IdTokenError::OtherClient)]
#[case::expired(json!({"exp": NOW - 120}), JwtError::Expired.into())]
#[case::no_expiry(json!({"exp": null}), JwtError::Missing("exp").into())]
#[case::expires_beyond_all_time(json!({"exp": 1e300}), IdTokenError::ExpiryOutOfRange)]
#[case::issued_in_future(json!({"iat": NOW + 121}), JwtError::IssuedInFuture.into())]
#[case::no_time_of_issue(json!({"iat": null}), JwtError::Missing("iat").into())]
#[case::not_yet_valid(json!({"nbf": NOW + 121}), JwtError::NotYetValid.into())]
#[case::no_nonce(json!({"nonce": null}), JwtError::Missing("nonce").into())]
#[case::other_nonce(json!({"nonce": "N"}), IdTokenError::Nonce)]
#[case::nonce_of_wrong_type(json!({"nonce": ["n"]}), JwtError::WrongType { claim: "nonce", found: "a list" }.into())]
#[case::other_at_hash(json!({"at_hash": "77QmUPtjPfzWtF2AnpK9RR"}), IdTokenError::AccessTokenHash)]
#[case::at_hash_of_wrong_type(json!({"at_hash": true}), JwtError::WrongType { claim: "at_hash", found: "a boolean" }.into())]
#[case::empty_at_hash(json!({"at_hash": ""}), IdTokenError::AccessTokenHash)]
#[case::never_valid(json!({"nbf": 1e300}), JwtError::NotYetValid.into())]
#[case::no_subject(json!({"sub": null}), JwtError::Missing("sub").into())]
#[case::empty_subject(json!({"sub": ""}), IdTokenError::EmptySubject)]
fn a_forged_claim_refuses_the_token(#[case] changed: Value, #[case] expected: IdTokenError) {
    let signer = Signer::es256(Some("k1"));
    assert_eq!(verify_with(&signer.sign(&claims_with(&changed)), &key_set(&[&signer])).err(), Some(expected));
}

#[rstest]
#[case::only_ours(json!({"aud": "vestibule"}), None)]
#[case::only_ours_in_a_list(json!({"aud": ["vestibule"]}), None)]
#[case::with_a_trusted_one(json!({"aud": ["project", "vestibule"], "azp": "vestibule"}), None)]
#[case::repeated(json!({"aud": ["vestibule", "project", "project"], "azp": "vestibule"}), None)]
#[case::without_azp(json!({"aud": ["vestibule", "project"]}), Some(JwtError::Missing("azp").into()))]
#[case::other_azp(json!({"aud": ["vestibule", "project"], "azp": "project"}), Some(IdTokenError::OtherClient))]
#[case::azp_of_wrong_type(json!({"aud": ["vestibule", "project"], "azp": ["vestibule"]}),
    Some(JwtError::WrongType { claim: "azp", found: "a list" }.into()))]
#[case::without_ours(json!({"aud": ["project"], "azp": "vestibule"}), Some(JwtError::Audience.into()))]
#[case::trusted_text(json!({"aud": "project", "azp": "vestibule"}), Some(JwtError::Audience.into()))]
#[case::further(json!({"aud": ["vestibule", "project", "other"], "azp": "vestibule"}), Some(JwtError::Audience.into()))]
#[case::wrong_type(json!({"aud": ["vestibule", ["project"]], "azp": "vestibule"}), Some(JwtError::Audience.into()))]
fn a_trusted_audience_needs_ours_and_our_azp(#[case] changed: Value, #[case] expected: Option<IdTokenError>) {
    let token = SIGNER.sign(&claims_with(&changed));
    assert_eq!(verify_trusting(&token, &key_set(&[&SIGNER]), &["project".to_owned()]).err(), expected);
}

#[test]
fn a_token_of_another_type_or_key_or_algorithm_is_refused() {
    let (signer, other) = (Signer::es256(Some("k1")), Signer::eddsa(Some("k2")));
    let keys = key_set(&[&signer, &other]);
    for typ in ["at+jwt", "logout+jwt", ""] {
        let header = Header { typ: Some(typ.into()), ..signer.header() };
        assert_eq!(verify_with(&signer.sign_with(&header, &valid_claims()), &keys).err(), Some(JwtError::Type.into()), "{typ}");
    }
    assert_eq!(verify_with(&other.sign(&valid_claims()), &keys).err(), Some(JwtError::Algorithm.into()));
    let unknown = Signer::es256(Some("k3"));
    assert_eq!(verify_with(&unknown.sign(&valid_claims()), &keys).err(), Some(JwtError::NoMatchingKey.into()));
}

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::es256(Some("k1")));

const NEEDED: [&str; 8] = ["iss", "sub", "aud", "exp", "iat", "nonce", "azp", "at_hash"];

/// A needed claim, and a value that must not be accepted.
fn forged() -> impl Strategy<Value = (&'static str, json::Value)> {
    (prop::sample::select(NEEDED.to_vec()), arbitrary()).prop_filter("the value is valid", |(name, value)| match *name {
        // A number can be a valid time, and null counts as absent.
        "exp" | "iat" => !matches!(value, json::Value::Number(_)),
        "azp" | "at_hash" => !value.is_null(),
        // Another subject is for userinfo to refuse.
        "sub" => value.as_str().is_none_or(str::is_empty),
        _ => true,
    })
}

proptest! {
    #[test]
    fn no_other_claim_can_fail_a_login(
        others in prop::collection::btree_map("[a-z_]{1,12}", arbitrary(), 0..8),
        not_before in arbitrary().prop_filter("a number counts", |value| !matches!(value, json::Value::Number(_))),
    ) {
        let mut claims = object(valid_claims());
        claims.extend(others.into_iter().filter(|(name, _)| !NEEDED.contains(&name.as_str())));
        claims.insert("nbf".to_owned(), not_before);
        let verified = verify_with(&SIGNER.sign(&claims), &key_set(&[&SIGNER]));
        prop_assert_eq!(verified.map(|verified| verified.claims).map_err(|error| error.to_string()), Ok(claims));
    }

    #[test]
    fn no_forged_value_of_a_needed_claim_is_accepted((name, value) in forged()) {
        let mut claims = object(valid_claims());
        claims.insert(name.to_owned(), value);
        prop_assert!(verify_with(&SIGNER.sign(&claims), &key_set(&[&SIGNER])).is_err(), "{:?}", claims);
    }
}
