//! The values by which gateways describe the original request, and their errors.

use std::{fmt, str};

use crate::origin::{Authority, AuthorityError};

const MAX_METHOD_LENGTH: usize = 32;

/// A header that describes the original request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayHeader {
    OriginalUrl,
    OriginalMethod,
    ForwardedMethod,
    ForwardedProto,
    ForwardedHost,
    ForwardedUri,
    Host,
}

/// A part of an auth request that describes the original request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestPart {
    Header(GatewayHeader),
    /// The auth request's own method.
    Method,
    /// The auth request's own path and query, after the prefix.
    Target,
}

/// The auth request does not describe one request. Answered with 403: a request that the gateway parses differently from us
/// would be authorized for another path than the one it reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part} {fault}")]
pub struct OriginalRequestError {
    pub part: RequestPart,
    pub fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("is missing")]
    Missing,
    #[error("is repeated")]
    Repeated,
    #[error("has a byte that is not allowed in a request target")]
    Byte,
    #[error("does not begin with http:// or https://")]
    Scheme,
    #[error("is neither http nor https")]
    Protocol,
    #[error("has no valid host")]
    Host,
    #[error("has a port that is not a number up to 65535")]
    Port,
    #[error("has no path after its host")]
    Path,
    #[error("does not begin with a slash")]
    Slash,
    #[error("is not a method")]
    Method,
    #[error("is an absolute URL")]
    Absolute,
}

impl OriginalRequestError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(self) -> String {
        format!("{}_{}", self.part.token(), self.fault.token())
    }
}

impl GatewayHeader {
    pub const ALL: [Self; 7] = [
        Self::OriginalUrl,
        Self::OriginalMethod,
        Self::ForwardedMethod,
        Self::ForwardedProto,
        Self::ForwardedHost,
        Self::ForwardedUri,
        Self::Host,
    ];

    /// The header's name in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OriginalUrl => "x-original-url",
            Self::OriginalMethod => "x-original-method",
            Self::ForwardedMethod => "x-forwarded-method",
            Self::ForwardedProto => "x-forwarded-proto",
            Self::ForwardedHost => "x-forwarded-host",
            Self::ForwardedUri => "x-forwarded-uri",
            Self::Host => "host",
        }
    }

    /// Returns the only value of this header.
    pub(super) fn require_one<'a>(self, mut values: impl Iterator<Item = &'a [u8]>) -> Result<&'a [u8], OriginalRequestError> {
        let value = values.next().ok_or(self.fails(Fault::Missing))?;
        match values.next() {
            None => Ok(value),
            Some(_) => Err(self.fails(Fault::Repeated)),
        }
    }

    pub(super) fn fails(self, fault: Fault) -> OriginalRequestError {
        RequestPart::Header(self).fails(fault)
    }
}

impl RequestPart {
    pub(super) fn fails(self, fault: Fault) -> OriginalRequestError {
        OriginalRequestError { part: self, fault }
    }

    /// A token of RFC 9110, section 5.6.2. Methods are case-sensitive, so `get` is a method other than `GET`.
    pub(super) fn parse_method(self, method: &[u8]) -> Result<&str, OriginalRequestError> {
        let is_token = (1..=MAX_METHOD_LENGTH).contains(&method.len())
            && method.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte));
        let text = str::from_utf8(method).ok().filter(|_| is_token);
        text.ok_or(self.fails(Fault::Method))
    }

    /// Refuses bytes beyond ASCII and `#`. Gateways forward both unchanged, and nginx truncates its own path at the `#`. Servers
    /// interpret them differently.
    pub(super) fn require_plain_ascii(self, target: &[u8]) -> Result<&str, OriginalRequestError> {
        let is_plain = target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#');
        let text = str::from_utf8(target).ok().filter(|_| is_plain);
        text.ok_or(self.fails(Fault::Byte))
    }

    /// A host with an optional port, which is dropped.
    pub(super) fn parse_host(self, host: &[u8]) -> Result<&str, OriginalRequestError> {
        let text = str::from_utf8(host).map_err(|_| self.fails(Fault::Host))?;
        Authority::parse(text).map(|authority| authority.host).map_err(|error| self.fails(error.into()))
    }

    /// The path, and the query after the first question mark.
    pub(super) fn split_target(self, target: &str) -> Result<(&str, Option<&str>), OriginalRequestError> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        if path.starts_with('/') { Ok((path, query)) } else { Err(self.fails(Fault::Slash)) }
    }

    fn token(self) -> &'static str {
        match self {
            Self::Header(GatewayHeader::OriginalUrl) => "original_url",
            Self::Header(GatewayHeader::OriginalMethod) => "original_method",
            Self::Header(GatewayHeader::ForwardedMethod) => "forwarded_method",
            Self::Header(GatewayHeader::ForwardedProto) => "forwarded_proto",
            Self::Header(GatewayHeader::ForwardedHost) => "forwarded_host",
            Self::Header(GatewayHeader::ForwardedUri) => "forwarded_uri",
            Self::Header(GatewayHeader::Host) => "host_header",
            Self::Method => "method",
            Self::Target => "target",
        }
    }
}

impl Fault {
    fn token(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Repeated => "repeated",
            Self::Byte => "invalid_byte",
            Self::Scheme => "invalid_scheme",
            Self::Host => "invalid_host",
            Self::Port => "invalid_port",
            Self::Path => "path_missing",
            Self::Slash => "without_slash",
            Self::Method | Self::Protocol => "invalid",
            Self::Absolute => "absolute",
        }
    }
}

impl From<AuthorityError> for Fault {
    fn from(error: AuthorityError) -> Self {
        match error {
            AuthorityError::Host => Self::Host,
            AuthorityError::Port => Self::Port,
        }
    }
}

impl fmt::Display for RequestPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header(GatewayHeader::OriginalUrl) => "X-Original-URL",
            Self::Header(GatewayHeader::OriginalMethod) => "X-Original-Method",
            Self::Header(GatewayHeader::ForwardedMethod) => "X-Forwarded-Method",
            Self::Header(GatewayHeader::ForwardedProto) => "X-Forwarded-Proto",
            Self::Header(GatewayHeader::ForwardedHost) => "X-Forwarded-Host",
            Self::Header(GatewayHeader::ForwardedUri) => "X-Forwarded-Uri",
            Self::Header(GatewayHeader::Host) => "Host",
            Self::Method => "the method",
            Self::Target => "the path after the check's prefix",
        })
    }
}
