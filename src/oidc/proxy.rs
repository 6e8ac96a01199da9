//! The HTTP proxy between Vestibule and identity providers, and the hosts that are contacted without it.

use std::fmt;

use url::Url;

use crate::origin::is_loopback;

/// The loopback hosts, which are another machine's own for a proxy there. `http://` is accepted for them only because the
/// request does not leave the machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.0/8", "::1"];

/// A proxy without credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProxy {
    url: Url,
    /// The hosts that are contacted directly.
    exceptions: Vec<String>,
}

/// A destination that is contacted directly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyException {
    AnyHost,
    /// A domain with its subdomains, an address or a network. Addresses and networks match hosts that are written as addresses.
    Host(String),
}

impl HttpProxy {
    /// `None` if every host is an exception.
    pub fn new(url: Url, exceptions: &[ProxyException]) -> Option<Self> {
        let mut hosts = Vec::new();
        for exception in exceptions {
            match exception {
                ProxyException::AnyHost => return None,
                ProxyException::Host(host) => hosts.push(host.clone()),
            }
        }
        if !is_loopback(&url) {
            hosts.extend(LOOPBACK.map(str::to_owned));
        }
        Some(Self { url, exceptions: hosts })
    }

    pub(super) fn rule(&self) -> reqwest::Result<reqwest::Proxy> {
        let exceptions = reqwest::NoProxy::from_string(&self.exceptions.join(","));
        Ok(reqwest::Proxy::all(self.url.clone())?.no_proxy(exceptions))
    }
}

impl fmt::Display for HttpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url.origin().ascii_serialization())
    }
}
