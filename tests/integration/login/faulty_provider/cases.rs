//! Faults of a provider's tokens and answers, one at a time.

use serde_json::{Value, json};

/// The name of the fault, the request that sets it, and a part of the logged reason.
pub struct Case(pub &'static str, pub Value, pub &'static str);

/// Faults that end a login flow as a failure of the provider, not of the user.
pub fn faults_that_end_the_login_flow() -> Vec<Case> {
    [id_token_faults(), userinfo_faults(), token_response_faults()].into_iter().flatten().collect()
}

fn id_token_faults() -> Vec<Case> {
    vec![
        Case("no signature", id_token_by("none"), "algorithm (alg) that is not allowed"),
        Case("HS256 with the public key", id_token_by("public key as PEM"), "algorithm (alg) that is not allowed"),
        Case("HS256 with the key's modulus", id_token_by("public key as modulus"), "algorithm (alg) that is not allowed"),
        Case("HS256 with the client secret", id_token_by("client secret"), "algorithm (alg) that is not allowed"),
        Case("another key under the same id", id_token_by("unrelated key"), "signature is wrong"),
        Case("another issuer", id_token(json!({"iss": "https://evil.example.com"})), "iss is another issuer"),
        Case("no issuer", id_token(json!({"iss": null})), "iss is missing"),
        Case("another audience", id_token(json!({"aud": "other"})), "aud is another audience"),
        Case("no audience", id_token(json!({"aud": null})), "aud is missing"),
        Case("an empty audience", id_token(json!({"aud": []})), "audience"),
        Case("several audiences without azp", id_token(json!({"aud": ["vestibule", "other"]})), "audience"),
        Case("several audiences and another azp", id_token(json!({"aud": ["vestibule", "other"], "azp": "other"})), "audience"),
        Case("several audiences and our azp", id_token(json!({"aud": ["vestibule", "other"], "azp": "vestibule"})), "audience"),
        Case("another client's", id_token(json!({"azp": "other"})), "azp names another client"),
        Case("a client in a list", id_token(json!({"azp": ["vestibule"]})), "azp is a list"),
        Case("a hash that is a boolean", id_token(json!({"at_hash": true})), "at_hash is a boolean"),
        Case("no nonce", id_token(json!({"nonce": null})), "nonce is missing"),
        Case("another nonce", id_token(json!({"nonce": "n"})), "nonce is not that of this login"),
        Case("an empty nonce", id_token(json!({"nonce": ""})), "nonce is not that of this login"),
        Case("expired", id_token(json!({"exp": {"in": -600}})), "it has expired"),
        Case("no expiry", id_token(json!({"exp": null})), "exp is missing"),
        Case("an expiry that is a string", id_token(json!({"exp": "never"})), "exp is a string"),
        Case("an expiry beyond all time", id_token(json!({"exp": 1e300})), "exp is out of range"),
        Case("no time of issue", id_token(json!({"iat": null})), "iat is missing"),
        Case("issued in the future", id_token(json!({"iat": {"in": 600}})), "iat lies in the future"),
        Case("not valid yet", id_token(json!({"nbf": {"in": 600}})), "not valid yet"),
        Case("not valid before a distant time", id_token(json!({"nbf": 1e300})), "not valid yet"),
        Case("not valid before a time with a fraction", id_token(json!({"nbf": 99_999_999_999.5})), "not valid yet"),
        Case("another access token's hash", id_token(json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"})), "at_hash"),
        Case("no subject", id_token(json!({"sub": null})), "sub is missing"),
        Case("an empty subject", id_token(json!({"sub": ""})), "sub is empty"),
        Case("a subject that is a number", id_token(json!({"sub": 7})), "sub is a number"),
        Case("words that end a line of the log", id_token(json!({"aud": "other\n2026-01-01 INFO login user=eve"})), "audience"),
        Case("no id_token", json!({"idToken": "absent"}), "no id_token"),
        Case("an id_token that is not a JWT", json!({"idToken": {"text": "id"}}), "not a JWT"),
        Case("critical headers", json!({"idToken": {"header": {"crit": ["exp"]}}}), "extensions"),
        Case("another type", json!({"idToken": {"header": {"typ": "at+jwt"}}}), "another type"),
    ]
}

fn userinfo_faults() -> Vec<Case> {
    vec![
        Case("userinfo of another user", json!({"userinfo": {"claims": {"sub": "eve"}}}), "another subject"),
        Case("userinfo without sub", json!({"userinfo": {"claims": {"sub": null}}}), "sub is missing"),
        Case("userinfo without signature", json!({"userinfo": {"signedBy": "none"}}), "algorithm (alg) that is not allowed"),
        Case("userinfo signed by an unrelated key", json!({"userinfo": {"signedBy": "unrelated key"}}), "signature is wrong"),
        Case(
            "userinfo by the public key",
            json!({"userinfo": {"signedBy": "public key as PEM"}}),
            "algorithm (alg) that is not allowed",
        ),
        Case(
            "userinfo for another client",
            json!({"userinfo": {"signedBy": "provider", "claims": {"aud": "other"}}}),
            "audience",
        ),
        Case(
            "userinfo of eve, signed",
            json!({"userinfo": {"signedBy": "provider", "claims": {"sub": "eve"}}}),
            "another subject",
        ),
        Case("userinfo in HTML", json!({"userinfo": {"type": "text/html", "body": "<h1>Hello</h1>"}}), "text/html"),
        Case("userinfo that is not JSON", json!({"userinfo": {"body": "Hello"}}), "not a JSON object"),
        Case("userinfo refused", json!({"userinfo": {"status": 500, "body": "{}"}}), "status 500"),
        Case("userinfo elsewhere", json!({"userinfo": {"status": 307, "location": "/elsewhere", "body": ""}}), "status 307"),
        Case("much userinfo", json!({"userinfo": {"padding": 1_572_864}}), "more than 1 MiB"),
    ]
}

fn token_response_faults() -> Vec<Case> {
    vec![
        Case(
            "an error",
            json!({"token": {"status": 400, "body": r#"{"error": "invalid_grant", "error_description": "j@example.com"}"#}}),
            r#"status 400: "invalid_grant""#,
        ),
        Case(
            "an error in an object",
            json!({"token": {"status": 403, "body": r#"{"error": {"code": "E17", "message": "j@example.com"}}"#}}),
            r#"status 403: "E17""#,
        ),
        Case("an error in a form", json!({"token": {"status": 400, "type": "text/plain", "body": "error=denied"}}), "denied"),
        Case("HTML that is called JSON", json!({"token": {"body": "<h1>Hello</h1>"}}), "status 200 is not a JSON object"),
        Case("HTML", json!({"token": {"type": "text/html", "body": "<h1>Hello</h1>"}}), "status 200 is not a JSON object"),
        Case("a failure in HTML", json!({"token": {"status": 503, "type": "text/html", "body": "<h1>Hello</h1>"}}), "status 503"),
        Case("nothing", json!({"token": {"body": ""}}), "status 200 is not a JSON object"),
        Case("an id_token of another type", json!({"token": {"claims": {"id_token": ["id"]}}}), "no id_token"),
        Case("no access token for its hash", json!({"token": {"claims": {"access_token": null}}}), "at_hash"),
        Case("a large answer", json!({"token": {"padding": 1_572_864}}), "more than 1 MiB"),
        Case("an answer elsewhere", json!({"token": {"status": 307, "location": "/elsewhere", "body": ""}}), "status 307"),
    ]
}

/// An access token that the request for userinfo cannot carry.
pub fn access_token_for_no_header() -> Value {
    json!({"accessToken": {"text": "a\nb"}})
}

/// A response that has only an id_token, which is enough without userinfo.
pub fn without_access_token() -> Value {
    json!({"token": {"claims": {"access_token": null}}, "idToken": {"claims": {"at_hash": null}}})
}

/// Token responses that have the needed fields.
pub fn odd_token_responses() -> Vec<Value> {
    let claims = |claims: Value| json!({"token": {"claims": claims}});
    vec![
        claims(json!({"token_type": null})),
        claims(json!({"token_type": 7, "expires_in": "3599", "scope": ["openid"], "refresh_token": {}, "error": null})),
        claims(json!({"expires_in": -1e300, "refresh_token": null, "id_token_expires_in": [], "not-before-policy": {}})),
        json!({"token": {"status": 201, "type": "text/html; charset=utf-8"}}),
        json!({"token": {"status": 206, "type": "application/octet-stream"}}),
    ]
}

/// Times of the user's authentication that are not recent.
pub fn faults_of_authentication_times() -> Vec<Case> {
    vec![
        Case("no time", json!({}), "authentication_time_missing"),
        Case("null", id_token(json!({"auth_time": null})), "authentication_time_missing"),
        Case("too long ago", id_token(json!({"auth_time": {"in": -7200}})), "authentication_not_recent"),
        Case("the beginning of time", id_token(json!({"auth_time": 0})), "authentication_not_recent"),
        Case("the future", id_token(json!({"auth_time": {"in": 600}})), "authentication_time_in_future"),
        Case("the far future", id_token(json!({"auth_time": 1e300})), "authentication_time_in_future"),
        Case("text", id_token(json!({"auth_time": "1700000000"})), "authentication_time_invalid"),
        Case("a list", id_token(json!({"auth_time": []})), "authentication_time_invalid"),
        Case("a boolean", id_token(json!({"auth_time": true})), "authentication_time_invalid"),
    ]
}

/// Access tokens whose claims are ignored without any other effect. Those without a reason are not logged.
pub fn faults_of_access_tokens() -> Vec<Case> {
    vec![
        Case("an opaque one", json!({"accessToken": {"text": "opaque"}}), ""),
        Case("another client's", access_token(json!({"azp": "other"})), "another client"),
        Case("another client's by RFC 9068", access_token(json!({"azp": null, "client_id": "other"})), "another client"),
        Case("another issuer's", access_token(json!({"iss": "https://evil.example.com"})), "iss is another issuer"),
        Case("of no issuer", access_token(json!({"iss": null})), "iss is missing"),
        Case("another user's", access_token(json!({"sub": "eve"})), "another subject"),
        Case("expired", access_token(json!({"exp": {"in": -600}})), "expired"),
        Case("without expiry", access_token(json!({"exp": null})), "exp is missing"),
        Case("not valid yet", access_token(json!({"nbf": {"in": 600}})), "not valid yet"),
        Case("signed by another key", json!({"accessToken": {"signedBy": "unrelated key"}}), "signature is wrong"),
        Case("no signature", json!({"accessToken": {"signedBy": "none"}}), "not allowed"),
        Case("HS256 with the public key", json!({"accessToken": {"signedBy": "public key as PEM"}}), "not allowed"),
        Case("HS256 with the client secret", json!({"accessToken": {"signedBy": "client secret"}}), "not allowed"),
        Case("of an unknown key", json!({"accessToken": {"header": {"kid": "other"}}}), "no key"),
    ]
}

/// An id_token with changed claims.
pub fn id_token(claims: Value) -> Value {
    json!({"idToken": {"claims": claims}})
}

fn id_token_by(signer: &str) -> Value {
    json!({"idToken": {"signedBy": signer}})
}

fn access_token(claims: Value) -> Value {
    json!({"accessToken": {"claims": claims}})
}
