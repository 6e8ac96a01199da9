//! Signs identity assertions: JWTs by which an upstream verifies the principal of a request.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::jwk::JwkSet;
use serde::Serialize;

use super::{AssertionSettings, Authorization, UpstreamHeaders};
use crate::{
    clock::Clock,
    metrics::Metrics,
    principal::{Evaluation, IdentityAssertion},
    secret::SigningKeys,
};

/// The lifetime of an assertion.
const LIFETIME: Duration = Duration::from_secs(300);

/// The age after which an assertion is signed again, so that the upstream can use each for at least two minutes.
const RENEWAL_AGE: Duration = Duration::from_secs(180);

/// The `iat` claim is this much in the past, since the upstream's clock may be behind.
const BACKDATING: Duration = Duration::from_secs(30);

/// Signs assertions, and caches the last one with the evaluation that it is about.
pub struct Assertions {
    settings: AssertionSettings,
    keys: Arc<SigningKeys>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

/// The claims of RFC 7519, those of OpenID Connect for the user, and ours. Empty ones are omitted.
#[derive(Serialize)]
struct AssertionClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    email: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    preferred_username: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    role: &'a str,
    teams: Vec<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    key_id: &'a str,
}

impl Assertions {
    pub fn new(settings: AssertionSettings, keys: Arc<SigningKeys>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self { settings, keys, clock, metrics }
    }

    pub(super) fn headers_for(&self, principal: &Evaluation) -> UpstreamHeaders {
        let assertion = self.cached(principal).unwrap_or_else(|| self.sign(principal));
        let authorization = match self.settings.as_authorization {
            true => Authorization::Value(format!("Bearer {}", assertion.jwt)),
            false => Authorization::Remove,
        };
        UpstreamHeaders { assertion: Some(assertion), ..UpstreamHeaders::with_authorization(authorization) }
    }

    pub(super) fn public_keys(&self) -> JwkSet {
        self.keys.published()
    }

    /// `None` if the cached assertion is too old, or if its key is no longer published.
    fn cached(&self, principal: &Evaluation) -> Option<Arc<IdentityAssertion>> {
        let now = self.clock.monotonic();
        let cached = principal.assertion.load_full()?;
        (now.saturating_duration_since(cached.signed_at) < RENEWAL_AGE && self.keys.has(&cached.kid)).then_some(cached)
    }

    fn sign(&self, principal: &Evaluation) -> Arc<IdentityAssertion> {
        let now = self.clock.now();
        let AssertionSettings { issuer, audience, .. } = &self.settings;
        let identity = &principal.identity;
        let claims = AssertionClaims {
            iss: issuer,
            aud: audience,
            sub: &identity.user,
            iat: (now - BACKDATING).as_second(),
            // The role that it states ends with the evaluation.
            exp: (now + LIFETIME).min(principal.valid_until).as_second(),
            email: &identity.email,
            preferred_username: &identity.preferred_username,
            role: &identity.role,
            teams: principal.grant.teams.iter().map(|team| team.as_str()).collect(),
            key_id: &identity.key,
        };
        let (jwt, kid) = self.keys.sign(&claims);
        let assertion = Arc::new(IdentityAssertion { jwt: jwt.into(), kid: kid.into(), signed_at: self.clock.monotonic() });
        principal.assertion.store(Some(Arc::clone(&assertion)));
        self.metrics.assertions_signed.inc();
        assertion
    }
}
