//! Parses the auth requests of nginx and ingress-nginx. The original request is in `X-Original-URL` and
//! `X-Original-Method`, which nginx sets itself. Allocates nothing.

use std::str;

use crate::access::CheckRequest;
use crate::origin::{Authority, AuthorityError};

/// The two headers do not describe one request. Answered with 403: a request that nginx parses differently from us would be
/// authorized for another path than the one it reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginalRequestError {
    #[error("X-Original-URL is missing")]
    UrlMissing,
    #[error("X-Original-URL is repeated")]
    UrlRepeated,
    #[error("X-Original-URL has a byte that is not allowed in a request target")]
    UrlByte,
    #[error("X-Original-URL does not begin with http:// or https://")]
    Scheme,
    #[error("X-Original-URL has no valid host")]
    Host,
    #[error("X-Original-URL has a port that is not a number up to 65535")]
    Port,
    #[error("X-Original-URL has no path after its host")]
    Path,
    #[error("X-Original-Method is missing")]
    MethodMissing,
    #[error("X-Original-Method is repeated")]
    MethodRepeated,
    #[error("X-Original-Method is not a method")]
    Method,
}

impl OriginalRequestError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(self) -> &'static str {
        match self {
            Self::UrlMissing => "original_url_missing",
            Self::UrlRepeated => "original_url_repeated",
            Self::UrlByte => "original_url_invalid_byte",
            Self::Scheme => "original_url_invalid_scheme",
            Self::Host => "original_url_invalid_host",
            Self::Port => "original_url_invalid_port",
            Self::Path => "original_url_path_missing",
            Self::MethodMissing => "original_method_missing",
            Self::MethodRepeated => "original_method_repeated",
            Self::Method => "original_method_invalid",
        }
    }
}

const MAX_METHOD_LENGTH: usize = 32;

/// Parses the original request from all values of `X-Original-URL` and of `X-Original-Method`.
pub fn parse_original<'a>(
    urls: impl Iterator<Item = &'a [u8]>,
    methods: impl Iterator<Item = &'a [u8]>,
) -> Result<CheckRequest<'a>, OriginalRequestError> {
    let url = require_one(urls, OriginalRequestError::UrlMissing, OriginalRequestError::UrlRepeated)?;
    let method = require_one(methods, OriginalRequestError::MethodMissing, OriginalRequestError::MethodRepeated)?;
    let method = parse_method(method)?;
    let (scheme, rest) = split_scheme(require_plain_ascii(url)?)?;
    let (authority, target) = split_authority(rest)?;
    authority.require_port()?;
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    Ok(CheckRequest { method, scheme, host: authority.host, path, query })
}

impl From<AuthorityError> for OriginalRequestError {
    fn from(error: AuthorityError) -> Self {
        match error {
            AuthorityError::Host => Self::Host,
            AuthorityError::Port => Self::Port,
        }
    }
}

fn require_one<'a>(
    mut values: impl Iterator<Item = &'a [u8]>,
    missing: OriginalRequestError,
    repeated: OriginalRequestError,
) -> Result<&'a [u8], OriginalRequestError> {
    let value = values.next().ok_or(missing)?;
    match values.next() {
        None => Ok(value),
        Some(_) => Err(repeated),
    }
}

/// A token of RFC 9110, section 5.6.2. Methods are case-sensitive, so `get` is a method other than `GET`.
fn parse_method(method: &[u8]) -> Result<&str, OriginalRequestError> {
    let is_token = (1..=MAX_METHOD_LENGTH).contains(&method.len())
        && method.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte));
    let text = str::from_utf8(method).ok().filter(|_| is_token);
    text.ok_or(OriginalRequestError::Method)
}

/// Refuses bytes beyond ASCII and `#`. nginx forwards both unchanged, and truncates its own path at the `#`. Servers interpret
/// them differently.
fn require_plain_ascii(url: &[u8]) -> Result<&str, OriginalRequestError> {
    let is_plain = url.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#');
    let text = str::from_utf8(url).ok().filter(|_| is_plain);
    text.ok_or(OriginalRequestError::UrlByte)
}

/// nginx writes the scheme in lower case. Any other spelling does not come from nginx.
fn split_scheme(url: &str) -> Result<(&str, &str), OriginalRequestError> {
    let (scheme, rest) = url.split_once("://").ok_or(OriginalRequestError::Scheme)?;
    match scheme {
        "http" | "https" => Ok((scheme, rest)),
        _ => Err(OriginalRequestError::Scheme),
    }
}

/// The rest must begin with a slash, so that no part of the client's `Host` is taken for the beginning of the path.
fn split_authority(rest: &str) -> Result<(Authority<'_>, &str), OriginalRequestError> {
    let (authority, target) = Authority::split(rest)?;
    match (target.starts_with('/'), authority.port) {
        (true, _) => Ok((authority, target)),
        (false, Some(_)) if !target.is_empty() => Err(OriginalRequestError::Port),
        (false, None) if !target.is_empty() && !target.starts_with('?') => Err(OriginalRequestError::Host),
        (false, _) => Err(OriginalRequestError::Path),
    }
}

#[cfg(test)]
mod tests {
    use super::OriginalRequestError::*;
    use super::*;
    use proptest::prelude::*;

    fn parse(url: &[u8]) -> Result<CheckRequest<'_>, OriginalRequestError> {
        parse_original([url].into_iter(), [&b"GET"[..]].into_iter())
    }

    type Accepted = (&'static str, [&'static str; 3], Option<&'static str>);

    const ACCEPTED: &[Accepted] = &[
        ("http://a/", ["http", "a", "/"], None),
        ("https://a/", ["https", "a", "/"], None),
        ("https://llm.example.com/v1/chat", ["https", "llm.example.com", "/v1/chat"], None),
        ("http://a/x?q=1", ["http", "a", "/x"], Some("q=1")),
        ("http://a/x?", ["http", "a", "/x"], Some("")),
        ("http://a/x?a?b", ["http", "a", "/x"], Some("a?b")),
        ("http://a:80/x", ["http", "a", "/x"], None),
        ("http://a:0/x", ["http", "a", "/x"], None),
        ("http://a:65535/x?y", ["http", "a", "/x"], Some("y")),
        ("http://LLM.Example.COM/X", ["http", "LLM.Example.COM", "/X"], None),
        ("http://a_b-c.d/x", ["http", "a_b-c.d", "/x"], None),
        ("http://_/x", ["http", "_", "/x"], None),
        // The final dot of an absolute DNS name. nginx serves such a host like the name without it.
        ("http://a./x", ["http", "a", "/x"], None),
        ("https://LLM.example.com.:443/x", ["https", "LLM.example.com", "/x"], None),
        ("http://127.0.0.1:8080/", ["http", "127.0.0.1", "/"], None),
        ("http://[::1]/x", ["http", "[::1]", "/x"], None),
        ("http://[2001:db8::1]:443/x", ["http", "[2001:db8::1]", "/x"], None),
        ("http://[::ffff:127.0.0.1]/", ["http", "[::ffff:127.0.0.1]", "/"], None),
        // The path is kept as sent. Its interpretations are computed later.
        ("http://a//x", ["http", "a", "//x"], None),
        ("http://a/../x", ["http", "a", "/../x"], None),
        ("http://a/%2e%2e/%2F%zz", ["http", "a", "/%2e%2e/%2F%zz"], None),
        ("http://a/x;y=1/\\z", ["http", "a", "/x;y=1/\\z"], None),
        ("http://a/http://b/", ["http", "a", "/http://b/"], None),
        ("http://a/@b:80/", ["http", "a", "/@b:80/"], None),
        ("http://a/\"<>^`{|}", ["http", "a", "/\"<>^`{|}"], None),
        ("http://a/x,http://a/y", ["http", "a", "/x,http://a/y"], None),
    ];

    const REFUSED: &[(&[u8], OriginalRequestError)] = &[
        (b"", Scheme),
        (b"/", Scheme),
        (b"/x", Scheme),
        (b"//a/x", Scheme),
        (b"a/x", Scheme),
        (b"://a/x", Scheme),
        (b"ftp://h/", Scheme),
        (b"file:///etc/passwd", Scheme),
        (b"HTTP://a/", Scheme),
        (b"Https://a/", Scheme),
        (b"httpx://a/", Scheme),
        (b"http:/a/", Scheme),
        (b"http:a/", Scheme),
        (b"http//a/", Scheme),
        (b"http", Scheme),
        (b"http:///x", Host),
        (b"http://", Host),
        (b"http://:80/x", Host),
        (b"http://?/x", Host),
        (b"http://a@b/", Host),
        (b"http://@a/", Host),
        (b"http://a:b@c/", Port),
        (b"http://a:80@c/", Port),
        (b"http://a\\b/", Host),
        (b"http://a%2fb/", Host),
        (b"http://a,b/", Host),
        (b"http://a;b/", Host),
        (b"http://a*/", Host),
        (b"http://~^a$/", Host),
        (b"http://a../x", Host),
        (b"http://.a/x", Host),
        (b"http://a..b/x", Host),
        (b"http://./x", Host),
        (b"http://[::1/x", Host),
        (b"http://[]/x", Host),
        (b"http://[a]/x", Host),
        (b"http://[1.2.3.4]/x", Host),
        (b"http://[fe80::1%eth0]/x", Host),
        (b"http://[::1]x/", Host),
        (b"http://::1/x", Host),
        (b"http://a:/x", Port),
        (b"http://a:65536/x", Port),
        (b"http://a:99999999999999999999/x", Port),
        (b"http://a:000080/x", Port),
        (b"http://a:8o/x", Port),
        (b"http://a:+80/x", Port),
        (b"http://a:-1/x", Port),
        (b"http://a:80:80/x", Port),
        (b"http://a:80?/x", Port),
        (b"http://a:80;/x", Port),
        (b"http://[::1]:x/", Port),
        (b"https://h", Path),
        (b"https://h:443", Path),
        (b"https://h:", Path),
        (b"http://a?/x", Path),
        (b"http://a?x", Path),
        (b"http://[::1]", Path),
        (b"http://a/x#y", UrlByte),
        (b"http://a#/x", UrlByte),
        (b"http://a/x y", UrlByte),
        (b"http://a/x ", UrlByte),
        (b" http://a/x", UrlByte),
        (b"http://a/x\t", UrlByte),
        (b"http://a/x\r\nX-Role: admin", UrlByte),
        (b"http://a/x\0", UrlByte),
        (b"http://a/x\x7f", UrlByte),
        (b"http://a/x, http://a/y", UrlByte),
        (b"http://a/\xff", UrlByte),
        (b"http://a/caf\xc3\xa9", UrlByte),
        (b"http://\xc3\xbc/x", UrlByte),
        (b"http://a\x00.b/x", UrlByte),
    ];

    #[test]
    fn a_valid_url_is_split_into_its_parts() {
        for (url, [scheme, host, path], query) in ACCEPTED {
            let expected = CheckRequest { method: "GET", scheme, host, path, query: *query };
            assert_eq!(parse(url.as_bytes()), Ok(expected), "{url}");
        }
    }

    #[test]
    fn an_invalid_url_is_refused() {
        for (url, expected) in REFUSED {
            let shown = String::from_utf8_lossy(url);
            assert_eq!(parse(url), Err(*expected), "{shown:?}");
        }
    }

    #[test]
    fn each_header_must_appear_exactly_once() {
        const URL: &[u8] = b"http://a/";
        const GET: &[u8] = b"GET";
        type Values = &'static [&'static [u8]];
        let table: &[(Values, Values, OriginalRequestError)] = &[
            (&[], &[GET], UrlMissing),
            (&[URL, URL], &[GET], UrlRepeated),
            (&[URL, b"http://b/"], &[GET], UrlRepeated),
            (&[URL, b""], &[GET], UrlRepeated),
            (&[URL], &[], MethodMissing),
            (&[URL], &[GET, GET], MethodRepeated),
            (&[URL], &[GET, b""], MethodRepeated),
            (&[], &[], UrlMissing),
        ];
        for (urls, methods, expected) in table {
            let parsed = parse_original(urls.iter().copied(), methods.iter().copied());
            assert_eq!(parsed, Err(*expected));
        }
    }

    #[test]
    fn a_method_is_a_token() {
        let longest = "A".repeat(MAX_METHOD_LENGTH);
        let too_long = "A".repeat(MAX_METHOD_LENGTH + 1);
        let table = [
            ("GET", true),
            ("get", true),
            ("M-SEARCH", true),
            ("X!#$%&'*+-.^_`|~9", true),
            (longest.as_str(), true),
            (too_long.as_str(), false),
            ("", false),
            ("GET ", false),
            (" GET", false),
            ("GET,POST", false),
            ("GET/", false),
            ("G\"T", false),
            ("G\tT", false),
            ("G\0T", false),
            ("GET\r\n", false),
            ("G\u{c9}T", false),
        ];
        for (method, accepted) in table {
            let url: &[u8] = b"http://a/";
            let parsed = parse_original([url].into_iter(), [method.as_bytes()].into_iter());
            let expected = if accepted { Ok(method) } else { Err(Method) };
            assert_eq!(parsed.map(|request| request.method), expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn no_bytes_panic(url in any::<Vec<u8>>(), method in any::<Vec<u8>>()) {
            let _ = parse_original([&url[..]].into_iter(), [&method[..]].into_iter());
        }

        #[test]
        fn an_accepted_url_consists_of_its_parts(
            url in "https?:?/{1,3}[a.\\[\\]:0-9@_-]{0,8}(:[0-9]{0,6})?[/?#a%\\\\. ]{0,8}",
        ) {
            if let Ok(request) = parse(url.as_bytes()) {
                let CheckRequest { scheme, host, path, query, .. } = request;
                let start = format!("{scheme}://{host}");
                let query = query.map(|query| format!("?{query}")).unwrap_or_default();
                let end = format!("{path}{query}");
                prop_assert!(url.starts_with(&start) && url.ends_with(&end));
                let after_host = &url[start.len()..url.len() - end.len()];
                let port = after_host.strip_prefix('.').unwrap_or(after_host);
                prop_assert!(port.is_empty() || port[1..].parse::<u16>().is_ok());
                prop_assert!(path.starts_with('/') && !host.is_empty());
            }
        }

        /// A standard URL parser finds the same host, so the upstream does not find another one.
        #[test]
        fn a_standard_parser_finds_the_same_host(host in "[g-z]{1,3}[a-z0-9.:@_-]{0,9}") {
            let text = format!("http://{host}/x");
            if let (Ok(request), Ok(standard)) = (parse(text.as_bytes()), url::Url::parse(&text)) {
                let standard_host = standard.host_str().map(|host| host.strip_suffix('.').unwrap_or(host));
                prop_assert_eq!(standard_host, Some(request.host));
                prop_assert_eq!(standard.path(), request.path);
            }
        }
    }
}
