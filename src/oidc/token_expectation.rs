//! The requirements that all tokens of an OpenID Connect provider share.

use super::LEEWAY;
use crate::jwt::{Algorithm, Audience, Expectation, KeySet};

#[derive(Clone, Copy)]
pub(super) struct TokenExpectation<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    /// Audiences that an id_token may have besides the client.
    pub trusted_audiences: &'a [String],
    pub algorithms: &'a [Algorithm],
    pub keys: &'a KeySet,
}

impl<'a> TokenExpectation<'a> {
    /// Returns the expectation of a token that is for this client only.
    pub(super) fn for_client(&self, required_times: &'a [&'static str]) -> Expectation<'a> {
        Expectation {
            issuer: self.issuer,
            audience: Audience::Only(self.client_id),
            algorithms: self.algorithms,
            types: &["jwt"],
            required_times,
            leeway: LEEWAY,
        }
    }

    /// Returns the expectation of an id_token.
    pub(super) fn for_id_token(&self) -> Expectation<'a> {
        let audience = Audience::With { ours: self.client_id, trusted: self.trusted_audiences };
        Expectation { audience, ..self.for_client(&["exp", "iat"]) }
    }
}
