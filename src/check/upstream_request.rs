//! The headers of an allowed request that the gateway sets, removes and passes on, for the answer in any dialect.

use super::Decision;
use crate::{
    access::{CredentialHeader, CredentialSource, CredentialSources},
    principal::IdentityHeaders,
    upstream::{Authorization, UpstreamHeaders},
};

/// The request that the upstream receives. A credential header of the client that is neither set nor kept is removed.
pub struct UpstreamRequest<'a> {
    /// Every identity header is set, even if its value is empty.
    pub identity: &'a IdentityHeaders,
    pub sent: &'a UpstreamHeaders,
    /// The client's credential headers that the upstream receives unchanged.
    pub kept: CredentialSources,
    /// The headers that it would receive if they had no credential of Vestibule.
    pub withheld: CredentialSources,
}

static ANONYMOUS: IdentityHeaders = IdentityHeaders::ANONYMOUS;

impl<'a> UpstreamRequest<'a> {
    /// `None` if the request is not allowed. `has_own_credential` is true for a header with a credential of Vestibule.
    pub fn of(decision: &'a Decision, has_own_credential: impl Fn(CredentialSource) -> bool) -> Option<Self> {
        let (identity, read, sent) = match decision {
            Decision::Allow { evaluation, read, identity_encoding, upstream_headers } => {
                (evaluation.identity_headers(*identity_encoding), *read, upstream_headers)
            }
            Decision::AllowAnyone { upstream_headers } => (&ANONYMOUS, CredentialSources::NONE, upstream_headers),
            _ => return None,
        };
        let passed = CredentialSource::HEADERS.into_iter().filter(|source| is_passed(*source, read, sent));
        let (mut kept, mut withheld) = (CredentialSources::NONE, CredentialSources::NONE);
        for source in passed {
            let set = if has_own_credential(source) { &mut withheld } else { &mut kept };
            *set = set.union([source].into_iter().collect());
        }
        Some(Self { identity, sent, kept, withheld })
    }

    /// The compact JWT of the identity assertion, or an empty text.
    pub fn assertion(&self) -> &'a str {
        self.sent.assertion.as_ref().map_or("", |assertion| &assertion.jwt)
    }

    /// The upstream's own credentials, by header.
    pub fn credentials(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let authorization = match &self.sent.authorization {
            Authorization::Value(value) => Some((CredentialSource::Authorization.as_str(), value.as_str())),
            Authorization::Remove | Authorization::Passthrough => None,
        };
        let others = self.sent.others.iter().filter_map(|sent| Some((sent.header.as_str(), sent.value.as_deref()?)));
        authorization.into_iter().chain(others)
    }

    /// The credential headers that the upstream must not receive from the client, and that no credential replaces.
    pub fn removed_credentials(&self) -> impl Iterator<Item = &'a str> {
        let is_set = |header: &str| self.credentials().any(|(set, _)| set == header);
        let clients = CredentialSource::HEADERS.into_iter().filter(|source| !self.kept.contains(*source));
        // Headers that only the configuration names.
        let configured = self.sent.others.iter().map(|sent| &sent.header);
        let configured = configured.filter(|header| CredentialSource::HEADERS.iter().all(|source| **header != *source));
        let names = clients.map(|source| -> &'a str { source.as_str() }).chain(configured.map(CredentialHeader::as_str));
        names.filter(move |header| !is_set(header))
    }
}

/// True if the rules leave the client's header to the upstream.
fn is_passed(source: CredentialSource, read: CredentialSources, sent: &UpstreamHeaders) -> bool {
    match source {
        CredentialSource::Session => false,
        CredentialSource::Authorization => sent.authorization == Authorization::Passthrough,
        // The upstream's own credential replaces the client's.
        other => !read.contains(other) && sent.others.iter().all(|sent| sent.header != other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::CredentialValue;

    fn names(set: CredentialSources) -> Vec<&'static str> {
        CredentialSource::HEADERS.into_iter().filter(|source| set.contains(*source)).map(CredentialSource::as_str).collect()
    }

    fn sent(authorization: Authorization, others: &[(&str, Option<&str>)]) -> Decision {
        let others = others.iter().map(|(header, value)| CredentialValue {
            header: CredentialHeader::parse(header).unwrap(),
            value: value.map(str::to_owned),
        });
        Decision::AllowAnyone { upstream_headers: UpstreamHeaders { authorization, others: others.collect(), assertion: None } }
    }

    #[test]
    fn a_header_is_set_kept_or_removed() {
        let decision = sent(Authorization::Value("Bearer up".to_owned()), &[("api-key", Some("up")), ("x-own", None)]);
        let request = UpstreamRequest::of(&decision, |source| source == CredentialSource::XApiKey).unwrap();
        assert_eq!(names(request.kept), ["x-litellm-api-key", "x-goog-api-key", "ocp-apim-subscription-key"]);
        assert_eq!(names(request.withheld), ["x-api-key"]);
        assert_eq!(request.credentials().collect::<Vec<_>>(), [("authorization", "Bearer up"), ("api-key", "up")]);
        assert_eq!(request.removed_credentials().collect::<Vec<_>>(), ["x-api-key", "x-own"]);
        assert!(request.identity.user.is_empty() && request.assertion().is_empty());
    }

    #[test]
    fn an_authorization_passes_only_without_a_credential_of_vestibule() {
        let decision = sent(Authorization::Passthrough, &[]);
        for (is_own, kept, removed) in [(false, 6, 0), (true, 0, 6)] {
            let request = UpstreamRequest::of(&decision, |_| is_own).unwrap();
            assert_eq!((names(request.kept).len(), request.removed_credentials().count()), (kept, removed));
        }
    }

    #[test]
    fn a_denial_forwards_nothing() {
        assert!(UpstreamRequest::of(&Decision::RoleMapNotLoaded, |_| false).is_none());
    }
}
