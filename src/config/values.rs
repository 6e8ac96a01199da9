//! Parsers of the configuration's values.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use url::Url;

use super::units;
use crate::client_address::ProxyNetwork;
use crate::origin::{self, PublicUrl};
use crate::yaml::decode::Kind;
use crate::yaml::shown;

pub const PUBLIC_URL: Kind<PublicUrl> =
    Kind { name: "origin", parse: |text| PublicUrl::parse(text).map_err(|error| error.to_string()) };
pub const ADDRESS: Kind<SocketAddr> = Kind { name: "address", parse: address };
pub const NETWORK: Kind<ProxyNetwork> = Kind { name: "network", parse: network };
pub const ENDPOINT: Kind<Url> = Kind { name: "URL", parse: endpoint };
pub const FILE: Kind<PathBuf> = Kind { name: "path", parse: file };
pub const CA_FILE: Kind<PathBuf> = Kind { name: "path", parse: ca_file };
pub const NAME: Kind<String> = Kind { name: "text", parse: name };
pub const BOOLEAN: Kind<bool> =
    Kind { name: "`true` or `false`", parse: |text| choice(text, &[("true", true), ("false", false)]) };

/// The maximum age of an issuer's keys. The minimum is twice the interval of their fetches.
pub const KEYS_MAX_AGE: Kind<Duration> = Kind {
    name: "duration",
    parse: |text| duration(text, Duration::from_secs(2 * 3600), Duration::from_secs(30 * 86_400), "must be from 2h to 30d"),
};
pub const DEFAULT_KEYS_MAX_AGE: &str = "24h";

/// The default where it depends on another field.
pub fn default_keys_max_age() -> Duration {
    (KEYS_MAX_AGE.parse)(DEFAULT_KEYS_MAX_AGE).expect("the default is a valid duration")
}

/// Parses one of several words.
pub fn choice<T: Clone>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| value.clone()).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        format!("must be {}, not {}", one_of(&names), shown(text))
    })
}

/// Parses a whole number within limits.
pub fn count<T: FromStr + PartialOrd + Display>(text: &str, limits: RangeInclusive<T>) -> Result<T, String> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let value = digits.then(|| text.parse().ok()).flatten().filter(|value| limits.contains(value));
    value.ok_or_else(|| format!("must be a whole number from {} to {}, not {}", limits.start(), limits.end(), shown(text)))
}

/// Parses a duration from `least` to `most`. `reason` is the error message for one out of range.
pub fn duration(text: &str, least: Duration, most: Duration, reason: &str) -> Result<Duration, String> {
    let value = units::duration(text)?;
    if (least..=most).contains(&value) { Ok(value) } else { Err(reason.to_owned()) }
}

/// Parses a text of limited length without control characters.
pub fn name(text: &str) -> Result<String, String> {
    const MAX_LENGTH: usize = 256;
    match text {
        "" => Err("must not be empty".to_owned()),
        _ if text.len() > MAX_LENGTH => Err(format!("must not be longer than {MAX_LENGTH} bytes")),
        _ if text.chars().any(char::is_control) => Err("must not contain control characters".to_owned()),
        _ if text.trim() != text => Err("must not begin or end with white space".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// Parses an https URL, or an http URL with a loopback host. Messages don't repeat it, because it may contain a password.
pub fn endpoint(text: &str) -> Result<Url, String> {
    let url = origin::web_url(text).ok_or("must be an absolute URL such as https://idp.example.com/path")?;
    if origin::has_credentials(&url, text) {
        return Err("must not contain a user name or password".to_owned());
    }
    if !origin::is_https_or_loopback(&url) {
        return Err("must be an https:// URL; http is accepted for loopback hosts only".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must not have a fragment (`#…`)".to_owned());
    }
    Ok(url)
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let hint = match text.strip_prefix(':').and_then(|port| port.parse::<u16>().ok()) {
            Some(port) => format!("to listen on every interface, write 0.0.0.0:{port}"),
            None => format!("not {}", shown(text)),
        };
        format!("must be an IP address and a port such as 127.0.0.1:4180; {hint}")
    })
}

fn network(text: &str) -> Result<ProxyNetwork, String> {
    let net = text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse());
    let net = net.map_err(|_| format!("must be an address or a network such as 10.0.0.0/8, not {}", shown(text)))?;
    let every_address = |_| "would trust X-Forwarded-For from every address; set the gateway's network".to_owned();
    let network = ProxyNetwork::try_from(net).map_err(every_address)?;
    match net.trunc() == net {
        true => Ok(network),
        false => Err(format!("has host bits set; did you mean {}?", net.trunc())),
    }
}

fn file(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("must not be empty".to_owned()),
        _ if text.contains('\0') => Err("must not contain a NUL character".to_owned()),
        _ => Ok(PathBuf::from(text)),
    }
}

/// Parses the path of a PEM file and checks that TLS can use every certificate in it.
fn ca_file(text: &str) -> Result<PathBuf, String> {
    let path = file(text)?;
    let pem = std::fs::read(&path).map_err(|error| format!("{} can't be read: {error}", shown(text)))?;
    let begin = b"-----BEGIN CERTIFICATE-----";
    if !pem.windows(begin.len()).any(|window| window == begin) {
        return Err(format!("{} must contain certificates in PEM form (-----BEGIN CERTIFICATE-----)", shown(text)));
    }
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let added = certificate
            .map_err(|error| error.to_string())
            .and_then(|certificate| rustls::RootCertStore::empty().add(certificate).map_err(|error| error.to_string()));
        added.map_err(|error| format!("{} contains a certificate that can't be used: {error}", shown(text)))?;
    }
    Ok(path)
}

fn one_of(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("10.0.0.0/8", "10.0.0.0/8")]
    #[case("10.1.2.3", "10.1.2.3/32")]
    #[case("fd00::/8", "fd00::/8")]
    #[case("::1", "::1/128")]
    fn networks_and_addresses_are_parsed(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(network(text).unwrap().to_string(), expected);
    }

    #[rstest]
    #[case("10.0.0.1/8", "has host bits set; did you mean 10.0.0.0/8?")]
    #[case("0.0.0.0/0", "would trust X-Forwarded-For from every address; set the gateway's network")]
    #[case("::/0", "would trust X-Forwarded-For from every address; set the gateway's network")]
    #[case("10.0.0.0/33", "must be an address or a network such as 10.0.0.0/8, not `10.0.0.0/33`")]
    #[case("gateway", "must be an address or a network such as 10.0.0.0/8, not `gateway`")]
    fn invalid_networks_are_refused(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(network(text).unwrap_err(), expected);
    }

    #[rstest]
    #[case("4", Ok(4))]
    #[case("0", Err("must be a whole number from 1 to 9, not `0`"))]
    #[case("+4", Err("must be a whole number from 1 to 9, not `+4`"))]
    #[case("", Err("must be a whole number from 1 to 9, not ``"))]
    #[case("99999999999999999999", Err("must be a whole number from 1 to 9, not `99999999999999999999`"))]
    fn counts_have_limits(#[case] text: &str, #[case] expected: Result<u32, &str>) {
        assert_eq!(count(text, 1..=9), expected.map_err(str::to_owned));
    }

    #[test]
    fn the_choices_are_listed_if_none_matches() {
        let choices = [("a", 1), ("b", 2), ("c", 3)];
        assert_eq!(choice("b", &choices), Ok(2));
        assert_eq!(choice("B", &choices), Err("must be a, b or c, not `B`".to_owned()));
        assert_eq!(choice("B", &choices[..1]), Err("must be a, not `B`".to_owned()));
    }

    #[rstest]
    #[case("127.0.0.1:0")]
    #[case("[::1]:4180")]
    fn addresses_are_parsed(#[case] text: &str) {
        assert_eq!(address(text).unwrap().to_string(), text);
    }

    #[test]
    fn a_port_without_an_address_gets_a_hint() {
        let expected = "must be an IP address and a port such as 127.0.0.1:4180; to listen on every interface, write 0.0.0.0:80";
        assert_eq!(address(":80").unwrap_err(), expected);
    }

    #[test]
    fn an_endpoint_with_a_password_is_refused_without_repeating_it() {
        let wrong = endpoint("https://user:hunter2@idp.example.com/").unwrap_err();
        assert_eq!(wrong, "must not contain a user name or password");
    }
}
