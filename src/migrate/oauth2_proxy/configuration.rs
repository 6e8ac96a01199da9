//! Writes the configuration.

use std::net::SocketAddr;

use url::Url;

use super::OptionSettings;
use super::input::Options;
use super::provider::ConvertedProvider;
use super::{store, values};
use crate::yaml::emit::{Map, YamlValue};

/// Returns the origin of `--public-url` or `redirect-url`.
pub fn public_url(options: &Options, settings: &OptionSettings) -> Result<String, String> {
    let given = settings.public_url.as_deref().or_else(|| options.text("redirect-url"));
    let given = given.ok_or("redirect-url: is missing; name the origin that browsers use with --public-url")?;
    let url = Url::parse(given).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let origin = url.map(|url| url.origin().ascii_serialization());
    origin.ok_or_else(|| "redirect-url: is not an http or https URL with a host; use --public-url".to_owned())
}

pub fn convert(
    options: &Options,
    settings: &OptionSettings,
    public_url: &str,
    provider: ConvertedProvider,
    role_map_file: &str,
    remarks: &mut Vec<String>,
) -> Map {
    let mut map = Map::new().with("public_url", public_url).with_some("listen", listen(options));
    if options.is_set("trusted-proxy-ip") {
        map.set("trusted_proxies", options.list("trusted-proxy-ip").to_vec());
    }
    if let Some(store) = store::convert(options, settings, remarks) {
        let file = format!("{}/keyring", settings.directory.trim_end_matches('/'));
        remarks.push("Create the key ring with `vestibule key-ring new`.".to_owned());
        map = map.with("store", store).with("key_ring_file", file);
    }
    map.set("providers", vec![provider.map]);
    map.set_some("token_issuers", token_issuers(options, remarks));
    map.set_some("sessions", sessions(options, remarks));
    map.with("role_map", Map::new().with("file", role_map_file))
}

const CHECK_PORT: u16 = 4181;
const ADMIN_PORT: u16 = 4182;

/// The other listeners are at the same address, unless it has one of their ports.
fn listen(options: &Options) -> Option<Map> {
    let text = options.text("http-address")?;
    let text = text.strip_prefix("http://").unwrap_or(text);
    let text = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.replace("localhost:", "127.0.0.1:") };
    let address: SocketAddr = text.parse().ok()?;
    let map = Map::new().with("public", address.to_string());
    if matches!(address.port(), CHECK_PORT | ADMIN_PORT) {
        return Some(map);
    }
    let other = |port| SocketAddr::new(address.ip(), port).to_string();
    Some(map.with("check", other(CHECK_PORT)).with("admin", other(ADMIN_PORT)))
}

/// A client ID is the audience of id_tokens, which are not access tokens.
fn token_issuers(options: &Options, remarks: &mut Vec<String>) -> Option<YamlValue> {
    let mut issuers: Vec<(&str, Vec<&str>)> = Vec::new();
    for pair in options.list("extra-jwt-issuers") {
        let (issuer, audience) = pair.rsplit_once('=').unwrap_or((pair, ""));
        if audience.is_empty() || options.text("client-id") == Some(audience) || options.text("oidc-issuer-url") == Some(issuer) {
            remarks.push(
                "A pair of extra-jwt-issuers is not converted: its audience or issuer is that of id_tokens of the provider."
                    .to_owned(),
            );
            continue;
        }
        match issuers.iter_mut().find(|(known, _)| *known == issuer) {
            Some((_, audiences)) => audiences.push(audience),
            None => issuers.push((issuer, vec![audience])),
        }
    }
    let map = |(number, (issuer, audiences)): (usize, &(&str, Vec<&str>))| {
        Map::new().with("id", format!("issuer-{}", number + 1)).with("issuer", *issuer).with("audiences", audiences.clone())
    };
    (!issuers.is_empty()).then(|| issuers.iter().enumerate().map(map).collect())
}

/// The idle timeout of Vestibule's default configuration.
const IDLE: u64 = 12 * 3600;

fn sessions(options: &Options, remarks: &mut Vec<String>) -> Option<Map> {
    let absolute = options.text("cookie-expire").and_then(values::seconds);
    let Some(absolute) = absolute.filter(|seconds| *seconds >= 60) else {
        if options.is_set("cookie-expire") {
            remarks.push("cookie-expire is not converted: sessions end after `sessions.absolute` (7d), at least 1m.".to_owned());
        }
        return None;
    };
    let idle = (absolute < IDLE).then(|| values::duration(absolute));
    Some(Map::new().with_some("idle", idle).with("absolute", values::duration(absolute)))
}
