//! The claims of an onboarding token, with LiteLLM's field names where they exist.

use serde::{Deserialize, Serialize};

use crate::secret::{KeyRing, sign_onboarding, verify_onboarding};

const TOKEN_TYPE: &str = "vestibule_onboarding";

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

    pub fn sign(&self, ring: &KeyRing) -> String {
        sign_onboarding(ring, self)
    }

    /// Verifies a token that a pod of this deployment signed for this audience. The caller checks issuer and expiry.
    pub fn verify(ring: &KeyRing, audience: &str, token: &str) -> Option<Self> {
        verify_onboarding(ring, audience, token).filter(|claims: &Self| claims.token_type == TOKEN_TYPE)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn a_token_of_another_token_type_is_refused() {
        let ring = KeyRing::ephemeral(Arc::new(SystemClock));
        let verified = |token_type: &str| {
            let claims = OnboardingClaims {
                iss: "https://llm".into(),
                aud: "https://llm/onboarding".into(),
                sub: "u-1".into(),
                iat: 0,
                exp: 900,
                token_type: token_type.into(),
                invitation_id: "i-1".into(),
                user_id: "u-1".into(),
                user_email: "ada@example.com".into(),
            };
            OnboardingClaims::verify(&ring, "https://llm/onboarding", &claims.sign(&ring)).map(|claims| claims.invitation_id)
        };
        assert_eq!(verified(TOKEN_TYPE).as_deref(), Some("i-1"));
        assert_eq!(verified("session"), None);
    }
}
