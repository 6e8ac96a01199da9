//! Tests of key sets as providers publish them.

use base64::{Engine, engine::general_purpose};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::{
    clock::{Clock, SystemClock},
    json::arbitrary_text,
    jwt::{Audience, Expectation, JwtError, test_signer::Signer, verify},
};

const ISSUER: &str = "https://idp.example.com";

fn token(signer: &Signer, kid: Option<&str>) -> String {
    let header = jsonwebtoken::Header { kid: kid.map(str::to_owned), ..signer.header() };
    signer.sign_with(&header, &json!({"iss": ISSUER}))
}

fn parse(keys: &Value) -> Result<KeySet, KeySetError> {
    KeySet::parse(json!({"keys": keys}).to_string().as_bytes())
}

fn refusal(token: &str, keys: &KeySet) -> Option<JwtError> {
    let expectation = Expectation {
        issuer: ISSUER,
        audience: Audience::Any,
        algorithms: &[Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA],
        types: &[],
        required_times: &[],
        leeway: std::time::Duration::ZERO,
    };
    verify(token, &expectation, keys, SystemClock.now()).err()
}

fn public(signer: &Signer) -> Value {
    serde_json::to_value(&signer.public).unwrap()
}

/// The public key with some members replaced. Null removes a member.
fn with(signer: &Signer, changed: &Value) -> Value {
    crate::json::with_members(public(signer), changed)
}

fn decoded(key: &Value, member: &str) -> Vec<u8> {
    general_purpose::URL_SAFE_NO_PAD.decode(key[member].as_str().unwrap()).unwrap()
}

fn with_zeros(bytes: &[u8]) -> String {
    general_purpose::URL_SAFE_NO_PAD.encode([&[0; 5], bytes].concat())
}

#[test]
fn integers_are_read_in_every_encoding() {
    for signer in [Signer::rs256(Some("k1")), Signer::es256(Some("k1"))] {
        let key = public(&signer);
        let members = if key["kty"] == "RSA" { ["n", "e"] } else { ["x", "y"] };
        let encodings: [fn(&[u8]) -> String; 5] = [
            |bytes| general_purpose::URL_SAFE.encode(bytes),
            |bytes| general_purpose::STANDARD.encode(bytes),
            |bytes| general_purpose::STANDARD_NO_PAD.encode(bytes) + "====\r\n",
            with_zeros,
            |bytes| {
                with_zeros(bytes).as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect::<Vec<_>>().join("\n")
            },
        ];
        for (number, encode) in encodings.iter().enumerate() {
            let mut odd = key.clone();
            for member in members {
                odd[member] = encode(&decoded(&key, member)).into();
            }
            assert_eq!(refusal(&token(&signer, Some("k1")), &parse(&json!([odd])).unwrap()), None, "{number}: {odd}");
        }
    }
}

/// A key with the exponent 2^128 + 51, and tokens that openssl signed with it.
mod long_exponent {
    pub const MODULUS: &str = concat!(
        "oISRTzRoAcKsqqvTeiaSdTnObuXNtKG0Jxwmdba9dmmpMErO4Y7a7do5-iEMQTwa2Q60e0vjbG2hLp6U-Ki7APSyr71HCF1C",
        "GBzNrLBW2l76GNxJGo8KSd9LTutndfakkRCI3UxRVffHSnJckyj-S46G7tC6nXhCalhdZNdGyzQvRKh_8UHFYIczRVHSqJ03",
        "iHOzt3XbWRY6Ziom-h5Fxhaos83DJ1NnL9xt6lnJe3AY3o6KfErCl0LC2qfsBEVT0PmOZC9sgH0SgCSsORHY4sw4Ixuw_O8n",
        "1Yyj4Oo4QoEp6iweJvTvO4aVkV9IEua3bo4hM30OreVpypuNOxkwXw",
    );
    pub const EXPONENT: &str = "AQAAAAAAAAAAAAAAAAAAADM";
    pub const RS256: &str = concat!(
        "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZHAuZXhhbXBsZS5jb20ifQ.STdO7Is0HwPDQ-xqsyCHbQxD7x",
        "hRFympzok1Qc-6VPdifiO0gPTIT72WncSLSNPxMeQ46Vaa6GN1dP9FqtdgFSVnQvFp4xpXRXnSJThMIbw0ES9WJKUoro6nEL",
        "NXaQk0_HZQsdqucT9Y98T-y3Yzv-csLEXrbCmzfk5FkiO1HvzWvEhMThlKi35GxzFZrjQ3ew3oBADGcz4hklJukIWiZKr5oz",
        "NPgdOkF_3-bjYu_LIs5Gz3fWdNm-rKlhuw5cR3hjDAg7y4G9oo-2mpoLkYT7Jj4dDtwie3Np_y_5ai1X8HFeSDpXtuN27gmX",
        "10MYfj0sirZlXdkJqhHWHO8Qau7Q",
    );
    pub const PS256: &str = concat!(
        "eyJhbGciOiAiUFMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZHAuZXhhbXBsZS5jb20ifQ.Ty7SLPFIsEfBbZlFVEdto4cxw1",
        "ZTHJ3rNF_Jqi_7HyrHR9PXDSDFAolmlniAhfNc5PLERtBvQUMK8rv9dBSYGoOxu0mUlaZJSbsQNHfK9mDHW9RPmxXc2_nIel",
        "Y5QdtjJ-BeSSli0Abc6zq8QMo0kiqNCvTehVH1edu-9rsSnG4ld2Q0spXssJ2r6AWr4uuUT9V9SpxowflMKQ3G7TiS4JoAjX",
        "cptKjC4e-9AS3PQZQ2KVuj7FTOJICC8zQDYWGLlnCNFxLPIGgpP8lfFuQG5Tla7AWk96xMlaZ2mqEiyT3AvUM93FMCCZUOn2",
        "PZCXqG98mBYN1ZfHCXf1sjbZitlQ",
    );
}

#[test]
fn an_exponent_beyond_the_usual_size_is_read() {
    let keys = parse(&json!([{"kty": "RSA", "n": long_exponent::MODULUS, "e": long_exponent::EXPONENT}])).unwrap();
    for token in [long_exponent::RS256, long_exponent::PS256] {
        assert_eq!(refusal(token, &keys), None);
        let (message, signature) = token.rsplit_once('.').unwrap();
        let (header, _) = message.split_once('.').unwrap();
        let payload = general_purpose::URL_SAFE_NO_PAD.encode(json!({"iss": ISSUER, "sub": "eve"}).to_string());
        assert_eq!(refusal(&format!("{header}.{payload}.{signature}"), &keys), Some(JwtError::Signature));
    }
    let (message, _) = long_exponent::RS256.rsplit_once('.').unwrap();
    let (_, other) = long_exponent::PS256.rsplit_once('.').unwrap();
    for signature in [other, "AAAA", &"A".repeat(342)] {
        assert_eq!(refusal(&format!("{message}.{signature}"), &keys), Some(JwtError::Signature), "{signature}");
    }
}

#[test]
fn a_coordinate_without_its_leading_zeros_is_read() {
    let signer = std::iter::repeat_with(|| Signer::es256(None)).find(|signer| decoded(&public(signer), "x")[0] == 0).unwrap();
    let key = public(&signer);
    let short = general_purpose::URL_SAFE_NO_PAD.encode(&decoded(&key, "x")[1..]);
    assert_eq!(refusal(&token(&signer, None), &parse(&json!([with(&signer, &json!({"x": short}))])).unwrap()), None);
}

#[test]
fn an_edwards_key_keeps_its_zeros_and_may_be_padded() {
    let signer = Signer::eddsa(None);
    let bytes = decoded(&public(&signer), "x");
    let padded = with(&signer, &json!({"x": general_purpose::STANDARD.encode(&bytes), "alg": "Ed25519"}));
    assert_eq!(refusal(&token(&signer, None), &parse(&json!([padded])).unwrap()), None);
    assert_eq!(parse(&json!([with(&signer, &json!({"x": with_zeros(&bytes)}))])), Err(KeySetError::NoKey));
}

#[rstest]
#[case::no_algorithm(json!({"alg": null}))]
#[case::no_kid(json!({"kid": null}))]
#[case::empty_kid(json!({"kid": ""}))]
#[case::kid_of_another_type(json!({"kid": 7}))]
#[case::algorithm_of_another_type(json!({"alg": ["RS256"]}))]
#[case::unknown_algorithm(json!({"alg": "RSA"}))]
#[case::use_of_another_type(json!({"use": ["sig"]}))]
#[case::operations_of_another_type(json!({"use": "sig", "key_ops": "verify"}))]
#[case::broken_certificates(json!({"x5c": "none", "x5t": 7, "x5u": {}, "x5t#S256": []}))]
#[case::unknown_members(json!({"exp": [], "nbf": {}, "iat": 1e300, "oth": "x"}))]
fn members_that_are_not_needed_do_not_matter(#[case] changed: Value) {
    let signer = Signer::rs256(Some("k1"));
    assert_eq!(refusal(&token(&signer, Some("k1")), &parse(&json!([with(&signer, &changed)])).unwrap()), None);
}

#[rstest]
#[case::encryption(json!({"use": "enc"}))]
#[case::encryption_by_operations(json!({"key_ops": ["encrypt", "wrapKey"]}))]
#[case::encryption_by_algorithm(json!({"alg": "RSA-OAEP-256"}))]
#[case::algorithm_of_another_type(json!({"alg": "ES256"}))]
#[case::shared_secret_algorithm(json!({"alg": "HS256"}))]
#[case::shared_secret(json!({"kty": "oct", "k": "c2VjcmV0"}))]
#[case::unknown_type(json!({"kty": "AKP", "pub": "AAAA"}))]
#[case::no_type(json!({"kty": null}))]
#[case::type_of_another_type(json!({"kty": 7}))]
#[case::certificate_only(json!({"n": null, "e": null, "x5c": ["MIIB"]}))]
#[case::no_base64(json!({"n": "(n)"}))]
#[case::empty_modulus(json!({"n": ""}))]
#[case::short_modulus(json!({"n": "AQAB"}))]
#[case::even_exponent(json!({"e": "AQAA"}))]
#[case::exponent_of_one(json!({"e": "AQ"}))]
#[case::huge_exponent(json!({"e": format!("AQ{}AQ", "A".repeat(42))}))]
#[case::modulus_of_another_type(json!({"n": ["AQAB"]}))]
fn a_key_that_verifies_no_signature_is_skipped(#[case] changed: Value) {
    let signer = Signer::rs256(Some("k1"));
    let unusable = with(&signer, &changed);
    assert_eq!(parse(&json!([unusable])), Err(KeySetError::NoKey));
    let other = Signer::es256(Some("k1"));
    let keys = parse(&json!([unusable, "no key", 7, null, [], public(&other)])).unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!(refusal(&token(&other, Some("k1")), &keys), None);
    assert_eq!(refusal(&token(&signer, Some("k1")), &keys), Some(JwtError::NoMatchingKey));
}

#[rstest]
#[case(br#"{"keys": []}"#, "the key set has no usable signing key; assign a signing key at the provider")]
#[case(br#"{"keys": [{"kty": "new"}]}"#, "the key set has no usable signing key; assign a signing key at the provider")]
#[case(br#"{"keys": {}}"#, "the key set can't be read: keys is an object, not a list")]
#[case(br#"{}"#, "the key set can't be read: keys is missing")]
#[case(b"<html>", "the key set can't be read: it is not a JSON object")]
fn a_document_without_usable_keys_is_an_error(#[case] document: &[u8], #[case] expected: &str) {
    assert_eq!(KeySet::parse(document).unwrap_err().to_string(), expected);
}

#[test]
fn a_point_that_is_not_on_the_curve_is_no_key() {
    let signer = Signer::es256(None);
    assert_eq!(parse(&json!([with(&signer, &json!({"x": "AQ"}))])), Err(KeySetError::NoKey));
    assert_eq!(parse(&json!([with(&signer, &json!({"crv": "P-384"}))])), Err(KeySetError::NoKey));
}

#[test]
fn without_a_unique_key_id_every_fitting_key_is_tried() {
    let (signer, same, other) = (Signer::es256(Some("k1")), Signer::es256(Some("k1")), Signer::es256(Some("k2")));
    let keys = parse(&json!([public(&same), public(&other), public(&signer)])).unwrap();
    for (kid, expected) in [
        (Some("k1"), None),
        (None, None),
        (Some(""), None),
        (Some("k2"), Some(JwtError::Signature)),
        (Some("k3"), Some(JwtError::NoMatchingKey)),
    ] {
        assert_eq!(refusal(&token(&signer, kid), &keys), expected, "{kid:?}");
    }
    // A key without an id may have any id, but not that of another key.
    let nameless = with(&signer, &json!({"kid": null}));
    let keys = parse(&json!([nameless, public(&other)])).unwrap();
    assert_eq!(refusal(&token(&signer, Some("k1")), &keys), None);
    assert_eq!(refusal(&token(&signer, Some("k2")), &keys), Some(JwtError::Signature));
}

#[test]
fn at_most_eight_keys_are_tried() {
    let signer = Signer::eddsa(None);
    let others: Vec<_> = (0..8).map(|_| public(&Signer::eddsa(None))).collect();
    let position = |before: usize| json!([&others[..before], &[public(&signer)], &others[before..]].concat());
    assert_eq!(refusal(&token(&signer, None), &parse(&position(7)).unwrap()), None);
    assert_eq!(refusal(&token(&signer, None), &parse(&position(8)).unwrap()), Some(JwtError::Signature));
    // Keys of other types do not count.
    let elliptic: Vec<_> = (0..8).map(|_| public(&Signer::es256(None))).collect();
    let keys = json!([&elliptic[..], &[public(&signer)]].concat());
    assert_eq!(refusal(&token(&signer, None), &parse(&keys).unwrap()), None);
}

#[test]
fn of_many_keys_the_named_one_is_found_and_at_most_eight_are_tried() {
    let (signer, other) = (Signer::es256(Some("k1")), public(&Signer::es256(None)));
    let numbered = |number: usize| crate::json::with_members(other.clone(), &json!({"kid": format!("n{number}")}));
    let mut listed: Vec<_> = (0..MAX_KEYS - 1).map(numbered).collect();
    listed.push(public(&signer));
    let keys = parse(&json!(listed)).unwrap();
    assert_eq!((keys.len(), refusal(&token(&signer, Some("k1")), &keys)), (MAX_KEYS, None));
    assert_eq!(keys.candidates(Some("k1"), Algorithm::ES256).count(), 1);
    assert_eq!(keys.candidates(None, Algorithm::ES256).count(), MAX_CANDIDATES);
    assert_eq!(refusal(&token(&signer, None), &keys), Some(JwtError::Signature), "the key is the last one");

    listed.push(numbered(MAX_KEYS));
    let error = parse(&json!(listed)).unwrap_err();
    assert_eq!(error.to_string(), "the key set has 1001 keys, more than 1000");
}

#[test]
fn deeply_nested_documents_are_read_or_refused() {
    let (open, close) = ("[".repeat(200_000), "]".repeat(200_000));
    let signer = Signer::es256(Some("k1"));
    let key = public(&signer);
    let beside = format!(r#"{{"x": {open}{close}, "keys": [{open}{close}, {key}]}}"#);
    assert_eq!(refusal(&token(&signer, Some("k1")), &KeySet::parse(beside.as_bytes()).unwrap()), None);
    for (document, expected) in [
        (format!(r#"{{"keys": {open}{key}{close}}}"#), KeySetError::NoKey),
        (format!("{open}{close}"), KeySetError::NotAnObject(NotAnObjectError)),
        (format!(r#"{{"keys": {open}"#), KeySetError::NotAnObject(NotAnObjectError)),
    ] {
        assert_eq!(KeySet::parse(document.as_bytes()), Err(expected));
    }
}

#[test]
fn equal_sets_are_equal_and_others_are_not() {
    let (signer, other) = (Signer::es256(Some("k1")), Signer::es256(Some("k1")));
    let set = |key: Value| parse(&json!([key])).unwrap();
    assert_eq!(set(public(&signer)), set(with(&signer, &json!({"x5t": "x"}))));
    for different in [public(&other), with(&signer, &json!({"kid": "k2"})), with(&signer, &json!({"alg": null}))] {
        assert_ne!(set(public(&signer)), set(different));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Members that Vestibule does not need, and items that are no keys.
    #[test]
    fn any_json_elsewhere_does_not_matter(
        name in prop::sample::select(vec!["x5c", "x5t", "x5u", "x5t#S256", "oth", "nbf", "alg2", "ext"]),
        value in arbitrary_text(),
    ) {
        let signer = Signer::es256(Some("k1"));
        let key = public(&signer).to_string();
        let key = format!(r#"{{"{name}": {value}, {}"#, &key[1..]);
        let document = format!(r#"{{"{name}": {value}, "keys": [{value}, {key}, {value}], "next": {value}}}"#);
        prop_assert_eq!(refusal(&token(&signer, Some("k1")), &KeySet::parse(document.as_bytes()).unwrap()), None);
    }
}
