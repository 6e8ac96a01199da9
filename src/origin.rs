//! Parses the origins that browsers use and joins them with paths; compares hosts of requests.

mod further;
mod host;

pub use further::FurtherOrigins;
pub use host::{Authority, AuthorityError, NamedHost, ProtectedHosts};

use std::fmt;

use url::{Host, Url};

/// Scheme, host and port of `public_url`, normalized as a browser does.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicUrl {
    origin: String,
    host: String,
    scheme: Scheme,
}

/// The reason why a text is not a public URL. The message never repeats the text, which may contain a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicUrlError {
    #[error("must be an origin such as https://llm.example.com")]
    NotAUrl,
    #[error("must not contain a user name or password")]
    Credentials,
    #[error("must be an origin without path, query and fragment; the gateway routes paths")]
    NotAnOrigin,
    #[error("must be https://; http:// is accepted for loopback hosts only, since cookies would travel in clear")]
    Insecure,
    #[error("the host must not end with a dot: browsers treat it as another origin")]
    TrailingDot,
    #[error("the host must be a name of letters, digits, hyphens and dots, or an IP address")]
    Host,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Scheme {
    Http,
    Https,
}

impl PublicUrl {
    /// Accepts an origin, with or without the final slash.
    pub fn parse(text: &str) -> Result<Self, PublicUrlError> {
        let url = web_url(text).ok_or(PublicUrlError::NotAUrl)?;
        if has_credentials(&url, text) {
            return Err(PublicUrlError::Credentials);
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(PublicUrlError::NotAnOrigin);
        }
        let host = url.host_str().ok_or(PublicUrlError::NotAUrl)?.to_owned();
        if host.ends_with('.') {
            return Err(PublicUrlError::TrailingDot);
        }
        if matches!(url.host(), Some(Host::Domain(name)) if !is_plain_name(name)) {
            return Err(PublicUrlError::Host);
        }
        let scheme = if url.scheme() == "https" { Scheme::Https } else { Scheme::Http };
        if scheme == Scheme::Http && !is_loopback(&url) && !is_below_localhost(&url) {
            return Err(PublicUrlError::Insecure);
        }
        Ok(Self { origin: url.origin().ascii_serialization(), host, scheme })
    }

    /// Scheme, host and port, without a scheme's default port.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// `https`, or `http` on loopback.
    pub fn scheme(&self) -> &'static str {
        match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The host in lower case, without the port; an IPv6 address keeps its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// True if only browsers on the same host reach the origin.
    pub fn is_loopback(&self) -> bool {
        Url::parse(&self.origin).is_ok_and(|url| is_loopback(&url) || is_below_localhost(&url))
    }

    /// True if cookies can be `Secure` and have the `__Host-` prefix.
    pub fn is_secure(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// Returns the absolute URL of a path on this origin. Adds a missing leading slash, so that the path can never
    /// change the host.
    pub fn join(&self, path_and_query: &str) -> String {
        let slash = if path_and_query.starts_with('/') { "" } else { "/" };
        format!("{}{slash}{path_and_query}", self.origin)
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

impl fmt::Debug for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicUrl({})", self.origin)
    }
}

/// Parses an absolute http or https URL strictly. The WHATWG parser silently repairs backslashes, missing slashes and
/// stray white space, which are mistakes in a configuration.
pub fn web_url(text: &str) -> Option<Url> {
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    let authority = ["https://", "http://"].iter().find(|scheme| lower.starts_with(**scheme))?.len();
    let refused = |c: char| c == '\\' || c.is_whitespace() || c.is_control();
    if text.contains(refused) || text[authority..].starts_with('/') {
        return None;
    }
    Url::parse(text).ok()
}

/// True if the URL has a user name or password, even an empty one, which the parser drops.
pub fn has_credentials(url: &Url, text: &str) -> bool {
    let authority = text.split("://").nth(1).unwrap_or_default();
    let end = authority.find(['/', '?', '#']).unwrap_or(authority.len());
    !url.username().is_empty() || url.password().is_some() || authority[..end].contains('@')
}

/// The URL parser accepts more characters, such as the `*` of a wildcard. Underscores are not valid in host names but
/// are in use.
pub fn is_plain_name(name: &str) -> bool {
    name.split('.').all(|label| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)))
}

/// True if the host is a loopback host: 127.0.0.0/8, `::1` or `localhost`.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// True if the connection is encrypted, or does not leave the host.
pub fn is_https_or_loopback(url: &Url) -> bool {
    url.scheme() == "https" || is_loopback(url)
}

/// True for names below `localhost`. Browsers open them on the same host (RFC 6761, section 6.3), but not every resolver does, so
/// they count for the origins of browsers alone.
fn is_below_localhost(url: &Url) -> bool {
    matches!(url.host(), Some(Host::Domain(name)) if name.ends_with(".localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("https://llm.example.com", "https://llm.example.com", "llm.example.com")]
    #[case("https://LLM.Example.com/", "https://llm.example.com", "llm.example.com")]
    #[case("https://llm.example.com:443", "https://llm.example.com", "llm.example.com")]
    #[case("HTTPS://llm.example.com:8443/", "https://llm.example.com:8443", "llm.example.com")]
    #[case("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443", "[2001:db8::1]")]
    #[case("https://büro.example", "https://xn--bro-hoa.example", "xn--bro-hoa.example")]
    fn https_origins_are_normalized_and_secure(#[case] text: &str, #[case] origin: &str, #[case] host: &str) {
        let url = PublicUrl::parse(text).unwrap();
        assert_eq!((url.origin(), url.host()), (origin, host));
        assert!(url.is_secure());
        assert_eq!(url.to_string(), origin);
    }

    #[rstest]
    #[case("http://127.0.0.1:4180", "http://127.0.0.1:4180")]
    #[case("http://127.8.9.1", "http://127.8.9.1")]
    #[case("http://localhost:80/", "http://localhost")]
    #[case("http://LOCALHOST:4180", "http://localhost:4180")]
    #[case("http://[::1]:4180", "http://[::1]:4180")]
    #[case("http://chat.localhost:4180", "http://chat.localhost:4180")]
    fn plain_http_is_accepted_on_loopback(#[case] text: &str, #[case] origin: &str) {
        let url = PublicUrl::parse(text).unwrap();
        assert_eq!(url.origin(), origin);
        assert!(!url.is_secure());
    }

    #[rstest]
    #[case("", PublicUrlError::NotAUrl)]
    #[case("llm.example.com", PublicUrlError::NotAUrl)]
    #[case("//llm.example.com", PublicUrlError::NotAUrl)]
    #[case("https:llm.example.com", PublicUrlError::NotAUrl)]
    #[case("https:/llm.example.com", PublicUrlError::NotAUrl)]
    #[case("https:///llm.example.com", PublicUrlError::NotAUrl)]
    #[case("https:\\\\llm.example.com", PublicUrlError::NotAUrl)]
    #[case(" https://llm.example.com", PublicUrlError::NotAUrl)]
    #[case("https://llm.exam\tple.com", PublicUrlError::NotAUrl)]
    #[case("https://", PublicUrlError::NotAUrl)]
    #[case("https://llm.example.com:99999", PublicUrlError::NotAUrl)]
    #[case("ftp://llm.example.com", PublicUrlError::NotAUrl)]
    #[case("ünïcödé", PublicUrlError::NotAUrl)]
    #[case("https://user@llm.example.com", PublicUrlError::Credentials)]
    #[case("https://user:pass@llm.example.com", PublicUrlError::Credentials)]
    #[case("https://@llm.example.com", PublicUrlError::Credentials)]
    #[case("https://llm.example.com/app", PublicUrlError::NotAnOrigin)]
    #[case("https://llm.example.com//", PublicUrlError::NotAnOrigin)]
    #[case("https://llm.example.com?", PublicUrlError::NotAnOrigin)]
    #[case("https://llm.example.com/?a=1", PublicUrlError::NotAnOrigin)]
    #[case("https://llm.example.com#top", PublicUrlError::NotAnOrigin)]
    #[case("http://llm.example.com", PublicUrlError::Insecure)]
    #[case("http://10.0.0.1", PublicUrlError::Insecure)]
    #[case("http://0.0.0.0:4180", PublicUrlError::Insecure)]
    #[case("http://127.0.0.1.example.com", PublicUrlError::Insecure)]
    #[case("http://localhost.example.com", PublicUrlError::Insecure)]
    #[case("http://chat-localhost", PublicUrlError::Insecure)]
    #[case("http://chat.localhost.", PublicUrlError::TrailingDot)]
    #[case("https://llm.example.com.", PublicUrlError::TrailingDot)]
    #[case("https://*.example.com", PublicUrlError::Host)]
    #[case("https://llm..example.com", PublicUrlError::Host)]
    #[case("https://$HOST", PublicUrlError::Host)]
    #[case("https://{{host}}", PublicUrlError::Host)]
    fn anything_but_a_safe_origin_is_refused(#[case] text: &str, #[case] cause: PublicUrlError) {
        assert_eq!(PublicUrl::parse(text), Err(cause));
    }

    #[test]
    fn joining_never_changes_the_host() {
        let url = PublicUrl::parse("https://llm.example.com").unwrap();
        assert_eq!(url.join("/sso/callback?a=1"), "https://llm.example.com/sso/callback?a=1");
        assert_eq!(url.join("@evil.example"), "https://llm.example.com/@evil.example");
        assert_eq!(url.join(".evil.example"), "https://llm.example.com/.evil.example");
        assert_eq!(url.join("//evil.example"), "https://llm.example.com//evil.example");
    }
}
