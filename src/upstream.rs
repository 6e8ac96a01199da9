//! What the upstream receives of us in the place of the client's credential.

mod assertion;

pub use assertion::{Assertions, Settings};

use std::{fmt, sync::Arc};

use jsonwebtoken::jwk::JwkSet;

use crate::{
    access::{Selected, UpstreamCredential, Who},
    metrics::{Metrics, UpstreamCredentialLabel},
    principal::{Grant, Judged, Role, Team, Vouched},
    secret::SecretCell,
};

/// Decides what is sent beside the identity headers.
pub struct Upstream {
    default: Option<UpstreamCredential>,
    fixed: Vec<Fixed>,
    assertions: Option<Assertions>,
    metrics: Arc<Metrics>,
}

/// A value of `Authorization` that is sent for some people or for all.
pub struct Fixed {
    pub name: Box<str>,
    /// One of these is needed, where any is listed.
    pub roles: Vec<Role>,
    /// Likewise.
    pub teams: Vec<Team>,
    pub authorization: Arc<SecretCell>,
}

/// What goes with a request that may pass.
pub struct Sent {
    pub authorization: Authorization,
    pub assertion: Option<Arc<Vouched>>,
}

#[derive(Clone, PartialEq, Eq)]
pub enum Authorization {
    /// Nothing, and the client's own is taken away.
    Nothing,
    /// As the client sent it.
    ClientsOwn,
    Value(String),
}

impl Upstream {
    pub fn new(
        default: Option<UpstreamCredential>,
        fixed: Vec<Fixed>,
        assertions: Option<Assertions>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { default, fixed, assertions, metrics }
    }

    /// What is sent by these rules for somebody, or for who wasn't looked up.
    pub fn sends(&self, rules: Option<&Selected<'_>>, judged: Option<&Judged>) -> Sent {
        let default = self.default.as_ref();
        let who = if judged.is_some() { Who::Somebody } else { Who::Anyone };
        let wanted = match rules {
            Some(rules) => rules.upstream_credential().or(rules.unsaid(who, default)),
            None => default.unwrap_or(&UpstreamCredential::Nothing),
        };
        let (sent, label) = match wanted {
            UpstreamCredential::Nothing => (Sent::NOTHING, UpstreamCredentialLabel::None),
            UpstreamCredential::ClientsOwn => (Sent::only(Authorization::ClientsOwn), UpstreamCredentialLabel::Pass),
            UpstreamCredential::Static(name) => match self.fixed_for(name, judged.map(|judged| &judged.grant)) {
                Some(value) => (Sent::only(Authorization::Value(value)), UpstreamCredentialLabel::Static),
                None => (Sent::NOTHING, UpstreamCredentialLabel::Unmatched),
            },
            UpstreamCredential::Assertion => match self.assertions.as_ref().zip(judged) {
                Some((assertions, judged)) => (assertions.about(judged), UpstreamCredentialLabel::Assertion),
                None => (Sent::NOTHING, UpstreamCredentialLabel::Unmatched),
            },
        };
        self.metrics.upstream_credential(label);
        sent
    }

    /// The keys by which assertions are verified; none where none are made.
    pub fn published(&self) -> JwkSet {
        self.assertions.as_ref().map(Assertions::published).unwrap_or_default()
    }

    fn fixed_for(&self, name: &str, grant: Option<&Grant>) -> Option<String> {
        let fixed = self.fixed.iter().find(|fixed| *fixed.name == *name && fixed.is_for(grant))?;
        Some(fixed.authorization.expose())
    }
}

impl Fixed {
    fn is_for(&self, grant: Option<&Grant>) -> bool {
        let role = || grant.and_then(|grant| grant.role.as_ref()).is_some_and(|role| self.roles.contains(role));
        let team = || grant.is_some_and(|grant| grant.teams.iter().any(|team| self.teams.contains(team)));
        (self.roles.is_empty() || role()) && (self.teams.is_empty() || team())
    }
}

impl Sent {
    const NOTHING: Self = Self::only(Authorization::Nothing);

    const fn only(authorization: Authorization) -> Self {
        Self { authorization, assertion: None }
    }
}

/// The value as a header has it: a token alone is a bearer's.
pub fn with_scheme(credential: &str) -> String {
    if credential.contains(' ') { credential.to_owned() } else { format!("Bearer {credential}") }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::ClientsOwn => "ClientsOwn",
            Self::Value(_) => "Value([redacted])",
        })
    }
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent").field("authorization", &self.authorization).field("assertion", &self.assertion).finish()
    }
}

#[cfg(test)]
mod tests;
