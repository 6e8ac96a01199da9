//! The response to an allowed check: the identity, and the credentials that the upstream receives, as each gateway needs them.

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    http::header::{self, HeaderMap, HeaderName, HeaderValue},
};

use super::super::credential_headers::{self, header_of};
use crate::{
    access::{CredentialSource, CredentialSources},
    check::gateway::Dialect,
    check::{Echo, OwnCredentials, UpstreamRequest},
    upstream::{Authorization, CredentialValue},
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

/// Names the headers that Envoy removes from the request after it has set those of the answer.
const ENVOY_REMOVED: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");
/// Headers of a client that no upstream may receive: credentials for proxies, those of the check, and those by which some
/// frameworks route in place of the path that the check authorized.
const NEVER_FORWARDED: &str = "proxy-authorization, x-vestibule-gateway-secret, x-vestibule-untouched, x-vestibule-removed, \
                               x-original-url, x-original-method, x-rewrite-url, x-forwarded-uri, x-forwarded-method, \
                               x-envoy-original-path";

const EMPTY: HeaderValue = HeaderValue::from_static("");
const COOKIE: HeaderValue = HeaderValue::from_static("cookie");

/// The client's request headers, and the settings for those that the response repeats.
pub(super) struct ClientHeaders<'a> {
    pub headers: &'a HeaderMap,
    /// Detects the credentials that the upstream must not receive.
    pub own: &'a OwnCredentials,
    pub echo: Echo,
}

/// Sets every identity header. Without one, the gateway would forward the client's own header.
pub(super) fn allow(dialect: Dialect, upstream: &UpstreamRequest<'_>, client: &ClientHeaders<'_>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    for (name, value) in [
        (USER, &upstream.identity.user),
        (EMAIL, &upstream.identity.email),
        (PREFERRED_USERNAME, &upstream.identity.preferred_username),
        (GROUPS, &upstream.identity.groups),
        (ROLE, &upstream.identity.role),
        (KEY, &upstream.identity.key),
    ] {
        // Identities contain only valid header values. An empty value is the safe fallback.
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap_or(EMPTY);
        response.insert_header((name, value));
    }
    response.insert_header((ASSERTION, header_value(upstream.assertion())));
    match dialect {
        Dialect::Nginx => add_for_nginx(&mut response, upstream, client),
        Dialect::Envoy => add_for_envoy(&mut response, upstream, client),
        Dialect::Traefik | Dialect::Caddy | Dialect::Haproxy | Dialect::Apisix => add_copied(&mut response, upstream, client),
    }
    response.finish()
}

/// nginx forwards no empty header. Its template keeps the client's headers that are named as untouched.
fn add_for_nginx(response: &mut HttpResponseBuilder, upstream: &UpstreamRequest<'_>, client: &ClientHeaders<'_>) {
    match &upstream.sent.authorization {
        Authorization::Value(value) => _ = response.insert_header((header::AUTHORIZATION, header_value(value))),
        Authorization::Passthrough if upstream.kept.contains(CredentialSource::Authorization) => {}
        Authorization::Passthrough | Authorization::Remove => _ = response.insert_header((header::AUTHORIZATION, EMPTY)),
    }
    for CredentialValue { header, value } in &upstream.sent.others {
        response.insert_header((header.as_str(), value.as_deref().map_or(EMPTY, header_value)));
    }
    if let Some(names) = untouched(upstream.kept) {
        response.insert_header((UNTOUCHED, names));
    }
    match client.echo {
        Echo::Enabled => {
            for source in CredentialSource::HEADERS {
                if upstream.kept.contains(source) {
                    response.insert_header((header_of(source), client.single_value(&header_of(source))));
                } else if upstream.withheld.contains(source) {
                    response.insert_header((header_of(source), EMPTY));
                }
            }
            response.insert_header((header::COOKIE, client.other_cookies()));
        }
        // The gateway removes our cookies by name, and without this header it would pass other spellings.
        Echo::Disabled if client.own.has_unusual_cookie(client.cookies()) => _ = response.insert_header((REMOVED, COOKIE)),
        Echo::Disabled => {}
    }
}

/// These gateways set the listed headers of the answer, and remove a listed header that the answer does not have. They would
/// forward an empty header.
fn add_copied(response: &mut HttpResponseBuilder, upstream: &UpstreamRequest<'_>, client: &ClientHeaders<'_>) {
    for (name, value) in upstream.credentials() {
        response.insert_header((name, header_value(value)));
    }
    if client.echo == Echo::Disabled {
        return;
    }
    let kept = CredentialSource::HEADERS.into_iter().filter(|source| upstream.kept.contains(*source)).map(header_of);
    let values = kept.map(|name| (client.single_value(&name), name)).chain([(client.other_cookies(), header::COOKIE)]);
    for (value, name) in values.filter(|(value, _)| !value.is_empty()) {
        response.insert_header((name, value));
    }
}

/// Envoy sets the headers of the answer, and removes those that it names. It forwards the client's other headers.
fn add_for_envoy(response: &mut HttpResponseBuilder, upstream: &UpstreamRequest<'_>, client: &ClientHeaders<'_>) {
    for (name, value) in upstream.credentials() {
        response.insert_header((name, header_value(value)));
    }
    let cookies = client.other_cookies();
    let mut removed = NEVER_FORWARDED.to_owned();
    // Envoy may not send the cookies to the check. Ours would then reach the upstream.
    let cookie = cookies.is_empty().then_some(header::COOKIE);
    let cookie = cookie.as_ref().map(HeaderName::as_str);
    for name in upstream.removed_credentials().chain(cookie) {
        removed.push_str(", ");
        removed.push_str(name);
    }
    if cookie.is_none() {
        response.insert_header((header::COOKIE, cookies));
    }
    response.insert_header((ENVOY_REMOVED, header_value(&removed)));
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(EMPTY)
}

fn untouched(kept: CredentialSources) -> Option<HeaderValue> {
    let kept = CredentialSource::HEADERS.into_iter().filter(|source| kept.contains(*source));
    let names: Vec<_> = kept.map(CredentialSource::as_str).collect();
    if names.is_empty() { None } else { HeaderValue::try_from(names.join(",")).ok() }
}

impl ClientHeaders<'_> {
    /// True if a value of the source's header contains a credential of Vestibule, which the upstream never receives.
    pub fn has_own_credential(&self, source: CredentialSource) -> bool {
        credential_headers::values(self.headers, source).any(|value| self.own.are_in(value))
    }

    /// Returns the client's cookies without ours, as one header.
    fn other_cookies(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.own.other_cookies(self.cookies())).unwrap_or(EMPTY)
    }

    fn cookies(&self) -> impl Iterator<Item = &[u8]> {
        self.headers.get_all(header::COOKIE).map(HeaderValue::as_bytes)
    }

    /// Returns the value of a header. Several different values are ambiguous and count as none.
    fn single_value(&self, name: &HeaderName) -> HeaderValue {
        let mut values = self.headers.get_all(name);
        values.next().filter(|first| values.all(|other| other == *first)).cloned().unwrap_or(EMPTY)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        access::CredentialHeader, clock::SystemClock, principal::IdentityHeaders, secret::KeyRing, upstream::UpstreamHeaders,
    };

    const IDENTITY: [HeaderName; 7] = [USER, EMAIL, PREFERRED_USERNAME, GROUPS, ROLE, KEY, ASSERTION];
    const COPYING: [Dialect; 4] = [Dialect::Traefik, Dialect::Caddy, Dialect::Haproxy, Dialect::Apisix];

    /// A static credential in `x-litellm-api-key`, and none in `x-own`. The rules leave `x-api-key` and `api-key` to the upstream.
    /// The latter has a credential of Vestibule.
    fn answer(dialect: Dialect, echo: Echo, cookies: &'static str) -> HttpResponse {
        let credential = |header: &str, value: Option<&str>| CredentialValue {
            header: CredentialHeader::parse(header).unwrap(),
            value: value.map(str::to_owned),
        };
        let others = vec![credential("x-litellm-api-key", Some("sk-upstream")), credential("x-own", None)];
        let sent = UpstreamHeaders { authorization: Authorization::Remove, others, assertion: None };
        let upstream = UpstreamRequest {
            identity: &IdentityHeaders::ANONYMOUS,
            sent: &sent,
            kept: [CredentialSource::XApiKey].into_iter().collect(),
            withheld: [CredentialSource::ApiKey].into_iter().collect(),
        };
        let mut headers = HeaderMap::new();
        for (name, value) in [("authorization", "Bearer x"), ("x-api-key", "theirs"), ("api-key", "ours"), ("cookie", cookies)] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let own = OwnCredentials::new(Arc::new(KeyRing::ephemeral(Arc::new(SystemClock))));
        allow(dialect, &upstream, &ClientHeaders { headers: &headers, own: &own, echo })
    }

    fn value<'a>(response: &'a HttpResponse, name: &str) -> Option<&'a str> {
        response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn every_dialect_sets_every_identity_header_even_if_it_is_empty() {
        for dialect in Dialect::ALL {
            let response = answer(dialect, Echo::Disabled, "a=1");
            assert_eq!(response.status(), 200, "{dialect:?}");
            for name in IDENTITY {
                assert_eq!(value(&response, name.as_str()), Some(""), "{dialect:?}: {name}");
            }
        }
    }

    #[test]
    fn a_gateway_that_copies_gets_exactly_the_headers_of_the_upstream() {
        for dialect in COPYING {
            for (echo, cookies, passed) in [
                (Echo::Disabled, "a=1", &[][..]),
                (Echo::Enabled, "a=1; vestibule=x; b=2", &[("x-api-key", "theirs"), ("cookie", "a=1; b=2")]),
                (Echo::Enabled, "vestibule=x", &[("x-api-key", "theirs")]),
            ] {
                let response = answer(dialect, echo, cookies);
                let mut found: Vec<_> = response.headers().iter().filter(|(name, _)| !IDENTITY.contains(name)).collect();
                let mut expected = [&[("x-litellm-api-key", "sk-upstream")], passed].concat();
                found.sort_by_key(|(name, _)| name.as_str());
                expected.sort();
                let found: Vec<_> = found.into_iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
                assert_eq!(found, expected, "{dialect:?}");
            }
        }
    }

    #[test]
    fn envoy_sets_keeps_or_removes_every_credential_header() {
        for (cookies, kept) in [("a=1; vestibule=x", Some("a=1")), ("vestibule=x", None)] {
            let response = answer(Dialect::Envoy, Echo::Disabled, cookies);
            let removed: Vec<_> = value(&response, "x-envoy-auth-headers-to-remove").unwrap().split(", ").collect();
            assert_eq!((value(&response, "x-litellm-api-key"), value(&response, "cookie")), (Some("sk-upstream"), kept));
            for name in
                ["authorization", "api-key", "x-goog-api-key", "ocp-apim-subscription-key", "x-own", "proxy-authorization"]
            {
                assert!(removed.contains(&name) && value(&response, name).is_none(), "{name}: {removed:?}");
            }
            for name in ["x-api-key", "x-litellm-api-key"] {
                assert!(!removed.contains(&name), "{name}: {removed:?}");
            }
            assert_eq!(removed.contains(&"cookie"), kept.is_none());
            assert!(
                response.headers().keys().all(|name| !["x-vestibule-untouched", "x-vestibule-removed"].contains(&name.as_str()))
            );
        }
    }

    #[test]
    fn nginx_gets_the_names_of_the_headers_that_it_keeps() {
        let response = answer(Dialect::Nginx, Echo::Disabled, "VESTIBULE=x");
        assert_eq!((value(&response, "authorization"), value(&response, "x-own")), (Some(""), Some("")));
        assert_eq!(
            (value(&response, "x-vestibule-untouched"), value(&response, "x-vestibule-removed")),
            (Some("x-api-key"), Some("cookie"))
        );
        let echo = answer(Dialect::Nginx, Echo::Enabled, "VESTIBULE=x; a=1");
        let shown = ["x-api-key", "api-key", "cookie"].map(|name| value(&echo, name));
        assert_eq!(shown, [Some("theirs"), Some(""), Some("a=1")]);
    }
}
