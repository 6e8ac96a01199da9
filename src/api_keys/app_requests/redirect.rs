//! Redirect URIs of applications: parses and validates them, and adds the parameters of the response.

use url::{Origin, Url};

use super::scheme::DEFAULT_SCHEMES;
use crate::origin;

/// The maximum length of a redirect URI. Some browsers truncate longer ones.
const MAX_BYTES: usize = 2048;

/// The redirect URIs that are allowed in addition to loopback ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectPolicy {
    /// The schemes in the configuration. Their redirect URIs may have no host.
    schemes: Vec<String>,
    hosts: Vec<String>,
}

/// An allowed redirect URI, parsed as a browser parses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    url: Url,
    kind: RedirectKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedirectKind {
    /// A custom scheme. The app that has registered it on the user's machine gets the key.
    CustomScheme,
    /// A program on the user's machine (RFC 8252, section 7.3).
    Loopback,
    /// A host in the configuration.
    Https,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    #[error("redirect_uri is longer than {MAX_BYTES} bytes.")]
    TooLong,
    #[error("redirect_uri contains a character that is not allowed in a URI.")]
    Characters,
    #[error("redirect_uri must be an absolute URI: vscode://publisher.extension/callback, or com.example.app:/callback.")]
    NotAbsolute,
    #[error("redirect_uri must not contain a user name or password.")]
    UserInfo,
    #[error("redirect_uri must not have a fragment.")]
    Fragment,
    #[error("redirect_uri's scheme is not allowed here.")]
    Scheme,
    #[error("redirect_uri may be http on a loopback host only.")]
    PlainHttp,
    #[error("redirect_uri's host is not allowed here.")]
    Host,
}

impl RedirectError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLong => "redirect_uri_too_long",
            Self::Characters => "redirect_uri_invalid_characters",
            Self::NotAbsolute => "redirect_uri_not_absolute",
            Self::UserInfo => "redirect_uri_has_user_info",
            Self::Fragment => "redirect_uri_has_fragment",
            Self::Scheme => "redirect_uri_scheme_not_allowed",
            Self::PlainHttp => "redirect_uri_plain_http",
            Self::Host => "redirect_uri_host_not_allowed",
        }
    }
}

impl RedirectPolicy {
    /// `schemes` are added to the default ones. `hosts` are the hosts of https redirects, as `host` or `host:port`.
    pub fn new(schemes: impl IntoIterator<Item = String>, hosts: Vec<String>) -> Self {
        Self { schemes: schemes.into_iter().collect(), hosts }
    }

    /// Validates the text as a browser parses it. Only the parsed URL is used later.
    pub fn parse(&self, text: &str) -> Result<Redirect, RedirectError> {
        if text.len() > MAX_BYTES {
            return Err(RedirectError::TooLong);
        }
        // A browser removes tabs and line breaks, and treats a backslash as a slash.
        if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
            return Err(RedirectError::Characters);
        }
        if text.contains('#') {
            return Err(RedirectError::Fragment);
        }
        let (scheme, rest) = text.split_once(':').ok_or(RedirectError::NotAbsolute)?;
        let scheme = scheme.to_ascii_lowercase();
        let is_listed = self.schemes.contains(&scheme);
        if is_listed && !rest.starts_with("//") {
            return Ok(Redirect { url: parse_without_authority(text, rest)?, kind: RedirectKind::CustomScheme });
        }
        let is_web = matches!(scheme.as_str(), "http" | "https");
        if !is_web && !is_listed && !DEFAULT_SCHEMES.contains(&scheme.as_str()) {
            return Err(RedirectError::Scheme);
        }
        let url = parse_with_authority(text, rest)?;
        let kind = if is_web { self.web_kind(&url)? } else { RedirectKind::CustomScheme };
        Ok(Redirect { url, kind })
    }

    fn web_kind(&self, url: &Url) -> Result<RedirectKind, RedirectError> {
        if origin::is_loopback(url) {
            return Ok(RedirectKind::Loopback);
        }
        if url.scheme() != "https" {
            return Err(RedirectError::PlainHttp);
        }
        let host = url.host_str().unwrap_or_default();
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        if self.hosts.contains(&authority) { Ok(RedirectKind::Https) } else { Err(RedirectError::Host) }
    }
}

fn parse_with_authority(text: &str, rest: &str) -> Result<Url, RedirectError> {
    let authority = rest.strip_prefix("//").ok_or(RedirectError::NotAbsolute)?;
    let authority = authority.split(['/', '?']).next().unwrap_or_default();
    let url = Url::parse(text).map_err(|_| RedirectError::NotAbsolute)?;
    if origin::has_credentials(&url, text) {
        return Err(RedirectError::UserInfo);
    }
    if authority.is_empty() || url.host_str().is_none_or(str::is_empty) {
        return Err(RedirectError::NotAbsolute);
    }
    Ok(url)
}

/// Parses a private-use URI without a host (RFC 8252, section 7.1). The parser resolves dot segments, which must not leave a
/// path that begins like an authority, as in `com.example.app:/.//host`.
fn parse_without_authority(text: &str, rest: &str) -> Result<Url, RedirectError> {
    let url = Url::parse(text).map_err(|_| RedirectError::NotAbsolute)?;
    if !rest.starts_with('/') || url.has_host() || url.path().starts_with("//") {
        return Err(RedirectError::NotAbsolute);
    }
    Ok(url)
}

impl Redirect {
    pub fn kind(&self) -> RedirectKind {
        self.kind
    }

    /// The origin of the page that gets the response. The origin of a custom scheme is opaque.
    pub fn origin(&self) -> Origin {
        self.url.origin()
    }

    /// Identifies the app: the URI without its query, and without the port of a loopback URI.
    pub fn application(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        if self.kind == RedirectKind::Loopback {
            // Fails only without a host.
            let _ = url.set_port(None);
        }
        url.into()
    }

    /// Returns the text for the consent page: scheme and authority, the scheme if there is no authority, or the host.
    pub fn display_name(&self) -> String {
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        match (self.kind, self.url.host_str()) {
            (RedirectKind::CustomScheme, Some(host)) => format!("{}://{host}{port}", self.url.scheme()),
            (_, Some(host)) => format!("{host}{port}"),
            (_, None) => format!("{}:/", self.url.scheme()),
        }
    }

    /// Returns the source for a page's `form-action`. A browser applies it to all redirects after a form submission. A program
    /// on loopback may redirect further, to its own page.
    pub fn form_target(&self) -> String {
        match self.kind {
            RedirectKind::CustomScheme => format!("{}:", self.url.scheme()),
            // A CSP source cannot contain an IPv6 address.
            RedirectKind::Loopback => "http: https:".to_owned(),
            RedirectKind::Https => "https:".to_owned(),
        }
    }

    /// The redirect URI as it was validated.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// Appends parameters to the query.
    pub fn with_query(&self, parameters: &[(&str, &str)]) -> String {
        let mut url = self.url.clone();
        url.query_pairs_mut().extend_pairs(parameters);
        url.into()
    }

    pub fn with_fragment(&self, parameters: &[(&str, &str)]) -> String {
        let mut url = self.url.clone();
        let fragment = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        url.set_fragment(Some(&fragment));
        url.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn policy() -> RedirectPolicy {
        RedirectPolicy::new(
            ["myide", "com.example.app"].map(str::to_owned),
            vec!["app.example.com".to_owned(), "dev.example.com:8443".to_owned()],
        )
    }

    #[rstest]
    #[case("vscode://publisher.ext/callback", RedirectKind::CustomScheme, "vscode://publisher.ext")]
    #[case("VSCode://publisher.ext/callback", RedirectKind::CustomScheme, "vscode://publisher.ext")]
    #[case("vscode-insiders://publisher.ext", RedirectKind::CustomScheme, "vscode-insiders://publisher.ext")]
    #[case("vscodium://publisher.ext/", RedirectKind::CustomScheme, "vscodium://publisher.ext")]
    #[case("code-oss://publisher.ext/cb", RedirectKind::CustomScheme, "code-oss://publisher.ext")]
    #[case("cursor://publisher.ext/cb?windowId=1", RedirectKind::CustomScheme, "cursor://publisher.ext")]
    #[case("windsurf://publisher.ext/cb", RedirectKind::CustomScheme, "windsurf://publisher.ext")]
    #[case("fleet://plugin/cb", RedirectKind::CustomScheme, "fleet://plugin")]
    #[case("jetbrains://idea/plugin/cb", RedirectKind::CustomScheme, "jetbrains://idea")]
    #[case("zed://extension/cb", RedirectKind::CustomScheme, "zed://extension")]
    #[case("sublime://p/cb", RedirectKind::CustomScheme, "sublime://p")]
    #[case("atom://p/cb", RedirectKind::CustomScheme, "atom://p")]
    #[case("brackets://p/cb", RedirectKind::CustomScheme, "brackets://p")]
    #[case("nova://p/cb", RedirectKind::CustomScheme, "nova://p")]
    #[case("coderunner://p/cb", RedirectKind::CustomScheme, "coderunner://p")]
    #[case("textmate://p/cb", RedirectKind::CustomScheme, "textmate://p")]
    #[case("github-desktop://p/cb", RedirectKind::CustomScheme, "github-desktop://p")]
    #[case("sourcetree://p/cb", RedirectKind::CustomScheme, "sourcetree://p")]
    #[case("tower://p/cb", RedirectKind::CustomScheme, "tower://p")]
    #[case("fork://p/cb", RedirectKind::CustomScheme, "fork://p")]
    #[case("myide://p:1/cb", RedirectKind::CustomScheme, "myide://p:1")]
    #[case("myide:/cb", RedirectKind::CustomScheme, "myide:/")]
    #[case("com.example.app:/cb", RedirectKind::CustomScheme, "com.example.app:/")]
    #[case("COM.Example.App:/cb?x=1", RedirectKind::CustomScheme, "com.example.app:/")]
    #[case("com.example.app:/", RedirectKind::CustomScheme, "com.example.app:/")]
    #[case("com.example.app:/a//b", RedirectKind::CustomScheme, "com.example.app:/")]
    #[case("com.example.app:/cb?from=https://a@b.example/", RedirectKind::CustomScheme, "com.example.app:/")]
    #[case("com.example.app://host/cb", RedirectKind::CustomScheme, "com.example.app://host")]
    #[case("http://localhost/cb", RedirectKind::Loopback, "localhost")]
    #[case("http://localhost:51234/cb", RedirectKind::Loopback, "localhost:51234")]
    #[case("http://LOCALHOST:1/", RedirectKind::Loopback, "localhost:1")]
    #[case("https://localhost:8443/cb", RedirectKind::Loopback, "localhost:8443")]
    #[case("http://127.0.0.1:8000/cb?a=b", RedirectKind::Loopback, "127.0.0.1:8000")]
    #[case("http://127.8.9.1/cb", RedirectKind::Loopback, "127.8.9.1")]
    #[case("http://127.1:80/cb", RedirectKind::Loopback, "127.0.0.1")]
    #[case("http://2130706433/cb", RedirectKind::Loopback, "127.0.0.1")]
    #[case("http://0x7f.1/cb", RedirectKind::Loopback, "127.0.0.1")]
    #[case("http://[::1]:3000/cb", RedirectKind::Loopback, "[::1]:3000")]
    #[case("http://[0:0:0:0:0:0:0:1]/cb", RedirectKind::Loopback, "[::1]")]
    #[case("https://app.example.com/cb", RedirectKind::Https, "app.example.com")]
    #[case("https://APP.example.com:443/cb?x=1", RedirectKind::Https, "app.example.com")]
    #[case("https://dev.example.com:8443/cb", RedirectKind::Https, "dev.example.com:8443")]
    fn an_allowed_redirect_has_a_kind_and_a_display_name(
        #[case] text: &str,
        #[case] kind: RedirectKind,
        #[case] display_name: &str,
    ) {
        let redirect = policy().parse(text).unwrap();
        assert_eq!((redirect.kind(), redirect.display_name().as_str()), (kind, display_name));
    }

    #[rstest]
    #[case("", RedirectError::NotAbsolute)]
    #[case("/callback", RedirectError::NotAbsolute)]
    #[case("//evil.example/cb", RedirectError::NotAbsolute)]
    #[case("callback", RedirectError::NotAbsolute)]
    #[case("vscode:publisher.ext/callback", RedirectError::NotAbsolute)]
    #[case("vscode:/publisher.ext/callback", RedirectError::NotAbsolute)]
    #[case("vscode:///callback", RedirectError::NotAbsolute)]
    #[case("vscode://", RedirectError::NotAbsolute)]
    #[case("vscode://?x", RedirectError::NotAbsolute)]
    #[case("com.example.app:", RedirectError::NotAbsolute)]
    #[case("com.example.app:cb", RedirectError::NotAbsolute)]
    #[case("com.example.app:?x", RedirectError::NotAbsolute)]
    #[case("com.example.app:///cb", RedirectError::NotAbsolute)]
    #[case("com.example.app:////evil.example/cb", RedirectError::NotAbsolute)]
    #[case("com.example.app:/.//evil.example/cb", RedirectError::NotAbsolute)]
    #[case("com.example.app:/..//evil.example/cb", RedirectError::NotAbsolute)]
    #[case("com.example.app:/%2e//evil.example/cb", RedirectError::NotAbsolute)]
    #[case("com.example.app:/a/..//evil.example/cb", RedirectError::NotAbsolute)]
    #[case("com.example.app:/\\evil.example/cb", RedirectError::Characters)]
    #[case("com.example.app:/\t/evil.example/cb", RedirectError::Characters)]
    #[case("com.example.app:/cb#token", RedirectError::Fragment)]
    #[case("com.example.other:/cb", RedirectError::Scheme)]
    #[case("com.example.app.evil:/cb", RedirectError::Scheme)]
    #[case("xcom.example.app:/cb", RedirectError::Scheme)]
    #[case("javascript:/alert(1)", RedirectError::Scheme)]
    #[case("http:/localhost/cb", RedirectError::NotAbsolute)]
    #[case("https:/app.example.com/cb", RedirectError::NotAbsolute)]
    #[case("http:localhost/cb", RedirectError::NotAbsolute)]
    #[case("http:///localhost/cb", RedirectError::NotAbsolute)]
    #[case("http://:80/cb", RedirectError::NotAbsolute)]
    #[case("http://localhost:99999/cb", RedirectError::NotAbsolute)]
    #[case("http://[::1/cb", RedirectError::NotAbsolute)]
    #[case("javascript:alert(1)", RedirectError::Scheme)]
    #[case("javascript://localhost/%0aalert(1)", RedirectError::Scheme)]
    #[case("JavaScript://p/x", RedirectError::Scheme)]
    #[case("data:text/html,x", RedirectError::Scheme)]
    #[case("data://p/x", RedirectError::Scheme)]
    #[case("file:///etc/passwd", RedirectError::Scheme)]
    #[case("file://localhost/etc/passwd", RedirectError::Scheme)]
    #[case("vbscript://p/x", RedirectError::Scheme)]
    #[case("blob:https://app.example.com/1", RedirectError::Scheme)]
    #[case("about://blank", RedirectError::Scheme)]
    #[case("ftp://localhost/x", RedirectError::Scheme)]
    #[case("ws://localhost/x", RedirectError::Scheme)]
    #[case("intent://p/#Intent;end", RedirectError::Fragment)]
    #[case("intent://p/x", RedirectError::Scheme)]
    #[case("view-source://app.example.com/", RedirectError::Scheme)]
    #[case("unknownide://p/cb", RedirectError::Scheme)]
    #[case("vscodex://p/cb", RedirectError::Scheme)]
    #[case("my-ide://p/cb", RedirectError::Scheme)]
    #[case("http://app.example.com/cb", RedirectError::PlainHttp)]
    #[case("http://localhost.evil.example/cb", RedirectError::PlainHttp)]
    #[case("http://127.0.0.1.evil.example/cb", RedirectError::PlainHttp)]
    #[case("http://localhost./cb", RedirectError::PlainHttp)]
    #[case("http://0.0.0.0/cb", RedirectError::PlainHttp)]
    #[case("http://128.0.0.1/cb", RedirectError::PlainHttp)]
    #[case("http://[::ffff:127.0.0.1]/cb", RedirectError::PlainHttp)]
    #[case("http://10.0.0.1/cb", RedirectError::PlainHttp)]
    #[case("https://evil.example/cb", RedirectError::Host)]
    #[case("https://app.example.com.evil.example/cb", RedirectError::Host)]
    #[case("https://sub.app.example.com/cb", RedirectError::Host)]
    #[case("https://app.example.com:8443/cb", RedirectError::Host)]
    #[case("https://dev.example.com/cb", RedirectError::Host)]
    #[case("https://app.example.com./cb", RedirectError::Host)]
    #[case("https://app%2eexample.com.evil.example/cb", RedirectError::Host)]
    #[case("https://app.example.com@evil.example/cb", RedirectError::UserInfo)]
    #[case("https://user:pass@app.example.com/cb", RedirectError::UserInfo)]
    #[case("https://@app.example.com/cb", RedirectError::UserInfo)]
    #[case("http://user@localhost/cb", RedirectError::UserInfo)]
    #[case("vscode://user@publisher.ext/cb", RedirectError::UserInfo)]
    #[case("https://app.example.com/cb#token", RedirectError::Fragment)]
    #[case("https://app.example.com/cb#", RedirectError::Fragment)]
    #[case("vscode://publisher.ext/cb#x", RedirectError::Fragment)]
    #[case("http://localhost/cb\r\nSet-Cookie: a=b", RedirectError::Characters)]
    #[case("http://localhost/cb\n", RedirectError::Characters)]
    #[case("java\tscript://p/x", RedirectError::Characters)]
    #[case(" http://localhost/cb", RedirectError::Characters)]
    #[case("http://localhost/c b", RedirectError::Characters)]
    #[case("http://localhost\\@evil.example/cb", RedirectError::Characters)]
    #[case("https:\\\\app.example.com/cb", RedirectError::Characters)]
    #[case("https://äpp.example.com/cb", RedirectError::Characters)]
    #[case("http://localhost/\u{0}", RedirectError::Characters)]
    fn any_other_redirect_is_refused_with_its_reason(#[case] text: &str, #[case] expected: RedirectError) {
        assert_eq!(policy().parse(text), Err(expected));
    }

    #[test]
    fn length_is_bounded() {
        let of = |length: usize| format!("http://localhost/{}", "a".repeat(length - "http://localhost/".len()));
        assert!(policy().parse(&of(MAX_BYTES)).is_ok());
        assert_eq!(policy().parse(&of(MAX_BYTES + 1)), Err(RedirectError::TooLong));
    }

    #[rstest]
    #[case("vscode://p.ext/cb", "vscode://p.ext/cb?state=a+b%26c&token_type=Bearer")]
    #[case("vscode://p.ext", "vscode://p.ext?state=a+b%26c&token_type=Bearer")]
    #[case("com.example.app:/cb", "com.example.app:/cb?state=a+b%26c&token_type=Bearer")]
    #[case("com.example.app:/?x", "com.example.app:/?x&state=a+b%26c&token_type=Bearer")]
    #[case("http://localhost:1/cb?x=%20y&z", "http://localhost:1/cb?x=%20y&z&state=a+b%26c&token_type=Bearer")]
    #[case("http://localhost:1?", "http://localhost:1/?state=a+b%26c&token_type=Bearer")]
    fn parameters_are_appended_to_the_query(#[case] redirect: &str, #[case] expected: &str) {
        let redirect = policy().parse(redirect).unwrap();
        assert_eq!(redirect.with_query(&[("state", "a b&c"), ("token_type", "Bearer")]), expected);
    }

    #[test]
    fn a_fragment_does_not_change_the_query() {
        let redirect = policy().parse("https://app.example.com/cb?x=1").unwrap();
        assert_eq!(redirect.with_fragment(&[("state", "a b#c")]), "https://app.example.com/cb?x=1#state=a+b%23c");
    }

    #[rstest]
    #[case("http://localhost:51234/cb?run=7", "http://localhost/cb")]
    #[case("http://127.0.0.1:51234/cb", "http://127.0.0.1/cb")]
    #[case("http://localhost:51234/other", "http://localhost/other")]
    #[case("vscode://p.ext/cb?windowId=7", "vscode://p.ext/cb")]
    #[case("com.example.app:/cb?windowId=7", "com.example.app:/cb")]
    #[case("https://dev.example.com:8443/cb", "https://dev.example.com:8443/cb")]
    fn an_application_is_its_redirect_without_query_and_loopback_port(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(policy().parse(text).unwrap().application(), expected);
    }

    #[rstest]
    #[case("vscode://p.ext/cb", "vscode:")]
    #[case("com.example.app:/cb", "com.example.app:")]
    #[case("http://localhost:51234/cb", "http: https:")]
    #[case("http://[::1]:51234/cb", "http: https:")]
    #[case("https://app.example.com/cb", "https:")]
    fn a_form_target_allows_the_app_and_its_redirects(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(policy().parse(text).unwrap().form_target(), expected);
    }
}
