//! The dialect of nginx and ingress-nginx: the original request from `X-Original-URL` and
//! `X-Original-Method`, which nginx sets itself. Allocates nothing.

use std::net::Ipv6Addr;
use std::str;

use crate::check::CheckRequest;

/// Why the two headers don't tell one request. Each of them is refused with 403: a request that we
/// read otherwise than nginx does would be judged for another path than it reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("X-Original-URL is missing")]
    UrlMissing,
    #[error("X-Original-URL is there more than once")]
    UrlRepeated,
    #[error("X-Original-URL has a byte that no request target has")]
    UrlByte,
    #[error("X-Original-URL begins with neither http:// nor https://")]
    Scheme,
    #[error("X-Original-URL names no plain host")]
    Host,
    #[error("X-Original-URL's port is no number up to 65535")]
    Port,
    #[error("X-Original-URL has no path after its host")]
    Path,
    #[error("X-Original-Method is missing")]
    MethodMissing,
    #[error("X-Original-Method is there more than once")]
    MethodRepeated,
    #[error("X-Original-Method is no method")]
    Method,
}

const LONGEST_METHOD: usize = 32;
const LONGEST_HOST: usize = 255;
const LONGEST_PORT: usize = 5;

/// Reads the original request from all values of `X-Original-URL` and of `X-Original-Method`.
pub fn parse_original<'a>(
    urls: impl Iterator<Item = &'a [u8]>,
    methods: impl Iterator<Item = &'a [u8]>,
) -> Result<CheckRequest<'a>, Malformed> {
    let url = only(urls, Malformed::UrlMissing, Malformed::UrlRepeated)?;
    let method = only(methods, Malformed::MethodMissing, Malformed::MethodRepeated)?;
    let method = parse_method(method)?;
    let (scheme, rest) = split_scheme(visible_text(url)?)?;
    let (authority, target) = split_authority(rest)?;
    require_port(authority.port)?;
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    Ok(CheckRequest { method, scheme, host: authority.host, path, query })
}

struct Authority<'a> {
    host: &'a str,
    port: Option<&'a str>,
}

fn only<'a>(mut values: impl Iterator<Item = &'a [u8]>, missing: Malformed, repeated: Malformed) -> Result<&'a [u8], Malformed> {
    let value = values.next().ok_or(missing)?;
    match values.next() {
        None => Ok(value),
        Some(_) => Err(repeated),
    }
}

/// A token of RFC 9110, section 5.6.2. Methods are case-sensitive, so `get` is one too, another.
fn parse_method(method: &[u8]) -> Result<&str, Malformed> {
    let is_token = (1..=LONGEST_METHOD).contains(&method.len())
        && method.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte));
    let text = str::from_utf8(method).ok().filter(|_| is_token);
    text.ok_or(Malformed::Method)
}

/// nginx forwards bytes beyond ASCII as they came, and cuts its own path at a `#` that it leaves in
/// the raw one: servers read both in different ways, so neither passes.
fn visible_text(url: &[u8]) -> Result<&str, Malformed> {
    let is_plain = url.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#');
    let text = str::from_utf8(url).ok().filter(|_| is_plain);
    text.ok_or(Malformed::UrlByte)
}

/// nginx writes its scheme in lower case: anything else was written by somebody else.
fn split_scheme(url: &str) -> Result<(&str, &str), Malformed> {
    let (scheme, rest) = url.split_once("://").ok_or(Malformed::Scheme)?;
    match scheme {
        "http" | "https" => Ok((scheme, rest)),
        _ => Err(Malformed::Scheme),
    }
}

/// Takes as much as is a host, then as much as is a port; the rest must be a path at once, so
/// nothing that a client put into `Host` can pass for the beginning of one.
fn split_authority(rest: &str) -> Result<(Authority<'_>, &str), Malformed> {
    let (host, after_host) = rest.split_at(host_length(rest)?);
    let (port, target) = match after_host.strip_prefix(':') {
        Some(after_colon) => {
            let digits = leading(after_colon, |byte| byte.is_ascii_digit());
            let (port, target) = after_colon.split_at(digits);
            (Some(port), target)
        }
        None => (None, after_host),
    };
    match (target.starts_with('/'), port) {
        (true, _) => Ok((Authority { host, port }, target)),
        (false, Some(_)) if !target.is_empty() => Err(Malformed::Port),
        (false, None) if !target.is_empty() && !target.starts_with('?') => Err(Malformed::Host),
        (false, _) => Err(Malformed::Path),
    }
}

fn host_length(rest: &str) -> Result<usize, Malformed> {
    let length = match rest.strip_prefix('[') {
        Some(literal) => {
            let address = literal.find(']').ok_or(Malformed::Host)?;
            let is_address = literal[..address].parse::<Ipv6Addr>().is_ok();
            is_address.then_some(address + 2)
        }
        None => {
            let length = leading(rest, is_host_byte);
            let mut labels = rest[..length].split('.');
            labels.all(|label| !label.is_empty()).then_some(length)
        }
    };
    length.filter(|length| *length <= LONGEST_HOST).ok_or(Malformed::Host)
}

/// Underscores are no part of a DNS host name, yet nginx serves and Kubernetes services use them.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

fn leading(text: &str, belongs: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|byte| belongs(*byte)).count()
}

fn require_port(port: Option<&str>) -> Result<(), Malformed> {
    let is_good = port.is_none_or(|digits| digits.len() <= LONGEST_PORT && digits.parse::<u16>().is_ok());
    match is_good {
        true => Ok(()),
        false => Err(Malformed::Port),
    }
}

#[cfg(test)]
mod tests {
    use super::Malformed::*;
    use super::*;
    use proptest::prelude::*;

    fn parse(url: &[u8]) -> Result<CheckRequest<'_>, Malformed> {
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
        ("http://127.0.0.1:8080/", ["http", "127.0.0.1", "/"], None),
        ("http://[::1]/x", ["http", "[::1]", "/x"], None),
        ("http://[2001:db8::1]:443/x", ["http", "[2001:db8::1]", "/x"], None),
        ("http://[::ffff:127.0.0.1]/", ["http", "[::ffff:127.0.0.1]", "/"], None),
        // The path stays as it came: every reading of it is judged later.
        ("http://a//x", ["http", "a", "//x"], None),
        ("http://a/../x", ["http", "a", "/../x"], None),
        ("http://a/%2e%2e/%2F%zz", ["http", "a", "/%2e%2e/%2F%zz"], None),
        ("http://a/x;y=1/\\z", ["http", "a", "/x;y=1/\\z"], None),
        ("http://a/http://b/", ["http", "a", "/http://b/"], None),
        ("http://a/@b:80/", ["http", "a", "/@b:80/"], None),
        ("http://a/\"<>^`{|}", ["http", "a", "/\"<>^`{|}"], None),
        ("http://a/x,http://a/y", ["http", "a", "/x,http://a/y"], None),
    ];

    const REFUSED: &[(&[u8], Malformed)] = &[
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
        (b"http://a./x", Host),
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
    fn a_url_is_taken_apart() {
        for (url, [scheme, host, path], query) in ACCEPTED {
            let expected = CheckRequest { method: "GET", scheme, host, path, query: *query };
            assert_eq!(parse(url.as_bytes()), Ok(expected), "{url}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for (url, expected) in REFUSED {
            let shown = String::from_utf8_lossy(url);
            assert_eq!(parse(url), Err(*expected), "{shown:?}");
        }
    }

    #[test]
    fn a_host_is_bounded() {
        let url = |length: usize| format!("http://{}/", "a".repeat(length));
        assert!(parse(url(LONGEST_HOST).as_bytes()).is_ok());
        assert_eq!(parse(url(LONGEST_HOST + 1).as_bytes()), Err(Host));
    }

    #[test]
    fn each_header_stands_there_exactly_once() {
        const URL: &[u8] = b"http://a/";
        const GET: &[u8] = b"GET";
        type Values = &'static [&'static [u8]];
        let table: &[(Values, Values, Malformed)] = &[
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
        let longest = "A".repeat(LONGEST_METHOD);
        let too_long = "A".repeat(LONGEST_METHOD + 1);
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
        fn what_is_accepted_is_put_together_again(
            url in "https?:?/{1,3}[a.\\[\\]:0-9@_-]{0,8}(:[0-9]{0,6})?[/?#a%\\\\. ]{0,8}",
        ) {
            if let Ok(request) = parse(url.as_bytes()) {
                let CheckRequest { scheme, host, path, query, .. } = request;
                let start = format!("{scheme}://{host}");
                let query = query.map(|query| format!("?{query}")).unwrap_or_default();
                let end = format!("{path}{query}");
                prop_assert!(url.starts_with(&start) && url.ends_with(&end));
                let port = &url[start.len()..url.len() - end.len()];
                prop_assert!(port.is_empty() || port[1..].parse::<u16>().is_ok());
                prop_assert!(path.starts_with('/') && !host.is_empty());
            }
        }

        /// A standard URL parser finds the same host, so an upstream's won't find another one.
        #[test]
        fn an_accepted_host_is_the_one_that_others_read(host in "[g-z]{1,3}[a-z0-9.:@_-]{0,9}") {
            let text = format!("http://{host}/x");
            if let (Ok(request), Ok(read)) = (parse(text.as_bytes()), url::Url::parse(&text)) {
                prop_assert_eq!(read.host_str(), Some(request.host));
                prop_assert_eq!(read.path(), request.path);
            }
        }
    }
}
