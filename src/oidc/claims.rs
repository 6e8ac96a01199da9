//! Selects the claims that an identity keeps: all except those that change with every token.

use serde_json::Value;

use crate::principal::{Claims, IdentityClaims};

/// Claims that describe the token and not the user. They would make every login look like a change of the user's claims.
const TOKEN_CLAIMS: [&str; 13] =
    ["iat", "exp", "nbf", "jti", "auth_time", "nonce", "at_hash", "c_hash", "s_hash", "sid", "session_state", "rat", "uti"];

pub fn without_token_claims(mut claims: Claims) -> Claims {
    claims.retain(|name, _| !TOKEN_CLAIMS.contains(&name.as_str()));
    claims
}

/// Returns a claim's text. `None` if the claim is absent, empty or of another type.
pub(super) fn text<'c>(claims: &'c Claims, name: &str) -> Option<&'c str> {
    claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// Returns the size of all claims of an identity, in bytes of JSON.
pub(super) fn size(identity: &IdentityClaims) -> usize {
    serde_json::to_vec(identity).map_or(usize::MAX, |json| json.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_that_change_with_every_token_are_left_out() {
        let claims = json!({"sub": "s", "iat": 1, "exp": 2, "nbf": 3, "jti": "j", "auth_time": 4, "nonce": "n", "at_hash": "h", "sid": "s", "groups": ["a"]});
        let kept = without_token_claims(claims.as_object().unwrap().clone());
        assert_eq!(Value::Object(kept), json!({"sub": "s", "groups": ["a"]}));
    }
}
