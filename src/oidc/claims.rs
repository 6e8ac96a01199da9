//! What of a token's claims is kept: all but what changes with every token, and no more than is bounded.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::principal::{Claims, IdentityClaims};

/// Claims about the token and not about the person. They would make every login look like a change.
const ABOUT_THE_TOKEN: [&str; 13] =
    ["iat", "exp", "nbf", "jti", "auth_time", "nonce", "at_hash", "c_hash", "s_hash", "sid", "session_state", "rat", "uti"];

/// A claim that says when, and is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a number")]
pub(super) struct NotATime(&'static str);

/// The claims of a token, verified elsewhere. `None` when it is no JWT with an object in it.
pub(super) fn of_verified_token(token: &str) -> Option<Claims> {
    let payload = token.split('.').nth(1)?;
    let json = URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&json).ok()
}

pub fn without_token_claims(mut claims: Claims) -> Claims {
    claims.retain(|name, _| !ABOUT_THE_TOKEN.contains(&name.as_str()));
    claims
}

pub(super) fn text(claims: &Claims, name: &str) -> Option<String> {
    claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Seconds, maybe with a fraction (RFC 7519, section 2: NumericDate). A null is as good as none.
pub(super) fn time(claims: &Claims, name: &'static str) -> Result<Option<f64>, NotATime> {
    let given = claims.get(name).filter(|value| !value.is_null());
    given.map(|value| value.as_f64().ok_or(NotATime(name))).transpose()
}

/// The size of all claims of an identity, in bytes of JSON.
pub(super) fn size(identity: &IdentityClaims) -> usize {
    serde_json::to_vec(identity).map_or(usize::MAX, |json| json.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_changes_with_every_token_is_left_out() {
        let claims = json!({"sub": "s", "iat": 1, "exp": 2, "nbf": 3, "jti": "j", "auth_time": 4, "nonce": "n", "at_hash": "h", "sid": "s", "groups": ["a"]});
        let kept = without_token_claims(claims.as_object().unwrap().clone());
        assert_eq!(Value::Object(kept), json!({"sub": "s", "groups": ["a"]}));
    }

    #[test]
    fn a_time_is_a_number_with_or_without_a_fraction() {
        let claims = json!({"a": 7, "b": 7.5, "c": "7", "d": null});
        let read = |name| time(claims.as_object().unwrap(), name);
        assert_eq!((read("a"), read("b"), read("c")), (Ok(Some(7.0)), Ok(Some(7.5)), Err(NotATime("c"))));
        assert_eq!((read("d"), read("e")), (Ok(None), Ok(None)));
    }

    #[test]
    fn a_payload_is_read_and_an_opaque_token_is_not() {
        let token = format!("h.{}.s", URL_SAFE_NO_PAD.encode(r#"{"sub":"s"}"#));
        assert_eq!(of_verified_token(&token).unwrap()["sub"], "s");
        assert_eq!(of_verified_token("opaque"), None);
        assert_eq!(of_verified_token("a.b.c"), None);
    }
}
