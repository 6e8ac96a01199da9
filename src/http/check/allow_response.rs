//! The answer to who may pass: as whom, and with which credential the request goes on.

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

/// What the client sent, and whether the answer is to hold what the upstream gets of it.
pub(super) struct ClientHeaders<'a> {
    pub headers: &'a HeaderMap,
    /// The names of all cookies that are none of the upstream's.
    pub our_cookies: &'a [&'static str],
    pub echo: Echo,
}

/// Every identity header and every credential of ours, always: one that is left out would let the client's own through.
pub(super) fn allow(
    identity: &IdentityHeaders,
    read: CredentialSources,
    sent: &UpstreamHeaders,
    own: &ClientHeaders<'_>,
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
        // What no header can carry was left out when the identity was made; empty is the safe rest.
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
    let left = PassthroughHeaders { read, authorization: &sent.authorization };
    if let Some(names) = left.named() {
        response.insert_header((UNTOUCHED, names));
    }
    if own.echo == Echo::Enabled {
        own.echo(&left, &mut response);
    }
    response.finish()
}

impl ClientHeaders<'_> {
    fn echo(&self, left: &PassthroughHeaders<'_>, response: &mut HttpResponseBuilder) {
        for name in left.headers().map(header_of) {
            let value = self.only(&name);
            response.insert_header((name, value));
        }
        let sent = self.headers.get_all(header::COOKIE).map(|value| value.as_bytes());
        let kept = cookies_without(sent, self.our_cookies);
        response.insert_header((header::COOKIE, HeaderValue::from_bytes(&kept).unwrap_or(EMPTY)));
    }

    /// Of two that differ nobody can say which one is meant.
    fn only(&self, name: &HeaderName) -> HeaderValue {
        let mut values = self.headers.get_all(name);
        values.next().filter(|first| values.all(|other| other == *first)).cloned().unwrap_or(EMPTY)
    }
}

/// The credential headers that the upstream gets as the client sent them; all others are not for it to see.
struct PassthroughHeaders<'a> {
    read: CredentialSources,
    authorization: &'a Authorization,
}

impl PassthroughHeaders<'_> {
    fn headers(&self) -> impl Iterator<Item = CredentialSource> {
        let is_left = move |place: &CredentialSource| match place {
            CredentialSource::Session => false,
            CredentialSource::Authorization => *self.authorization == Authorization::Passthrough,
            other => !self.read.contains(*other),
        };
        CredentialSource::ALL.into_iter().filter(is_left)
    }

    fn named(&self) -> Option<HeaderValue> {
        let names: Vec<_> = self.headers().map(CredentialSource::as_str).collect();
        if names.is_empty() { None } else { HeaderValue::try_from(names.join(",")).ok() }
    }
}
