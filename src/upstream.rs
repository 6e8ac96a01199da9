//! Chooses the credential that the upstream receives instead of the client's.

mod assertion;

pub use assertion::{AssertionSettings, Assertions};

use std::{fmt, sync::Arc};

use jsonwebtoken::jwk::JwkSet;

use crate::{
    access::{Caller, MatchedRules, UpstreamCredential},
    metrics::{Metrics, UpstreamCredentialLabel},
    principal::{Evaluation, Grant, IdentityAssertion, Role, Team},
    secret::SecretCell,
};

/// Chooses the headers that the upstream receives in addition to the identity headers.
pub struct UpstreamCredentialPolicy {
    default: Option<UpstreamCredential>,
    static_credentials: Vec<StaticUpstreamCredential>,
    assertions: Option<Assertions>,
    metrics: Arc<Metrics>,
}

/// A value of `Authorization`, for all principals or for those with certain roles and teams.
pub struct StaticUpstreamCredential {
    pub name: Box<str>,
    /// The principal must have one of these roles. Empty for any role.
    pub roles: Vec<Role>,
    /// The principal must have one of these teams. Empty for any team.
    pub teams: Vec<Team>,
    pub authorization: Arc<SecretCell>,
}

/// The headers of an allowed request to the upstream, in addition to the identity headers.
pub struct UpstreamHeaders {
    pub authorization: Authorization,
    pub assertion: Option<Arc<IdentityAssertion>>,
}

#[derive(Clone, PartialEq, Eq)]
pub enum Authorization {
    /// The client's header is removed.
    Remove,
    /// The client's header is passed on.
    Passthrough,
    Value(String),
}

impl UpstreamCredentialPolicy {
    pub fn new(
        default: Option<UpstreamCredential>,
        static_credentials: Vec<StaticUpstreamCredential>,
        assertions: Option<Assertions>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { default, static_credentials, assertions, metrics }
    }

    /// Chooses the headers by the matched rules. `principal` is `None` for an anonymous caller.
    pub fn choose_headers(&self, rules: Option<&MatchedRules<'_>>, principal: Option<&Evaluation>) -> UpstreamHeaders {
        let default = self.default.as_ref();
        let caller = if principal.is_some() { Caller::Authenticated } else { Caller::Anonymous };
        let credential = match rules {
            Some(rules) => rules.upstream_credential().or(rules.default_upstream_credential(caller, default)),
            None => default.unwrap_or(&UpstreamCredential::None),
        };
        let (headers, label) = match credential {
            UpstreamCredential::None => (UpstreamHeaders::NONE, UpstreamCredentialLabel::None),
            UpstreamCredential::Passthrough => {
                (UpstreamHeaders::with_authorization(Authorization::Passthrough), UpstreamCredentialLabel::Pass)
            }
            UpstreamCredential::Static(name) => match self.static_value(name, principal.map(|principal| &principal.grant)) {
                Some(value) => {
                    (UpstreamHeaders::with_authorization(Authorization::Value(value)), UpstreamCredentialLabel::Static)
                }
                None => (UpstreamHeaders::NONE, UpstreamCredentialLabel::Unmatched),
            },
            UpstreamCredential::Assertion => match self.assertions.as_ref().zip(principal) {
                Some((assertions, principal)) => (assertions.headers_for(principal), UpstreamCredentialLabel::Assertion),
                None => (UpstreamHeaders::NONE, UpstreamCredentialLabel::Unmatched),
            },
        };
        self.metrics.upstream_credential(label);
        headers
    }

    /// The public keys that verify identity assertions. Empty if no assertions are configured.
    pub fn public_keys(&self) -> JwkSet {
        self.assertions.as_ref().map(Assertions::public_keys).unwrap_or_default()
    }

    fn static_value(&self, name: &str, grant: Option<&Grant>) -> Option<String> {
        let mut candidates = self.static_credentials.iter().filter(|credential| *credential.name == *name);
        candidates.find(|credential| credential.is_for(grant)).map(|credential| credential.authorization.expose())
    }
}

impl StaticUpstreamCredential {
    fn is_for(&self, grant: Option<&Grant>) -> bool {
        let role = || grant.and_then(|grant| grant.role.as_ref()).is_some_and(|role| self.roles.contains(role));
        let team = || grant.is_some_and(|grant| grant.teams.iter().any(|team| self.teams.contains(team)));
        (self.roles.is_empty() || role()) && (self.teams.is_empty() || team())
    }
}

impl UpstreamHeaders {
    const NONE: Self = Self::with_authorization(Authorization::Remove);

    const fn with_authorization(authorization: Authorization) -> Self {
        Self { authorization, assertion: None }
    }
}

/// Adds the scheme `Bearer` to a token that has no scheme.
pub fn with_scheme(credential: &str) -> String {
    if credential.contains(' ') { credential.to_owned() } else { format!("Bearer {credential}") }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Remove => "Remove",
            Self::Passthrough => "Passthrough",
            Self::Value(_) => "Value([redacted])",
        })
    }
}

impl fmt::Debug for UpstreamHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamHeaders").field("authorization", &self.authorization).field("assertion", &self.assertion).finish()
    }
}

#[cfg(test)]
mod tests;
