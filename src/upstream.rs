//! Chooses the credential that the upstream receives instead of the client's.

mod assertion;
mod settings;

pub use assertion::Assertions;
pub use settings::{AssertionSettings, CredentialForm, StaticCredentialSettings, UpstreamCredentialSettings};

use std::{fmt, sync::Arc};

use jsonwebtoken::jwk::JwkSet;

use crate::{
    access::{Caller, CredentialHeader, MatchedRules, UpstreamCredential},
    metrics::{Metrics, UpstreamCredentialLabel},
    principal::{Evaluation, Grant, IdentityAssertion},
    secret::SecretCell,
};

/// Chooses the headers that the upstream receives in addition to the identity headers.
pub struct UpstreamCredentialPolicy {
    default: Option<UpstreamCredential>,
    static_credentials: Vec<StaticCredential>,
    assertions: Option<Assertions>,
    metrics: Arc<Metrics>,
}

/// A static credential with the present value of its header.
pub struct StaticCredential {
    settings: StaticCredentialSettings,
    value: Arc<SecretCell>,
}

/// The headers of an allowed request to the upstream, in addition to the identity headers.
pub struct UpstreamHeaders {
    pub authorization: Authorization,
    /// Other headers that the upstream receives instead of the client's.
    pub others: Vec<CredentialValue>,
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

/// The value of a header for the upstream's credential. `None` removes the client's header.
#[derive(Clone, PartialEq, Eq)]
pub struct CredentialValue {
    pub header: CredentialHeader,
    pub value: Option<String>,
}

impl UpstreamCredentialPolicy {
    pub fn new(
        default: Option<UpstreamCredential>,
        static_credentials: Vec<StaticCredential>,
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
            UpstreamCredential::Static(name) => {
                let can_read_authorization = rules.is_none_or(|rules| rules.can_read_authorization(caller));
                let client = if can_read_authorization { Authorization::Remove } else { Authorization::Passthrough };
                self.choose_static(name, principal.map(|principal| &principal.grant), client)
            }
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

    /// Chooses the first entry of this name for the grant. The headers of the other entries are removed, because the upstream
    /// reads its credential there. `client` is the value of `Authorization` if no entry sets it.
    fn choose_static(
        &self,
        name: &str,
        grant: Option<&Grant>,
        client: Authorization,
    ) -> (UpstreamHeaders, UpstreamCredentialLabel) {
        let named = || self.static_credentials.iter().filter(|credential| credential.settings.name == name);
        let Some(chosen) = named().find(|credential| credential.is_for(grant)) else {
            let mut headers = UpstreamHeaders::NONE;
            named().for_each(|credential| headers.set(&credential.settings.header, None));
            return (headers, UpstreamCredentialLabel::Unmatched);
        };
        let mut headers = UpstreamHeaders::with_authorization(client);
        named().for_each(|credential| headers.set(&credential.settings.header, None));
        headers.set(&chosen.settings.header, Some(chosen.value.expose()));
        (headers, UpstreamCredentialLabel::Static)
    }
}

impl StaticCredential {
    pub fn new(settings: StaticCredentialSettings) -> Self {
        let value = settings.form.header_value(settings.value.expose_initial());
        Self { settings, value: Arc::new(SecretCell::new(&value)) }
    }

    /// The value of the header, which changes with the file of the secret.
    pub fn value(&self) -> &Arc<SecretCell> {
        &self.value
    }

    fn is_for(&self, grant: Option<&Grant>) -> bool {
        let StaticCredentialSettings { roles, teams, .. } = &self.settings;
        let role = || grant.and_then(|grant| grant.role.as_ref()).is_some_and(|role| roles.contains(role));
        let team = || grant.is_some_and(|grant| grant.teams.iter().any(|team| teams.contains(team)));
        (roles.is_empty() || role()) && (teams.is_empty() || team())
    }
}

impl UpstreamHeaders {
    const NONE: Self = Self::with_authorization(Authorization::Remove);

    const fn with_authorization(authorization: Authorization) -> Self {
        Self { authorization, others: Vec::new(), assertion: None }
    }

    fn set(&mut self, header: &CredentialHeader, value: Option<String>) {
        if header.is_authorization() {
            self.authorization = value.map_or(Authorization::Remove, Authorization::Value);
            return;
        }
        self.others.retain(|other| other.header != *header);
        self.others.push(CredentialValue { header: header.clone(), value });
    }
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

impl fmt::Debug for CredentialValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.as_ref().map(|_| "[redacted]");
        f.debug_struct("CredentialValue").field("header", &self.header).field("value", &value).finish()
    }
}

impl fmt::Debug for UpstreamHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { authorization, others, assertion } = self;
        let mut shown = f.debug_struct("UpstreamHeaders");
        shown.field("authorization", authorization).field("others", others).field("assertion", assertion).finish()
    }
}

#[cfg(test)]
mod tests;
