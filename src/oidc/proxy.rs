//! The HTTP proxy between Vestibule and identity providers, and the hosts that are contacted without it.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{
    origin::is_loopback,
    secret::{ConfiguredSecret, read_secret_file},
};

/// The loopback hosts, which are another machine's own for a proxy there. `http://` is accepted for them only because the
/// request does not leave the machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.0/8", "::1"];

/// A proxy, and the user name and password that it requires.
#[derive(Clone, Debug)]
pub struct HttpProxy {
    server: ProxyServer,
    /// The hosts that are contacted directly.
    exceptions: Vec<String>,
}

/// The address of a proxy, and its credentials as `user:password`. They belong together, so that no other proxy receives them.
#[derive(Clone, Debug)]
pub struct ProxyServer {
    pub url: Url,
    pub credentials: Option<ConfiguredSecret>,
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
    pub fn new(server: ProxyServer, exceptions: &[ProxyException]) -> Option<Self> {
        let mut hosts = Vec::new();
        for exception in exceptions {
            match exception {
                ProxyException::AnyHost => return None,
                ProxyException::Host(host) => hosts.push(host.clone()),
            }
        }
        if !is_loopback(&server.url) {
            hosts.extend(LOOPBACK.map(str::to_owned));
        }
        Some(Self { server, exceptions: hosts })
    }

    /// Returns the credentials as they are now. `None` if there are none, or if their file cannot be read.
    pub(super) fn credentials(&self) -> Option<SecretString> {
        match self.server.credentials.as_ref()? {
            ConfiguredSecret::Inline(secret) => Some(secret.clone()),
            ConfiguredSecret::File { path, .. } => read_secret_file(path).ok(),
        }
    }

    pub(super) fn rule(&self, credentials: Option<&SecretString>) -> reqwest::Result<reqwest::Proxy> {
        let exceptions = reqwest::NoProxy::from_string(&self.exceptions.join(","));
        let rule = reqwest::Proxy::all(self.server.url.clone())?.no_proxy(exceptions);
        Ok(match credentials.and_then(|credentials| credentials.expose_secret().split_once(':')) {
            Some((user, password)) => rule.basic_auth(user, password),
            None => rule,
        })
    }
}

impl fmt::Display for HttpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.server.url.origin().ascii_serialization())
    }
}
