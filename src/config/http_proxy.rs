//! The fields `http_proxy` and `no_proxy`, at the top level and per provider and token issuer.

use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};

use super::secrets::SecretFields;
use crate::oidc::{HttpProxy, ProxyException, ProxyServer};
use crate::origin;
use crate::yaml::decode::{Field, Kind, Section, field};
use crate::yaml::shown;

/// The fields of one section. A field that is not set has the value of the top level.
#[derive(Clone, Debug, Default)]
pub struct ProxyFields {
    server: Option<ProxyServer>,
    exceptions: Option<Vec<ProxyException>>,
}

const TOP_LEVEL: [Field; 2] = [
    field(
        "http_proxy",
        "HTTP proxy for requests to identity providers and token issuers, such as `http://proxy.example.com:3128`. Redis and the Kubernetes API server are never contacted through it, and loopback hosts only if the proxy \
         is on a loopback host too. Proxy variables of the environment are not read.",
    )
    .unset("none"),
    field(
        "no_proxy",
        "Hosts that are contacted without the proxy: domains with their subdomains, addresses and networks, or `\"*\"` for all. \
         Addresses and networks match only URLs that contain an address.",
    )
    .unset("none"),
];

const PER_SECTION: [Field; 2] = [
    field("http_proxy", "HTTP proxy, as at the top level.").unset("the top level's"),
    field("no_proxy", "Hosts that are contacted without the proxy, instead of those of the top level; `[\"*\"]` for no proxy.")
        .unset("the top level's"),
];

pub fn read_top_level(root: &mut Section<'_>) -> Option<ProxyFields> {
    read(root, TOP_LEVEL)
}

pub fn read_section(section: &mut Section<'_>) -> Option<ProxyFields> {
    read(section, PER_SECTION)
}

/// The credentials of a proxy. They are read beside its URL, because they are for no other proxy.
const CREDENTIALS: SecretFields = SecretFields {
    inline: field(
        "http_proxy_credentials",
        "Inline user name and password for `http_proxy`. Prefer `http_proxy_credentials_file`.",
    ),
    file: field(
        "http_proxy_credentials_file",
        "File with `user:password` for the `http_proxy` beside it, which receives them as Basic authentication. Read again when it \
         changes.",
    ),
    check: check_credentials,
};

fn read(section: &mut Section<'_>, [proxy, exceptions]: [Field; 2]) -> Option<ProxyFields> {
    let server = read_server(section, proxy);
    let listed = section.list(exceptions, &EXCEPTION, &[]);
    let is_listed = section.is_given("no_proxy");
    Some(ProxyFields { server: server?, exceptions: listed.map(|listed| is_listed.then_some(listed))? })
}

fn read_server(section: &mut Section<'_>, proxy: Field) -> Option<Option<ProxyServer>> {
    let url = section.optional(proxy, &PROXY);
    let credentials = section.secret(&CREDENTIALS);
    match (url?, credentials?) {
        (Some(url), credentials) => Some(Some(ProxyServer { url, credentials })),
        (None, None) => Some(None),
        (None, Some(_)) => {
            let fields = [CREDENTIALS.inline.name, CREDENTIALS.file.name];
            let given = fields.into_iter().find(|name| section.is_given(name)).unwrap_or(CREDENTIALS.file.name);
            section.complain(given, "needs `http_proxy` beside it, so that no other proxy receives the credentials");
            None
        }
    }
}

impl ProxyFields {
    /// Returns the proxy of a section whose unset fields have the values of the top level.
    pub fn proxy(self, top_level: &Self) -> Option<HttpProxy> {
        let server = self.server.or_else(|| top_level.server.clone())?;
        let exceptions = self.exceptions.as_ref().or(top_level.exceptions.as_ref());
        HttpProxy::new(server, exceptions.map_or(&[], Vec::as_slice))
    }
}

const PROXY: Kind<Url> = Kind { name: "URL", parse: parse_proxy };
const EXCEPTION: Kind<ProxyException> = Kind { name: "host", parse: parse_exception };

/// Parses the URL of a proxy. Messages don't repeat it, because it may contain a password.
fn parse_proxy(text: &str) -> Result<Url, String> {
    let url = origin::web_url(text).ok_or("must be an http:// or https:// URL such as http://proxy.example.com:3128")?;
    if origin::has_credentials(&url, text) {
        return Err("must not contain a user name or password; use `http_proxy_credentials_file`".to_owned());
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("must not have a path, query or fragment".to_owned());
    }
    Ok(url)
}

/// The user name of Basic authentication contains no colon (RFC 7617, section 2).
fn check_credentials(text: &str) -> Result<(), String> {
    let has_user = text.split_once(':').is_some_and(|(user, _)| !user.is_empty());
    if !has_user || text.chars().any(char::is_control) {
        return Err("must be one line with a user name, a colon and the password".to_owned());
    }
    Ok(())
}

fn parse_exception(text: &str) -> Result<ProxyException, String> {
    if text == "*" {
        return Ok(ProxyException::AnyHost);
    }
    if let Some(address) = text.parse::<IpNet>().ok().map(|net| net.to_string()).or_else(|| address(text)) {
        return Ok(ProxyException::Host(address));
    }
    let name = text.strip_prefix('.').unwrap_or(text);
    match Host::parse(name) {
        Ok(Host::Domain(domain)) if origin::is_plain_name(&domain) => Ok(ProxyException::Host(domain)),
        _ => Err(exception_error(text)),
    }
}

fn address(text: &str) -> Option<String> {
    text.parse::<IpAddr>().ok().map(|address| address.to_string())
}

fn exception_error(text: &str) -> String {
    let hint = match text.strip_prefix("*.") {
        Some(domain) => format!("{} includes its subdomains; write it without `*.`", shown(domain)),
        None => format!("not {}", shown(text)),
    };
    format!("must be a domain, an address, a network such as 10.0.0.0/8 or `*`, without scheme, port and brackets; {hint}")
}

const VARIABLES: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];

/// Returns one warning that names all proxy variables of the environment. Their values may contain passwords.
pub fn ignored_variables(variables: &[(String, String)]) -> Option<String> {
    let is_proxy = |name: &str| VARIABLES.iter().any(|known| name.eq_ignore_ascii_case(known));
    let given = variables.iter().filter(|(name, value)| is_proxy(name) && !value.is_empty());
    let mut names: Vec<_> = given.map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let verb = if names.len() == 1 { "is" } else { "are" };
    let text = "ignored: use `http_proxy` and `no_proxy` for identity providers and token issuers";
    (!names.is_empty()).then(|| format!("{} {verb} {text}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::ConfiguredSecret;
    use rstest::rstest;
    use secrecy::SecretString;

    fn server(url: &str, credentials: Option<&str>) -> ProxyServer {
        let credentials = credentials.map(|text| ConfiguredSecret::Inline(SecretString::from(text)));
        ProxyServer { url: parse_proxy(url).unwrap(), credentials }
    }

    #[rstest]
    #[case("alice:hunter2", true)]
    #[case("alice:", true)]
    #[case("CORP\\alice:hunter2:b", true)]
    #[case("hunter2", false)]
    #[case(":hunter2", false)]
    #[case("alice:hunter2\nbob:hunter2", false)]
    fn credentials_are_a_user_name_and_a_password(#[case] text: &str, #[case] valid: bool) {
        let checked = check_credentials(text);
        assert_eq!(checked.is_ok(), valid);
        assert!(!checked.err().unwrap_or_default().contains("hunter2"));
    }

    #[test]
    fn the_credentials_of_a_proxy_are_for_no_other_proxy_and_not_shown() {
        let fields = |proxy: Option<ProxyServer>| ProxyFields { server: proxy, exceptions: None };
        let top_level = fields(Some(server("http://outer.example.com:1", Some("alice:hunter2"))));
        let shown = |proxy: Option<ProxyServer>| format!("{:?}", fields(proxy).proxy(&top_level).unwrap());
        assert!(shown(None).contains("credentials: Some(Inline([redacted]))"), "{}", shown(None));
        assert!(shown(Some(server("http://inner.example.com:2", None))).contains("credentials: None"));
        let proxy = fields(None).proxy(&top_level).unwrap();
        assert!(!format!("{proxy} {proxy:?} {top_level:?}").contains("hunter2"));
    }

    #[rstest]
    #[case("http://proxy.example.com:3128", "http://proxy.example.com:3128")]
    #[case("HTTP://Proxy.Example.com/", "http://proxy.example.com")]
    #[case("https://proxy.example.com", "https://proxy.example.com")]
    #[case("http://[2001:db8::1]:8080", "http://[2001:db8::1]:8080")]
    fn a_proxy_is_an_origin(#[case] text: &str, #[case] expected: &str) {
        let proxy = HttpProxy::new(server(text, None), &[]).unwrap();
        assert_eq!(proxy.to_string(), expected);
    }

    #[rstest]
    #[case("", "such as http://proxy.example.com:3128")]
    #[case("proxy.example.com:3128", "such as http://proxy.example.com:3128")]
    #[case("socks5://proxy.example.com:1080", "http:// or https://")]
    #[case("http:proxy.example.com", "http:// or https://")]
    #[case("http://alice:hunter2@proxy.example.com:3128", "user name or password")]
    #[case("http://hunter2@proxy.example.com:3128", "user name or password")]
    #[case("http://proxy.example.com:3128/hunter2", "path")]
    #[case("http://proxy.example.com:3128?hunter2", "query")]
    #[case("http://proxy.example.com:99999", "such as http://proxy.example.com:3128")]
    fn any_other_proxy_is_refused_without_repeating_it(#[case] text: &str, #[case] expected: &str) {
        let wrong = parse_proxy(text).unwrap_err();
        assert!(wrong.contains(expected) && !wrong.contains("hunter2"), "{wrong}");
    }

    #[rstest]
    #[case("example.com", "example.com")]
    #[case(".example.com", "example.com")]
    #[case("IDP.Example.com", "idp.example.com")]
    #[case("büro.example", "xn--bro-hoa.example")]
    #[case("localhost", "localhost")]
    #[case("10.0.0.1", "10.0.0.1")]
    #[case("10.0.0.0/8", "10.0.0.0/8")]
    #[case("2001:DB8::1", "2001:db8::1")]
    #[case("fd00::/8", "fd00::/8")]
    fn an_exception_is_a_domain_an_address_or_a_network(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(parse_exception(text), Ok(ProxyException::Host(expected.to_owned())));
    }

    #[rstest]
    #[case("")]
    #[case(".")]
    #[case("*.example.com")]
    #[case("idp.*")]
    #[case("example.com:443")]
    #[case("https://example.com")]
    #[case("a.example.com,b.example.com")]
    #[case("a.example.com b.example.com")]
    #[case("example.com/path")]
    #[case("example..com")]
    #[case("[::1]")]
    #[case("10.0.0.0/40")]
    fn any_other_exception_is_refused(#[case] text: &str) {
        let wrong = parse_exception(text).unwrap_err();
        assert!(wrong.starts_with("must be a domain, an address, a network"), "{wrong}");
    }

    #[test]
    fn a_section_overrides_each_field_of_the_top_level() {
        let shown = |proxy: Option<HttpProxy>| proxy.map(|proxy| format!("{proxy:?}"));
        let fields = |url: Option<&str>, exceptions: Option<&[&str]>| ProxyFields {
            server: url.map(|url| server(url, None)),
            exceptions: exceptions.map(|listed| listed.iter().map(|text| parse_exception(text).unwrap()).collect()),
        };
        let of = |url: &str, exceptions: &[&str]| shown(fields(Some(url), Some(exceptions)).proxy(&ProxyFields::default()));
        let (outer, inner) = ("http://outer.example.com:1", "http://inner.example.com:2");
        let top_level = fields(Some(outer), Some(&["a.example.com"]));
        assert_eq!(shown(fields(None, None).proxy(&top_level)), of(outer, &["a.example.com"]));
        assert_eq!(shown(fields(Some(inner), None).proxy(&top_level)), of(inner, &["a.example.com"]));
        assert_eq!(shown(fields(None, Some(&["b.example.com"])).proxy(&top_level)), of(outer, &["b.example.com"]));
        assert_eq!(shown(fields(None, Some(&[])).proxy(&top_level)), of(outer, &[]));
        assert!(fields(None, Some(&["b.example.com", "*"])).proxy(&top_level).is_none());
        assert_eq!(shown(fields(Some(inner), None).proxy(&ProxyFields::default())), of(inner, &[]));
        assert!(fields(None, Some(&["b.example.com"])).proxy(&ProxyFields::default()).is_none());
    }

    #[test]
    fn proxy_variables_are_named_in_one_warning_without_their_values() {
        let variables = |given: &[(&str, &str)]| {
            let owned: Vec<_> = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            ignored_variables(&owned)
        };
        let text = "ignored: use `http_proxy` and `no_proxy` for identity providers and token issuers";
        let given = [("no_proxy", "hunter2"), ("HTTPS_PROXY", "http://a:hunter2@b"), ("All_Proxy", "hunter2"), ("PATH", "/bin")];
        assert_eq!(variables(&given), Some(format!("All_Proxy, HTTPS_PROXY, no_proxy are {text}")));
        assert_eq!(variables(&[("http_proxy", "hunter2")]), Some(format!("http_proxy is {text}")));
        assert_eq!(variables(&[("HTTP_PROXY", ""), ("PROXY", "a"), ("MY_HTTP_PROXY", "a")]), None);
    }
}
