//! Parses the auth requests of gateways that describe the original request by `X-Forwarded-Method`, `-Proto`, `-Host` and
//! `-Uri`: Traefik, Caddy, APISIX, and HAProxy with our example. They replace a client's own values. Allocates nothing.

use super::Dialect;
use super::original_request::{
    Fault,
    GatewayHeader::{self, ForwardedHost, ForwardedMethod, ForwardedProto, ForwardedUri},
    OriginalRequestError, RequestPart,
};
use crate::access::CheckRequest;

/// Parses the original request. `values` returns all values of a header.
pub(super) fn parse<'a, I>(
    dialect: Dialect,
    mut values: impl FnMut(GatewayHeader) -> I,
) -> Result<CheckRequest<'a>, OriginalRequestError>
where
    I: Iterator<Item = &'a [u8]>,
{
    let mut one = |header: GatewayHeader| header.require_one(values(header)).map(|value| (RequestPart::Header(header), value));
    let (part, method) = one(ForwardedMethod)?;
    let method = part.parse_method(method)?;
    let (_, proto) = one(ForwardedProto)?;
    let scheme = parse_scheme(dialect, proto)?;
    let (part, host) = one(ForwardedHost)?;
    let host = part.parse_host(host)?;
    let (part, uri) = one(ForwardedUri)?;
    let (path, query) = part.split_target(part.require_plain_ascii(uri)?)?;
    Ok(CheckRequest { method, scheme, host, path, query })
}

/// Gateways write the scheme in lower case. Of a WebSocket request, Traefik reports `ws` or `wss` if it takes the scheme from a
/// trusted proxy in front of it.
pub(super) fn parse_scheme(dialect: Dialect, proto: &[u8]) -> Result<&'static str, OriginalRequestError> {
    match (proto, dialect) {
        (b"http", _) | (b"ws", Dialect::Traefik) => Ok("http"),
        (b"https", _) | (b"wss", Dialect::Traefik) => Ok("https"),
        _ => Err(ForwardedProto.fails(Fault::Protocol)),
    }
}
