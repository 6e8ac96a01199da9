//! Reads `public_url` and `origins`: the origins that browsers use.

use std::net::SocketAddr;

use super::values;
use crate::origin::{ProtectedHosts, PublicUrl};
use crate::yaml::decode::{Field, Section, field};

/// The names of the loopback host. Without a configuration, users open the same listener with any of them.
const LOOPBACK_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

const PUBLIC_URL: Field = field(
    "public_url",
    "Origin that browsers use, without a path. With `https://` cookies are Secure and have the prefix `__Host-`; `http://` is \
     for loopback hosts only.",
)
.unset("`http://` and `listen.public`");

const ORIGINS: Field = field(
    "origins",
    "Further origins that this Vestibule protects, such as `[https://chat.example.com]`. A user who has signed in at \
     `public_url` is signed in at each of them. The scheme is that of `public_url`; `http://` is for loopback hosts only. Each \
     host can be listed once, but not that of `public_url`, because cookies ignore ports. An auth request whose URL names no host \
     must be for the host of `public_url` or of one of these.",
)
.unset("none");

/// The fields as they were read, before the default of `public_url` is known.
pub struct ConfiguredOrigins {
    public_url: Option<Option<PublicUrl>>,
    origins: Option<Vec<PublicUrl>>,
}

pub struct Origins {
    pub public_url: PublicUrl,
    pub further: Vec<PublicUrl>,
    pub protected_hosts: ProtectedHosts,
}

pub fn read(root: &mut Section<'_>) -> ConfiguredOrigins {
    let public_url = root.optional(PUBLIC_URL, &values::PUBLIC_URL);
    ConfiguredOrigins { public_url, origins: root.list(ORIGINS, &values::PUBLIC_URL, &[]) }
}

impl ConfiguredOrigins {
    /// Applies the default of `public_url`, which depends on the public listener.
    pub fn complete(self, root: &mut Section<'_>, listen: Option<SocketAddr>) -> (Option<PublicUrl>, Option<Origins>) {
        let is_given = matches!(self.public_url, Some(Some(_)));
        let public_url = self.public_url.and_then(|given| default_public_url(root, given, listen));
        let origins = public_url.clone().zip(self.origins).and_then(|(public_url, further)| {
            let is_valid = [require_distinct_hosts(root, &public_url, &further), require_scheme(root, &public_url, &further)];
            is_valid.into_iter().collect::<Option<()>>()?;
            let configured = further.iter().chain([&public_url]).map(|origin| origin.host().to_owned());
            let loopback = LOOPBACK_HOSTS.iter().filter(|_| !is_given).map(|host| (*host).to_owned());
            let protected_hosts = ProtectedHosts::new(configured.chain(loopback));
            Some(Origins { public_url, further, protected_hosts })
        });
        (public_url, origins)
    }
}

fn default_public_url(root: &mut Section<'_>, given: Option<PublicUrl>, listen: Option<SocketAddr>) -> Option<PublicUrl> {
    if given.is_some() {
        return given;
    }
    let url = PublicUrl::parse(&format!("http://{}", listen?)).ok();
    if url.is_none() {
        root.complain("public_url", "is required if `listen.public` is not a loopback address; set the origin that browsers use");
    }
    url
}

fn require_distinct_hosts(root: &mut Section<'_>, public_url: &PublicUrl, further: &[PublicUrl]) -> Option<()> {
    let mut known = vec![public_url.host()];
    let mut distinct = Some(());
    for host in further.iter().map(PublicUrl::host) {
        if known.contains(&host) {
            root.complain(
                "origins",
                format!("lists the host `{host}` again; cookies ignore ports, so each host can be used once"),
            );
            distinct = None;
        }
        known.push(host);
    }
    distinct
}

/// The cookies of all origins have the same names, and `__Host-` names need https.
fn require_scheme(root: &mut Section<'_>, public_url: &PublicUrl, further: &[PublicUrl]) -> Option<()> {
    let mut same = Some(());
    for origin in further.iter().filter(|origin| origin.scheme() != public_url.scheme()) {
        root.complain("origins", format!("lists `{origin}`, whose scheme is not that of `public_url` ({})", public_url.scheme()));
        same = None;
    }
    same
}
