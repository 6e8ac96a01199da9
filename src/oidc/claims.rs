//! Selects the claims that an identity keeps: all except those that change with every token.

use crate::{
    json::Value,
    principal::{Claims, IdentityClaims, Source},
};

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

/// Logs the claims about the token that are used, but do not fit their use.
pub(super) fn log_ignored_token_claims(provider: &str, source: Source, claims: &Claims) {
    let unfit = claims.iter().filter(|(name, value)| match (name.as_str(), value) {
        (_, Value::Null) => false,
        ("sid" | "login_hint", value) => !value.is_string(),
        ("auth_time" | "nbf", value) => !matches!(value, Value::Number(_)),
        _ => false,
    });
    unfit.for_each(|(name, value)| log_ignored_claim(provider, source, name, value.type_name()));
}

/// Logs a claim that counts as absent. The value itself may be personal data.
pub(super) fn log_ignored_claim(provider: &str, source: Source, claim: &str, found: &str) {
    tracing::debug!(provider, %source, claim, found, "claim ignored");
}

/// Returns the size of all claims of an identity, in bytes of JSON.
pub(super) fn size(identity: &IdentityClaims) -> usize {
    serde_json::to_vec(identity).map_or(usize::MAX, |json| json.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::json::object;

    #[test]
    fn claims_that_change_with_every_token_are_left_out() {
        let claims = json!({"sub": "s", "iat": 1, "exp": 2, "nbf": 3, "jti": "j", "auth_time": 4, "nonce": "n", "at_hash": "h", "sid": "s", "groups": ["a"]});
        let kept = without_token_claims(object(claims));
        assert_eq!(kept, object(json!({"sub": "s", "groups": ["a"]})));
    }
}
