//! A signed statement of who sends a request, that the upstream can verify by itself.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::jwk::JwkSet;
use serde::Serialize;

use super::{Authorization, Sent};
use crate::{
    clock::Clock,
    metrics::Metrics,
    principal::{Judged, Vouched},
    secret::SigningKeys,
};

/// How long an assertion counts.
const LIFE: Duration = Duration::from_secs(300);

/// One that is older is signed anew, so that the upstream always has some minutes.
const RENEWED_AFTER: Duration = Duration::from_secs(180);

/// So much earlier it says that it was made: the upstream's clock may be behind.
const BACKDATED: Duration = Duration::from_secs(30);

/// Signs, and remembers with whom it is about what was signed lately.
pub struct Assertions {
    settings: Settings,
    keys: Arc<SigningKeys>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

pub struct Settings {
    pub issuer: String,
    pub audience: String,
    /// Whether it is sent as `Authorization` too.
    pub as_authorization: bool,
}

/// RFC 7519's names, OpenID Connect's for the person, and ours; what is unknown is left out.
#[derive(Serialize)]
struct Claims<'a> {
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
    pub fn new(settings: Settings, keys: Arc<SigningKeys>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self { settings, keys, clock, metrics }
    }

    pub(super) fn about(&self, judged: &Judged) -> Sent {
        let vouched = self.known(judged).unwrap_or_else(|| self.sign(judged));
        let authorization = match self.settings.as_authorization {
            true => Authorization::Value(format!("Bearer {}", vouched.jwt)),
            false => Authorization::Nothing,
        };
        Sent { authorization, assertion: Some(vouched) }
    }

    pub(super) fn published(&self) -> JwkSet {
        self.keys.published()
    }

    /// One whose key was taken away is verified nowhere any more.
    fn known(&self, judged: &Judged) -> Option<Arc<Vouched>> {
        let now = self.clock.monotonic();
        let known = judged.vouched.load_full()?;
        (now.saturating_duration_since(known.signed) < RENEWED_AFTER && self.keys.has(&known.kid)).then_some(known)
    }

    fn sign(&self, judged: &Judged) -> Arc<Vouched> {
        let now = self.clock.now();
        let Settings { issuer, audience, .. } = &self.settings;
        let identity = &judged.identity;
        let claims = Claims {
            iss: issuer,
            aud: audience,
            sub: &identity.user,
            iat: (now - BACKDATED).as_second(),
            exp: (now + LIFE).as_second(),
            email: &identity.email,
            preferred_username: &identity.preferred_username,
            role: &identity.role,
            teams: judged.grant.teams.iter().map(|team| team.as_str()).collect(),
            key_id: &identity.key,
        };
        let (jwt, kid) = self.keys.sign(&claims);
        let vouched = Arc::new(Vouched { jwt: jwt.into(), kid: kid.into(), signed: self.clock.monotonic() });
        judged.vouched.store(Some(Arc::clone(&vouched)));
        self.metrics.assertions_signed.inc();
        vouched
    }
}
