//! Parses the auth requests of gateways into the original request. Each gateway family has its own dialect.
//!
//! A parser must read the headers of its own family only. Every gateway forwards the other families' headers from the client
//! unchanged, so a fallback to them would let the client forge the original request.

pub mod connection;
pub mod navigation;
pub mod secret;

mod envoy;
mod forwarded_headers;
mod nginx;
mod original_request;
#[cfg(test)]
mod tests;

pub use nginx::parse_url;
pub use original_request::{Fault, GatewayHeader, OriginalRequestError, RequestPart};

use super::{CheckQuery, CheckQueryError};
use crate::access::CheckRequest;
use crate::metrics::GatewayLabel;

/// A gateway family, by the path of its check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Nginx,
    Traefik,
    Caddy,
    Envoy,
    Haproxy,
    Apisix,
}

/// The target of an auth request, as sent. Nothing is decoded or normalized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckUrl<'a> {
    pub dialect: Dialect,
    /// The rest of the path after that of the dialect: empty, or with its leading slash.
    pub suffix: &'a str,
    pub query: Option<&'a str>,
    /// The authority of a target in absolute form.
    pub authority: Option<&'a str>,
}

/// An auth request does not say which request is to be authorized, or how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthRequestError {
    #[error(transparent)]
    Original(#[from] OriginalRequestError),
    #[error(transparent)]
    Query(#[from] CheckQueryError),
}

impl Dialect {
    pub const ALL: [Self; 6] = [Self::Nginx, Self::Traefik, Self::Caddy, Self::Envoy, Self::Haproxy, Self::Apisix];

    /// The name in the path of the check's URL.
    pub fn as_str(self) -> &'static str {
        self.label().as_str()
    }

    pub fn label(self) -> GatewayLabel {
        match self {
            Self::Nginx => GatewayLabel::Nginx,
            Self::Traefik => GatewayLabel::Traefik,
            Self::Caddy => GatewayLabel::Caddy,
            Self::Envoy => GatewayLabel::Envoy,
            Self::Haproxy => GatewayLabel::Haproxy,
            Self::Apisix => GatewayLabel::Apisix,
        }
    }

    fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.as_str() == name)
    }
}

impl<'a> CheckUrl<'a> {
    /// Finds the dialect of the path. `None` if no dialect has it.
    pub fn find(path: &'a str, query: Option<&'a str>, authority: Option<&'a str>) -> Option<Self> {
        let rest = path.strip_prefix("/auth/")?;
        let (name, suffix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Some(Self { dialect: Dialect::find(name)?, suffix, query, authority })
    }

    /// Parses the original request, and the gateway's own statements. `method` is that of the auth request, and `values` returns
    /// all values of one of its headers.
    pub fn parse_request<I>(
        self,
        method: &'a str,
        values: impl FnMut(GatewayHeader) -> I,
    ) -> Result<(CheckRequest<'a>, CheckQuery<'a>), AuthRequestError>
    where
        I: Iterator<Item = &'a [u8]>,
    {
        let request = match self.dialect {
            Dialect::Envoy => return envoy::parse(self, method, values),
            Dialect::Nginx => nginx::parse(values)?,
            dialect => forwarded_headers::parse(dialect, values)?,
        };
        let query = self.query.unwrap_or_default();
        // Caddy appends the client's query to a check's URL that has none.
        if self.dialect == Dialect::Caddy && !query.is_empty() && request.query == self.query {
            return Err(CheckQueryError::OfClient.into());
        }
        Ok((request, CheckQuery::parse(query)?))
    }
}
