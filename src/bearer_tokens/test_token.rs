//! Verifies bearer tokens in tests, as a check does, without an issuer.

use jiff::Timestamp;

use super::{
    TokenRefusal,
    settings::IssuerSettings,
    verification::{self, IssuerExpectation},
};
use crate::{jwt::KeySet, principal::Claims};

/// Returns the claims of a token that the issuer with these settings and keys accepts.
pub fn verify(
    settings: &IssuerSettings,
    issuer: &str,
    token: &str,
    keys: &KeySet,
    now: Timestamp,
) -> Result<Claims, TokenRefusal> {
    verification::verify(token, &IssuerExpectation::new(settings, issuer), keys, now).map(|token| token.claims)
}
