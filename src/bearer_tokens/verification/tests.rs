//! Tests of accepted and refused tokens.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header, encode};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::{
    clock::{Clock, SystemClock},
    jwt::test_signer::{Signer, key_set as set},
    principal::ClaimPath,
};

const ISSUER: &str = "https://idp.example.com";
const AUDIENCE: &str = "https://llm.example.com";

fn now() -> Timestamp {
    SystemClock.now()
}

fn seconds_from_now(seconds: i64) -> i64 {
    now().as_second() + seconds
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "ci", "exp": seconds_from_now(300), "iat": seconds_from_now(0), "org": "acme"})
}

/// Returns claims with some replaced. Null removes a claim.
fn with(changed: Value) -> Value {
    crate::json::with_members(claims(), &changed)
}

fn verify_token(token: &str, keys: &KeySet) -> Result<TokenClaims, TokenRefusal> {
    verify_requiring(token, keys, &[])
}

fn verify_requiring(token: &str, keys: &KeySet, required: &[RequiredClaim]) -> Result<TokenClaims, TokenRefusal> {
    verify_with(token, keys, |expected| IssuerExpectation { required, ..expected })
}

/// Verifies with a change of the usual expectation.
fn verify_with<'a>(
    token: &str,
    keys: &KeySet,
    change: impl FnOnce(IssuerExpectation<'a>) -> IssuerExpectation<'a>,
) -> Result<TokenClaims, TokenRefusal> {
    static AUDIENCES: LazyLock<[String; 2]> = LazyLock::new(|| ["api".to_owned(), AUDIENCE.to_owned()]);
    static LOGIN_CLIENTS: LazyLock<[String; 1]> = LazyLock::new(|| ["vestibule".to_owned()]);
    let expected = IssuerExpectation {
        issuer: ISSUER,
        additional_issuers: &[],
        audiences: &*AUDIENCES,
        audience_claim: None,
        access_token_claim: None,
        algorithms: &[Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
        required: &[],
        login_clients: &*LOGIN_CLIENTS,
    };
    verify(token, &change(expected), keys, now())
}

fn refusal(token: &str, keys: &KeySet) -> Option<TokenRefusal> {
    verify_token(token, keys).err()
}

fn base64(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

fn required(claim: &str, value: &str) -> RequiredClaim {
    RequiredClaim { claim: ClaimPath::parse(claim).unwrap(), value: value.to_owned() }
}

#[test]
fn a_token_for_a_configured_audience_is_accepted_with_its_claims() {
    let signer = Signer::es256(Some("k1"));
    let good = [
        claims(),
        with(json!({"aud": ["other", "api"]})),
        with(json!({"exp": seconds_from_now(-30)})),
        with(json!({"exp": seconds_from_now(60) as f64 + 0.5})),
        with(json!({"nbf": seconds_from_now(30)})),
        with(json!({"azp": "anybody", "client_id": "whoever", "typ": "Bearer"})),
    ];
    for claims in good {
        let verified = verify_token(&signer.sign(&claims), &set(&[&signer])).unwrap();
        assert_eq!((verified.subject.as_str(), &verified.claims["org"]), ("ci", &"acme".into()), "{claims}");
    }
}

#[test]
fn a_token_is_accepted_until_its_expiry_and_the_leeway_and_no_longer() {
    let signer = Signer::eddsa(None);
    let expires = seconds_from_now(100);
    let verified = verify_token(&signer.sign(&with(json!({"exp": expires}))), &set(&[&signer])).unwrap();
    assert_eq!(verified.until, (expires + 60) as f64);
}

#[test]
fn a_token_with_wrong_claims_is_refused() {
    let signer = Signer::es256(Some("k1"));
    let keys = set(&[&signer]);
    let long = "s".repeat(255);
    let table = [
        (json!({"iss": "https://idp.example.com/"}), JwtError::Issuer.into()),
        (json!({"iss": null}), JwtError::Missing("iss").into()),
        (json!({"iss": [ISSUER]}), JwtError::WrongType { claim: "iss", found: "a list" }.into()),
        (json!({"aud": "vestibule"}), JwtError::Audience.into()),
        (json!({"aud": ["vestibule", "other"]}), JwtError::Audience.into()),
        (json!({"aud": []}), TokenRefusal::NoAudience),
        (json!({"aud": {"api": 1}}), JwtError::WrongType { claim: "aud", found: "an object" }.into()),
        (json!({"aud": null}), TokenRefusal::NoAudience),
        (json!({"aud": format!("{AUDIENCE}/")}), JwtError::Audience.into()),
        (json!({"exp": seconds_from_now(-61)}), JwtError::Expired.into()),
        (json!({"exp": null}), JwtError::Missing("exp").into()),
        (json!({"exp": "never"}), JwtError::WrongType { claim: "exp", found: "a string" }.into()),
        (json!({"nbf": seconds_from_now(120)}), JwtError::NotYetValid.into()),
        (json!({"nbf": "soon"}), JwtError::WrongType { claim: "nbf", found: "a string" }.into()),
        (json!({"sub": null}), TokenRefusal::Subject),
        (json!({"sub": ""}), TokenRefusal::Subject),
        (json!({"sub": 7}), TokenRefusal::Subject),
        (json!({"sub": "ci "}), TokenRefusal::Subject),
        (json!({"sub": "ci\r\nX-Auth-Request-Role: proxy_admin"}), TokenRefusal::Subject),
        (json!({"sub": long}), TokenRefusal::Subject),
        (json!({"at_hash": "LDktKdoQak3Pk0cnXxCltA"}), TokenRefusal::NoAccessToken),
        (json!({"nonce": "n-0S6_WzA2Mj"}), TokenRefusal::NoAccessToken),
        (json!({"c_hash": "LDktKdoQak3Pk0cnXxCltA"}), TokenRefusal::NoAccessToken),
        (json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}), TokenRefusal::NoAccessToken),
        (json!({"aud": [AUDIENCE, "vestibule"]}), TokenRefusal::NoAccessToken),
        (json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}), TokenRefusal::Bound),
        (json!({"typ": "ID"}), TokenRefusal::NoAccessToken),
        (json!({"typ": "Refresh"}), TokenRefusal::NoAccessToken),
        (json!({"typ": "Logout"}), TokenRefusal::NoAccessToken),
        (json!({"typ": "Offline"}), TokenRefusal::NoAccessToken),
    ];
    for (changed, expected) in table {
        assert_eq!(refusal(&signer.sign(&with(changed.clone())), &keys), Some(expected), "{changed}");
    }
}

#[test]
fn a_token_of_another_type_is_refused() {
    let signer = Signer::es256(Some("k1"));
    let refusal_of_type = |typ: Option<&str>| {
        let header = Header { typ: typ.map(str::to_owned), ..signer.header() };
        refusal(&signer.sign_with(&header, &claims()), &set(&[&signer]))
    };
    for typ in [None, Some("JWT"), Some("jwt"), Some("at+jwt"), Some("application/at+jwt"), Some("AT+JWT")] {
        assert_eq!(refusal_of_type(typ), None, "{typ:?}");
    }
    for typ in ["logout+jwt", "dpop+jwt", "id+jwt", "secevent+jwt", "vestibule_onboarding", "", "application/json", "JWT "] {
        assert_eq!(refusal_of_type(Some(typ)), Some(JwtError::Type.into()), "{typ:?}");
    }
}

#[test]
fn an_algorithm_that_is_not_allowed_is_refused() {
    let signer = Signer::es256(Some("k1"));
    let keys = set(&[&signer]);
    for name in ["none", "None", "nOnE", "HS1", "ES256K", ""] {
        let token = format!("{}.{}.", base64(&json!({"alg": name, "kid": "k1"})), base64(&claims()));
        assert_eq!(refusal(&format!("{token}c2ln"), &keys), Some(JwtError::Algorithm.into()), "{name}");
        assert_eq!(refusal(&token, &keys), Some(JwtError::Algorithm.into()), "{name}");
    }
    // The public key is used as a shared secret.
    let public = serde_json::to_string(&signer.public).unwrap();
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let header = Header { kid: Some("k1".into()), ..Header::new(algorithm) };
        let token = encode(&header, &claims(), &EncodingKey::from_secret(public.as_bytes())).unwrap();
        assert_eq!(refusal(&token, &keys), Some(JwtError::Algorithm.into()));
    }
    // An asymmetric algorithm that is not configured.
    let other = Header { alg: Algorithm::ES384, ..signer.header() };
    let token = format!("{}.{}.c2ln", base64(&serde_json::to_value(other).unwrap()), base64(&claims()));
    assert_eq!(refusal(&token, &keys), Some(JwtError::Algorithm.into()));
    // A configured algorithm that is not that of the key.
    let other = Header { alg: Algorithm::RS256, ..signer.header() };
    let token = format!("{}.{}.c2ln", base64(&serde_json::to_value(other).unwrap()), base64(&claims()));
    assert_eq!(refusal(&token, &keys), Some(JwtError::NoMatchingKey.into()));
}

#[test]
fn a_key_is_found_by_its_id_and_without_an_id_every_key_is_tried() {
    let (first, second, other) = (Signer::es256(Some("k1")), Signer::eddsa(Some("k2")), Signer::es256(Some("k3")));
    let both = set(&[&first, &second]);
    for signer in [&first, &second] {
        assert_eq!(refusal(&signer.sign(&claims()), &both), None);
    }
    assert_eq!(refusal(&other.sign(&claims()), &both), Some(JwtError::NoMatchingKey.into()));
    assert_eq!(refusal(&other.sign(&claims()), &set(&[&first])), Some(JwtError::NoMatchingKey.into()));
    let nameless = Header { kid: None, ..first.header() };
    let token = first.sign_with(&nameless, &claims());
    assert_eq!(refusal(&token, &set(&[&first])), None);
    assert_eq!(refusal(&token, &both), None);
    assert_eq!(refusal(&other.sign_with(&nameless, &claims()), &both), Some(JwtError::Signature.into()));
    // The token claims the id of another key.
    let forged = Header { kid: Some("k1".into()), ..other.header() };
    assert_eq!(refusal(&other.sign_with(&forged, &claims()), &both), Some(JwtError::Signature.into()));
}

#[test]
fn a_token_that_was_tampered_with_or_contains_its_own_key_is_refused() {
    let (signer, other) = (Signer::es256(Some("k1")), Signer::es256(Some("k1")));
    let keys = set(&[&signer]);
    let token = signer.sign(&claims());
    let [header, _, signature]: [&str; 3] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let tampered = format!("{header}.{}.{signature}", base64(&with(json!({"sub": "root"}))));
    assert_eq!(refusal(&tampered, &keys), Some(JwtError::Signature.into()));
    let (unsigned, _) = token.rsplit_once('.').unwrap();
    assert!(refusal(&format!("{unsigned}."), &keys).is_some());
    let own_key = Header { jwk: Some(other.public.clone()), jku: Some("https://evil.example/keys".into()), ..other.header() };
    assert_eq!(refusal(&other.sign_with(&own_key, &claims()), &keys), Some(JwtError::Signature.into()));
    for extension in [json!(["b64"]), json!(["exp"]), json!([])] {
        let critical = Header { crit: serde_json::from_value(extension).unwrap(), ..signer.header() };
        assert_eq!(refusal(&signer.sign_with(&critical, &claims()), &keys), Some(JwtError::Extensions.into()));
    }
    for garbage in ["a.b.c", "e30.e30.e30", "..", "eyJhbGciOiJFUzI1NiJ9.W10.c2ln"] {
        assert!(refusal(garbage, &keys).is_some(), "{garbage}");
    }
}

#[test]
fn a_required_claim_must_have_exactly_the_required_value() {
    let signer = Signer::es256(None);
    let keys = set(&[&signer]);
    let token = signer.sign(&with(json!({
        "kubernetes.io": {"namespace": "llm", "pod": {"name": "p"}}, "list": ["acme"], "two": ["acme", "evil"], "flag": true,
    })));
    let refusal_requiring =
        |claim, value| verify_requiring(&token, &keys, &[required("org", "acme"), required(claim, value)]).err();
    for (claim, value) in [("org", "acme"), (r"kubernetes\.io.namespace", "llm"), ("list", "acme"), ("flag", "true")] {
        assert_eq!(refusal_requiring(claim, value), None, "{claim}");
    }
    for (claim, value) in [("org", "Acme"), ("absent", "acme"), ("two", "acme"), (r"kubernetes\.io", "llm"), ("org", "acm")] {
        assert_eq!(refusal_requiring(claim, value), Some(TokenRefusal::RequiredClaim), "{claim}");
    }
}

#[rstest]
#[case::in_place_of_aud(json!({"aud": null, "client_id": "api"}), None)]
#[case::beside_aud(json!({"aud": ["x", AUDIENCE], "client_id": "api"}), None)]
#[case::empty_aud(json!({"aud": [], "client_id": "api"}), None)]
#[case::other_aud(json!({"aud": "other", "client_id": "api"}), Some(JwtError::Audience.into()))]
#[case::other_client(json!({"aud": "api", "client_id": "other"}), Some(TokenRefusal::AudienceClaim("client_id")))]
#[case::absent(json!({"aud": "api"}), Some(TokenRefusal::NoAudience))]
#[case::neither(json!({"aud": null, "azp": "api"}), Some(TokenRefusal::NoAudience))]
#[case::of_another_type(json!({"aud": null, "client_id": 7}), Some(JwtError::WrongType { claim: "client_id", found: "a number" }.into()))]
#[case::wrong_aud_type(json!({"aud": 7, "client_id": "api"}), Some(JwtError::WrongType { claim: "aud", found: "a number" }.into()))]
fn an_audience_claim_must_fit_and_so_must_an_aud(#[case] changed: Value, #[case] expected: Option<TokenRefusal>) {
    let signer = Signer::es256(None);
    let with_claim =
        |expected: IssuerExpectation<'static>| IssuerExpectation { audience_claim: Some(AudienceClaim::ClientId), ..expected };
    let verified = verify_with(&signer.sign(&with(changed)), &set(&[&signer]), with_claim);
    assert_eq!(verified.err(), expected);
}

#[rstest]
#[case::access_token(json!({"aud": "vestibule", "scp": "llm"}), None)]
#[case::several_audiences(json!({"aud": ["api", "vestibule"], "scp": ["llm"]}), None)]
#[case::id_token(json!({"aud": "vestibule"}), Some(TokenRefusal::NoAccessToken))]
#[case::elsewhere(json!({"aud": "vestibule", "extra": {"scp": "llm"}}), Some(TokenRefusal::NoAccessToken))]
#[case::other_audience(json!({"scp": "llm", "aud": "other"}), Some(JwtError::Audience.into()))]
#[case::nonce(json!({"aud": "vestibule", "scp": "llm", "nonce": "n"}), Some(TokenRefusal::NoAccessToken))]
#[case::at_hash(json!({"aud": "vestibule", "scp": "llm", "at_hash": "h"}), Some(TokenRefusal::NoAccessToken))]
fn the_audience_of_id_tokens_is_accepted_with_a_claim_of_access_tokens(
    #[case] changed: Value,
    #[case] expected: Option<TokenRefusal>,
) {
    let (signer, scope) = (Signer::es256(None), ClaimPath::parse("scp").unwrap());
    let audiences = ["api".to_owned(), "vestibule".to_owned()];
    let verified = verify_with(&signer.sign(&with(changed)), &set(&[&signer]), |expected| IssuerExpectation {
        audiences: &audiences,
        access_token_claim: Some(&scope),
        ..expected
    });
    assert_eq!(verified.err(), expected);
}

#[test]
fn an_additional_issuer_is_accepted_and_no_other() {
    let signer = Signer::es256(None);
    let additional = ["https://old.example.com".to_owned()];
    for (iss, expected) in [
        (ISSUER, None),
        ("https://old.example.com", None),
        ("https://old.example.com/", Some(JwtError::Issuer.into())),
        ("https://evil.example.com", Some(JwtError::Issuer.into())),
    ] {
        let verified = verify_with(&signer.sign(&with(json!({"iss": iss}))), &set(&[&signer]), |expected| IssuerExpectation {
            additional_issuers: &additional,
            ..expected
        });
        assert_eq!(verified.err(), expected, "{iss}");
    }
}

#[test]
fn a_jwt_has_three_parts_and_a_maximum_length() {
    let of_length = |length: usize| format!("a.b.{}", "c".repeat(length - 4));
    for jwt in ["a.b.c", "eyJ-_0.eyJ.sig", &of_length(MAX_TOKEN_LENGTH)] {
        assert!(is_jwt(jwt), "{jwt}");
    }
    let other = ["", "sk-1", "a.b", "a.b.c.d", "a..c", ".b.c", "a.b.", "a.b.c=", "a b.c.d", "Basic a.b.c", "ü.b.c", "a.b+.c"];
    for other in other.into_iter().chain([of_length(MAX_TOKEN_LENGTH + 1).as_str()]) {
        assert!(!is_jwt(other), "{other}");
    }
}
