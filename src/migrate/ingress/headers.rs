//! The headers that a gateway passes to the check, takes from its response, and removes from requests.

use crate::access::CredentialSource;

/// The response of an allowed check has each of them, even if it is empty.
pub const IDENTITY: [&str; 7] = [
    "x-auth-request-user",
    "x-auth-request-email",
    "x-auth-request-preferred-username",
    "x-auth-request-groups",
    "x-auth-request-role",
    "x-auth-request-key",
    "x-vestibule-assertion",
];

pub const GATEWAY_SECRET: &str = "x-vestibule-gateway-secret";

/// Headers for gateways, and those by which some frameworks route instead of the path that the check authorized.
pub const REMOVED: [&str; 7] = [
    "proxy-authorization",
    "x-original-url",
    "x-original-method",
    "x-rewrite-url",
    "x-vestibule-untouched",
    "x-vestibule-removed",
    GATEWAY_SECRET,
];

/// Headers with which clients could state another request to the check. Gateways set those that they use themselves.
pub const FORWARDED: [&str; 2] = ["x-forwarded-uri", "x-forwarded-method"];

/// The headers of a client that the check needs, besides those with credentials.
const CLIENT: [&str; 14] = [
    "cookie",
    "x-forwarded-proto",
    "x-forwarded-for",
    "accept",
    "accept-language",
    "connection",
    "origin",
    "sec-fetch-mode",
    "sec-fetch-dest",
    "sec-fetch-site",
    "x-requested-with",
    "upgrade",
    "sec-websocket-key",
    "x-request-id",
];

pub fn credentials() -> impl Iterator<Item = &'static str> {
    CredentialSource::HEADERS.into_iter().map(CredentialSource::as_str)
}

/// The request headers that Envoy sends to the check.
pub fn sent_to_check() -> Vec<&'static str> {
    credentials().chain(CLIENT).chain([GATEWAY_SECRET]).collect()
}

/// The response headers of an allowed check that the upstream receives.
pub fn sent_to_upstream() -> Vec<&'static str> {
    IDENTITY.into_iter().chain(credentials()).chain(["cookie"]).collect()
}

/// Writes a name as it is usual in HTTP/1.1.
pub fn title_case(name: &str) -> String {
    let capitalize = |word: &str| word.get(..1).map_or(String::new(), |first| first.to_ascii_uppercase() + &word[1..]);
    name.split('-').map(capitalize).collect::<Vec<_>>().join("-")
}

/// True for a header's name in lower case that every gateway accepts in its configuration.
pub fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    (1..=128).contains(&name.len()) && name.bytes().all(is_allowed)
}
