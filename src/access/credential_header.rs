//! The name of a header in which an upstream receives a static credential.

use std::fmt;
use std::sync::Arc;

use super::CredentialSource;

/// A header's name in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialHeader(Arc<str>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialHeaderError {
    #[error("must be a header's name of 1 to {MAX_LENGTH} letters, digits and hyphens, such as x-litellm-api-key")]
    Name,
    #[error(
        "has another meaning for gateways, upstreams or Vestibule; choose the header in which the upstream reads its credential"
    )]
    Reserved,
}

const MAX_LENGTH: usize = 64;

/// Headers of the check's answer, of the connection and of gateways. A credential in one of them would replace it.
const RESERVED: [&str; 26] = [
    "accept",
    "age",
    "cache-control",
    "connection",
    "cookie",
    "date",
    "expect",
    "expires",
    "forwarded",
    "host",
    "keep-alive",
    "location",
    "origin",
    "retry-after",
    "server",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "www-authenticate",
    "x-real-ip",
    "x-request-id",
    "x-rewrite-url",
];

const RESERVED_PREFIXES: [&str; 9] = [
    "access-control-",
    "content-",
    "proxy-",
    "sec-",
    "x-accel-",
    "x-auth-request-",
    "x-forwarded-",
    "x-original-",
    "x-vestibule-",
];

impl CredentialHeader {
    pub fn authorization() -> Self {
        Self(CredentialSource::Authorization.as_str().into())
    }

    pub fn parse(text: &str) -> Result<Self, CredentialHeaderError> {
        let is_name = (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !is_name {
            return Err(CredentialHeaderError::Name);
        }
        let name = text.to_ascii_lowercase();
        let is_reserved = RESERVED.contains(&name.as_str()) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        if is_reserved { Err(CredentialHeaderError::Reserved) } else { Ok(Self(name.into())) }
    }

    pub fn is_authorization(&self) -> bool {
        *self == CredentialSource::Authorization
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// True if clients send credentials in this header too.
impl PartialEq<CredentialSource> for CredentialHeader {
    fn eq(&self, source: &CredentialSource) -> bool {
        *source != CredentialSource::Session && *self.0 == *source.as_str()
    }
}

impl fmt::Display for CredentialHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_parsed_in_lower_case() {
        let header = CredentialHeader::parse("X-LiteLLM-Api-Key").unwrap();
        assert_eq!((header.as_str(), header == CredentialSource::XLitellmApiKey), ("x-litellm-api-key", true));
        assert!(CredentialHeader::parse("Authorization").unwrap().is_authorization());
        assert!(CredentialHeader::parse("session").unwrap() != CredentialSource::Session);
    }

    #[test]
    fn headers_with_another_meaning_are_refused() {
        for name in
            ["Cookie", "Host", "Connection", "Content-Length", "X-Auth-Request-Role", "X-Vestibule-Untouched", "X-Original-URL"]
        {
            assert_eq!(CredentialHeader::parse(name), Err(CredentialHeaderError::Reserved), "{name}");
        }
        for name in ["", "x key", "x_key", "x:key", "x-\u{fc}", "x\r\ny", &"a".repeat(MAX_LENGTH + 1)] {
            assert_eq!(CredentialHeader::parse(name), Err(CredentialHeaderError::Name), "{name}");
        }
    }
}
