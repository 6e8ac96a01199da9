//! Onboarding tokens: JWTs (RFC 7519) that every pod of ours verifies and nobody else can, signed by a key of their own.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::KeyRing;

/// `typ` (RFC 8725, section 3.11): no other token of ours or of anybody's has it.
const TYPE: &str = "vestibule-onboarding+jwt";
pub const TOKEN_TYPE: &str = "vestibule_onboarding";

/// What the token says. Field names of LiteLLM's where it has them.
#[derive(Serialize, Deserialize)]
pub struct OnboardingClaims {
    pub iss: String,
    pub aud: String,
    pub sub: String,
    pub iat: i64,
    pub exp: i64,
    pub token_type: String,
    pub invitation_id: String,
    pub user_id: String,
    pub user_email: String,
}

impl OnboardingClaims {
    pub fn token_type() -> String {
        TOKEN_TYPE.to_owned()
    }
}

pub fn sign_onboarding(ring: &KeyRing, claims: &OnboardingClaims) -> String {
    let (kid, key) = ring.onboarding_key();
    let header = Header { typ: Some(TYPE.to_owned()), kid: Some(kid), ..Header::new(Algorithm::HS256) };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(&*key)).expect("texts and numbers can be signed by HMAC")
}

/// What a token says that one of our pods signed for this audience. Whether it has expired is for the caller's clock to say.
pub fn verify_onboarding(ring: &KeyRing, audience: &str, token: &str) -> Option<OnboardingClaims> {
    let header = jsonwebtoken::decode_header(token).ok().filter(|header| header.typ.as_deref() == Some(TYPE))?;
    let key = ring.onboarding_key_of(&header.kid?)?;
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&[audience]);
    validation.validate_exp = false;
    let claims = jsonwebtoken::decode::<OnboardingClaims>(token, &DecodingKey::from_secret(&*key), &validation).ok()?.claims;
    (claims.token_type == TOKEN_TYPE).then_some(claims)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        clock::manual::ManualClock,
        secret::{RingKeys, new_key},
    };

    fn ring(keys: &[&str]) -> KeyRing {
        KeyRing::new(RingKeys::parse(&keys.join("\n")).unwrap(), Arc::new(ManualClock::new()))
    }

    fn claims() -> OnboardingClaims {
        OnboardingClaims {
            iss: "https://llm".into(),
            aud: "https://llm/onboarding".into(),
            sub: "u-1".into(),
            iat: 0,
            exp: 900,
            token_type: OnboardingClaims::token_type(),
            invitation_id: "i-1".into(),
            user_id: "u-1".into(),
            user_email: "ada@example.com".into(),
        }
    }

    #[test]
    fn every_pod_with_the_key_verifies_it_for_its_audience_and_no_other() {
        let (old, new) = (new_key(), new_key());
        let token = sign_onboarding(&ring(&[&old]), &claims());
        let verified = |ring: &KeyRing, audience| verify_onboarding(ring, audience, &token).map(|claims| claims.invitation_id);
        assert_eq!(verified(&ring(&[&new, &old]), "https://llm/onboarding").as_deref(), Some("i-1"));
        assert_eq!(verified(&ring(&[&old]), "https://other/onboarding"), None);
        assert_eq!(verified(&ring(&[&new]), "https://llm/onboarding"), None);
    }

    #[test]
    fn a_token_of_another_kind_or_key_or_with_a_changed_byte_is_none() {
        let ring = ring(&[&new_key()]);
        let audience = "https://llm/onboarding";
        let token = sign_onboarding(&ring, &claims());
        for at in (0..token.len()).step_by(7) {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(verify_onboarding(&ring, audience, &String::from_utf8(changed).unwrap()).is_none(), "character {at}");
        }
        let other = sign_onboarding(&ring, &OnboardingClaims { token_type: "session".into(), ..claims() });
        assert!(verify_onboarding(&ring, audience, &other).is_none());
        let (kid, key) = ring.onboarding_key();
        for header in [
            Header { kid: Some(kid.clone()), ..Header::new(Algorithm::HS256) },
            Header { kid: Some(kid.clone()), typ: Some(TYPE.into()), ..Header::new(Algorithm::HS512) },
            Header { kid: None, typ: Some(TYPE.into()), ..Header::new(Algorithm::HS256) },
        ] {
            let forged = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(&*key)).unwrap();
            assert!(verify_onboarding(&ring, audience, &forged).is_none(), "{header:?}");
        }
        for garbage in ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
            assert!(verify_onboarding(&ring, audience, garbage).is_none());
        }
    }
}
