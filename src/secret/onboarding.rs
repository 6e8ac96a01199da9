//! Signs and verifies onboarding tokens: JWTs (RFC 7519) that only the pods of this deployment can verify.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Serialize, de::DeserializeOwned};

use super::KeyRing;

/// `typ` (RFC 8725, section 3.11): no other token has it.
const TYPE: &str = "vestibule-onboarding+jwt";

/// The beginning of every onboarding token: `{"typ":"vestibule-onboarding+jwt"` in base64url.
const START: &[u8] = b"eyJ0eXAiOiJ2ZXN0aWJ1bGUtb25ib2FyZGluZytqd3Qi";

pub fn sign_onboarding(ring: &KeyRing, claims: &impl Serialize) -> String {
    let (kid, key) = ring.onboarding_key();
    let header = Header { typ: Some(TYPE.to_owned()), kid: Some(kid), ..Header::new(Algorithm::HS256) };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(&*key)).expect("texts and numbers can be signed by HMAC")
}

/// The claims of a token that one of our pods signed for this audience. The caller checks its times.
pub fn verify_onboarding<T: DeserializeOwned>(ring: &KeyRing, audience: &str, token: &str) -> Option<T> {
    let header = jsonwebtoken::decode_header(token).ok().filter(|header| header.typ.as_deref() == Some(TYPE))?;
    let key = ring.onboarding_key_of(&header.kid?)?;
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&[audience]);
    validation.validate_exp = false;
    Some(jsonwebtoken::decode(token, &DecodingKey::from_secret(&*key), &validation).ok()?.claims)
}

/// True if the text contains a token in the form of our onboarding tokens, signed by anyone.
pub fn has_onboarding_token(text: &[u8]) -> bool {
    text.windows(START.len()).any(|window| window == START)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        clock::manual::ManualClock,
        secret::{RingKeys, new_key},
    };

    fn ring(keys: &[&str]) -> KeyRing {
        KeyRing::new(RingKeys::parse(&keys.join("\n")).unwrap(), Arc::new(ManualClock::new()))
    }

    fn claims() -> Value {
        json!({"aud": "https://llm/onboarding", "exp": 900, "invitation_id": "i-1"})
    }

    fn verify(ring: &KeyRing, audience: &str, token: &str) -> Option<Value> {
        verify_onboarding(ring, audience, token)
    }

    #[test]
    fn every_pod_with_the_key_verifies_it_for_its_audience_and_no_other() {
        let (old, new) = (new_key(), new_key());
        let token = sign_onboarding(&ring(&[&old]), &claims());
        let verified = |ring: &KeyRing, audience| verify(ring, audience, &token);
        assert_eq!(verified(&ring(&[&new, &old]), "https://llm/onboarding"), Some(claims()));
        assert_eq!(verified(&ring(&[&old]), "https://other/onboarding"), None);
        assert_eq!(verified(&ring(&[&new]), "https://llm/onboarding"), None);
    }

    #[test]
    fn every_token_is_detected_within_other_text_by_its_beginning() {
        let token = sign_onboarding(&ring(&[&new_key()]), &claims());
        assert!(token.as_bytes().starts_with(START));
        assert!(has_onboarding_token(format!("invite_{token}").as_bytes()));
        assert!(!has_onboarding_token(&token.as_bytes()[1..]));
        assert!(!has_onboarding_token(b"eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2lnbmF0dXJl"));
    }

    #[test]
    fn a_token_of_another_kind_or_key_or_with_a_changed_byte_is_none() {
        let ring = ring(&[&new_key()]);
        let audience = "https://llm/onboarding";
        let token = sign_onboarding(&ring, &claims());
        for at in (0..token.len()).step_by(7) {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(verify(&ring, audience, &String::from_utf8(changed).unwrap()).is_none(), "character {at}");
        }
        let (kid, key) = ring.onboarding_key();
        for header in [
            Header { kid: Some(kid.clone()), ..Header::new(Algorithm::HS256) },
            Header { kid: Some(kid.clone()), typ: Some(TYPE.into()), ..Header::new(Algorithm::HS512) },
            Header { kid: None, typ: Some(TYPE.into()), ..Header::new(Algorithm::HS256) },
        ] {
            let forged = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(&*key)).unwrap();
            assert!(verify(&ring, audience, &forged).is_none(), "{header:?}");
        }
        for garbage in ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
            assert!(verify(&ring, audience, garbage).is_none());
        }
    }
}
