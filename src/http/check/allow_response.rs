//! The response to an allowed check: the identity, and the credentials that the upstream receives.

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    http::header::{self, HeaderMap, HeaderName, HeaderValue},
};

use super::super::credential_headers::{self, header_of};
use crate::{
    access::{CredentialSource, CredentialSources},
    check::{Echo, OwnCredentials},
    principal::IdentityHeaders,
    upstream::{Authorization, CredentialValue, UpstreamHeaders},
};

const UNTOUCHED: HeaderName = HeaderName::from_static("x-vestibule-untouched");
const REMOVED: HeaderName = HeaderName::from_static("x-vestibule-removed");
const ASSERTION: HeaderName = HeaderName::from_static("x-vestibule-assertion");

const USER: HeaderName = HeaderName::from_static("x-auth-request-user");
const EMAIL: HeaderName = HeaderName::from_static("x-auth-request-email");
const PREFERRED_USERNAME: HeaderName = HeaderName::from_static("x-auth-request-preferred-username");
const GROUPS: HeaderName = HeaderName::from_static("x-auth-request-groups");
const ROLE: HeaderName = HeaderName::from_static("x-auth-request-role");
const KEY: HeaderName = HeaderName::from_static("x-auth-request-key");

const EMPTY: HeaderValue = HeaderValue::from_static("");
const COOKIE: HeaderValue = HeaderValue::from_static("cookie");

/// The client's request headers, and the settings for those that the response repeats.
pub(super) struct ClientHeaders<'a> {
    pub headers: &'a HeaderMap,
    /// Detects the credentials that the upstream must not receive.
    pub own: &'a OwnCredentials,
    pub echo: Echo,
}

/// Sets every identity and credential header. Without one, the gateway would forward the client's own header.
pub(super) fn allow(
    identity: &IdentityHeaders,
    read: CredentialSources,
    sent: &UpstreamHeaders,
    client: &ClientHeaders<'_>,
) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    for (name, value) in [
        (USER, &identity.user),
        (EMAIL, &identity.email),
        (PREFERRED_USERNAME, &identity.preferred_username),
        (GROUPS, &identity.groups),
        (ROLE, &identity.role),
        (KEY, &identity.key),
    ] {
        // Identities contain only valid header values. An empty value is the safe fallback.
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap_or(EMPTY);
        response.insert_header((name, value));
    }
    let assertion = sent.assertion.as_ref().map_or("", |assertion| &assertion.jwt);
    response.insert_header((ASSERTION, HeaderValue::from_str(assertion).unwrap_or(EMPTY)));
    match &sent.authorization {
        Authorization::Remove => _ = response.insert_header((header::AUTHORIZATION, EMPTY)),
        Authorization::Value(value) => {
            response.insert_header((header::AUTHORIZATION, HeaderValue::from_str(value).unwrap_or(EMPTY)));
        }
        Authorization::Passthrough if client.has_own_credential(CredentialSource::Authorization) => {
            response.insert_header((header::AUTHORIZATION, EMPTY));
        }
        Authorization::Passthrough => {}
    }
    for CredentialValue { header, value } in &sent.others {
        let value = value.as_deref().and_then(|value| HeaderValue::from_str(value).ok()).unwrap_or(EMPTY);
        response.insert_header((header.as_str(), value));
    }
    let passthrough = PassthroughHeaders { read, sent, client };
    if let Some(names) = passthrough.names() {
        response.insert_header((UNTOUCHED, names));
    }
    match client.echo {
        Echo::Enabled => client.echo(&passthrough, &mut response),
        // The gateway removes our cookies by name, and without this header it would pass other spellings.
        Echo::Disabled if client.own.has_unusual_cookie(client.cookies()) => _ = response.insert_header((REMOVED, COOKIE)),
        Echo::Disabled => {}
    }
    response.finish()
}

impl ClientHeaders<'_> {
    fn echo(&self, passthrough: &PassthroughHeaders<'_>, response: &mut HttpResponseBuilder) {
        for source in passthrough.selected() {
            let name = header_of(source);
            let value = if self.has_own_credential(source) { EMPTY } else { self.single_value(&name) };
            response.insert_header((name, value));
        }
        let kept = self.own.other_cookies(self.cookies());
        response.insert_header((header::COOKIE, HeaderValue::from_bytes(&kept).unwrap_or(EMPTY)));
    }

    fn cookies(&self) -> impl Iterator<Item = &[u8]> {
        self.headers.get_all(header::COOKIE).map(HeaderValue::as_bytes)
    }

    /// True if a value of the source's header contains a credential of Vestibule, which the upstream never receives.
    fn has_own_credential(&self, source: CredentialSource) -> bool {
        credential_headers::values(self.headers, source).any(|value| self.own.are_in(value))
    }

    /// Returns the value of a header. Several different values are ambiguous and count as none.
    fn single_value(&self, name: &HeaderName) -> HeaderValue {
        let mut values = self.headers.get_all(name);
        values.next().filter(|first| values.all(|other| other == *first)).cloned().unwrap_or(EMPTY)
    }
}

/// The credential headers that the upstream receives as the client sent them. It receives no others.
struct PassthroughHeaders<'a> {
    read: CredentialSources,
    sent: &'a UpstreamHeaders,
    client: &'a ClientHeaders<'a>,
}

impl PassthroughHeaders<'_> {
    /// The headers that the rules select. Those with a credential of Vestibule are not passed on.
    fn selected(&self) -> impl Iterator<Item = CredentialSource> {
        let is_passthrough = move |place: &CredentialSource| match place {
            CredentialSource::Session => false,
            CredentialSource::Authorization => self.sent.authorization == Authorization::Passthrough,
            // The upstream's own credential replaces the client's.
            other => !self.read.contains(*other) && self.sent.others.iter().all(|sent| sent.header != *other),
        };
        CredentialSource::ALL.into_iter().filter(is_passthrough)
    }

    fn names(&self) -> Option<HeaderValue> {
        let passed = self.selected().filter(|source| !self.client.has_own_credential(*source));
        let names: Vec<_> = passed.map(CredentialSource::as_str).collect();
        if names.is_empty() { None } else { HeaderValue::try_from(names.join(",")).ok() }
    }
}
