//! Parses the auth requests of Envoy and derived gateways by HTTP. The auth request has the original method, host and target, and
//! the target follows a prefix of the gateway's own: `/auth/envoy/{host}`. Allocates nothing.
//!
//! The target is taken byte for byte. Its query is the client's, so the gateway names its host in the path.

use super::original_request::{
    Fault,
    GatewayHeader::{self, ForwardedProto, Host},
    OriginalRequestError,
    RequestPart::{self, Method, Target},
};
use super::{AuthRequestError, CheckUrl, Dialect, forwarded_headers::parse_scheme};
use crate::access::CheckRequest;
use crate::check::{CheckQuery, CheckQueryError};
use crate::origin::NamedHost;

/// The prefix's host if the gateway names none.
const NO_HOST: &str = "-";

/// Parses the original request, and the host that the gateway names. `values` returns all values of a header.
pub(super) fn parse<'a, I>(
    url: CheckUrl<'a>,
    method: &'a str,
    mut values: impl FnMut(GatewayHeader) -> I,
) -> Result<(CheckRequest<'a>, CheckQuery<'a>), AuthRequestError>
where
    I: Iterator<Item = &'a [u8]>,
{
    let (named, path) = split_prefix(url)?;
    Target.require_plain_ascii(path.as_bytes())?;
    Target.require_plain_ascii(url.query.unwrap_or_default().as_bytes())?;
    let method = Method.parse_method(method.as_bytes())?;
    let scheme = parse_scheme(Dialect::Envoy, ForwardedProto.require_one(values(ForwardedProto))?)?;
    let host = RequestPart::Header(Host).parse_host(Host.require_one(values(Host))?)?;
    let named = match named {
        NO_HOST => None,
        name => Some(NamedHost::parse(name.into()).map_err(CheckQueryError::Host)?),
    };
    let request = CheckRequest { method, scheme, host, path, query: url.query };
    Ok((request, CheckQuery { host: named, ..CheckQuery::default() }))
}

/// Splits `/{host}/path`. In an absolute URL, the host of the request would be ambiguous.
fn split_prefix(url: CheckUrl<'_>) -> Result<(&str, &str), OriginalRequestError> {
    if url.authority.is_some() {
        return Err(Target.fails(Fault::Absolute));
    }
    let rest = url.suffix.strip_prefix('/').ok_or(Target.fails(Fault::Slash))?;
    let end = rest.find('/').ok_or(Target.fails(Fault::Slash))?;
    Ok(rest.split_at(end))
}
