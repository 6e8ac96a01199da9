//! The response to an allowed check: the identity, and the credentials that the upstream receives.

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    http::header::{self, HeaderMap, HeaderName, HeaderValue},
};

use super::super::credential_headers::header_of;
use crate::{
    access::{CredentialSource, CredentialSources},
    check::{Echo, cookies_without},
    principal::IdentityHeaders,
    upstream::{Authorization, UpstreamHeaders},
};

const UNTOUCHED: HeaderName = HeaderName::from_static("x-vestibule-untouched");
const ASSERTION: HeaderName = HeaderName::from_static("x-vestibule-assertion");

const USER: HeaderName = HeaderName::from_static("x-auth-request-user");
const EMAIL: HeaderName = HeaderName::from_static("x-auth-request-email");
const PREFERRED_USERNAME: HeaderName = HeaderName::from_static("x-auth-request-preferred-username");
const GROUPS: HeaderName = HeaderName::from_static("x-auth-request-groups");
const ROLE: HeaderName = HeaderName::from_static("x-auth-request-role");
const KEY: HeaderName = HeaderName::from_static("x-auth-request-key");

const EMPTY: HeaderValue = HeaderValue::from_static("");

/// The client's request headers, and the settings for those that the response repeats.
pub(super) struct ClientHeaders<'a> {
    pub headers: &'a HeaderMap,
    /// The names of the cookies that the upstream must not receive.
    pub our_cookies: &'a [&'static str],
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
        Authorization::Passthrough => {}
    }
    let passthrough = PassthroughHeaders { read, authorization: &sent.authorization };
    if let Some(names) = passthrough.names() {
        response.insert_header((UNTOUCHED, names));
    }
    if client.echo == Echo::Enabled {
        client.echo(&passthrough, &mut response);
    }
    response.finish()
}

impl ClientHeaders<'_> {
    fn echo(&self, passthrough: &PassthroughHeaders<'_>, response: &mut HttpResponseBuilder) {
        for name in passthrough.headers().map(header_of) {
            let value = self.single_value(&name);
            response.insert_header((name, value));
        }
        let sent = self.headers.get_all(header::COOKIE).map(|value| value.as_bytes());
        let kept = cookies_without(sent, self.our_cookies);
        response.insert_header((header::COOKIE, HeaderValue::from_bytes(&kept).unwrap_or(EMPTY)));
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
    authorization: &'a Authorization,
}

impl PassthroughHeaders<'_> {
    fn headers(&self) -> impl Iterator<Item = CredentialSource> {
        let is_passthrough = move |place: &CredentialSource| match place {
            CredentialSource::Session => false,
            CredentialSource::Authorization => *self.authorization == Authorization::Passthrough,
            other => !self.read.contains(*other),
        };
        CredentialSource::ALL.into_iter().filter(is_passthrough)
    }

    fn names(&self) -> Option<HeaderValue> {
        let names: Vec<_> = self.headers().map(CredentialSource::as_str).collect();
        if names.is_empty() { None } else { HeaderValue::try_from(names.join(",")).ok() }
    }
}
