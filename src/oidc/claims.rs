//! What of a token's claims is kept: all but what changes with every token, and no more than is bounded.

use serde_json::Value;

use crate::principal::{Claims, IdentityClaims};

/// Claims about the token and not about the person. They would make every login look like a change.
const ABOUT_THE_TOKEN: [&str; 13] =
    ["iat", "exp", "nbf", "jti", "auth_time", "nonce", "at_hash", "c_hash", "s_hash", "sid", "session_state", "rat", "uti"];

pub fn without_token_claims(mut claims: Claims) -> Claims {
    claims.retain(|name, _| !ABOUT_THE_TOKEN.contains(&name.as_str()));
    claims
}

/// A claim's text; none where it is absent, empty or of another type.
pub(super) fn text<'c>(claims: &'c Claims, name: &str) -> Option<&'c str> {
    claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
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
}
