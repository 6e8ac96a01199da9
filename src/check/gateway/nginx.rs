//! Parses the auth requests of nginx and ingress-nginx. The original request is in `X-Original-URL` and
//! `X-Original-Method`, which nginx sets itself. Allocates nothing.

use super::original_request::{
    Fault,
    GatewayHeader::{self, OriginalMethod, OriginalUrl},
    OriginalRequestError, RequestPart,
};
use crate::access::CheckRequest;
use crate::origin::Authority;

const URL: RequestPart = RequestPart::Header(OriginalUrl);
const METHOD: RequestPart = RequestPart::Header(OriginalMethod);

/// Parses the original request. `values` returns all values of a header.
pub(super) fn parse<'a, I>(mut values: impl FnMut(GatewayHeader) -> I) -> Result<CheckRequest<'a>, OriginalRequestError>
where
    I: Iterator<Item = &'a [u8]>,
{
    let url = OriginalUrl.require_one(values(OriginalUrl))?;
    let method = OriginalMethod.require_one(values(OriginalMethod))?;
    parse_url(url, method)
}

/// Parses the values of the two headers.
pub fn parse_url<'a>(url: &'a [u8], method: &'a [u8]) -> Result<CheckRequest<'a>, OriginalRequestError> {
    let method = METHOD.parse_method(method)?;
    let (scheme, rest) = split_scheme(URL.require_plain_ascii(url)?)?;
    let (authority, target) = split_authority(rest)?;
    authority.require_port().map_err(|error| URL.fails(error.into()))?;
    let (path, query) = URL.split_target(target)?;
    Ok(CheckRequest { method, scheme, host: authority.host, path, query })
}

/// nginx writes the scheme in lower case. Any other spelling does not come from nginx.
fn split_scheme(url: &str) -> Result<(&str, &str), OriginalRequestError> {
    let (scheme, rest) = url.split_once("://").ok_or(URL.fails(Fault::Scheme))?;
    match scheme {
        "http" | "https" => Ok((scheme, rest)),
        _ => Err(URL.fails(Fault::Scheme)),
    }
}

/// The rest must begin with a slash, so that no part of the client's `Host` is taken for the beginning of the path.
fn split_authority(rest: &str) -> Result<(Authority<'_>, &str), OriginalRequestError> {
    let (authority, target) = Authority::split(rest).map_err(|error| URL.fails(error.into()))?;
    match (target.starts_with('/'), authority.port) {
        (true, _) => Ok((authority, target)),
        (false, Some(_)) if !target.is_empty() => Err(URL.fails(Fault::Port)),
        (false, None) if !target.is_empty() && !target.starts_with('?') => Err(URL.fails(Fault::Host)),
        (false, _) => Err(URL.fails(Fault::Path)),
    }
}

#[cfg(test)]
mod tests {
    use super::Fault::*;
    use super::*;
    use proptest::prelude::*;

    fn parse_url(url: &[u8]) -> Result<CheckRequest<'_>, OriginalRequestError> {
        parse_both(&[url], &[b"GET"])
    }

    fn parse_both<'a>(urls: &[&'a [u8]], methods: &[&'a [u8]]) -> Result<CheckRequest<'a>, OriginalRequestError> {
        parse(|header| match header {
            OriginalUrl => urls.iter().copied(),
            OriginalMethod => methods.iter().copied(),
            other => panic!("{other:?} belongs to another dialect"),
        })
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

    const REFUSED: &[(&[u8], Fault)] = &[
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
        (b"http://a/x#y", Byte),
        (b"http://a#/x", Byte),
        (b"http://a/x y", Byte),
        (b"http://a/x ", Byte),
        (b" http://a/x", Byte),
        (b"http://a/x\t", Byte),
        (b"http://a/x\r\nX-Role: admin", Byte),
        (b"http://a/x\0", Byte),
        (b"http://a/x\x7f", Byte),
        (b"http://a/x, http://a/y", Byte),
        (b"http://a/\xff", Byte),
        (b"http://a/caf\xc3\xa9", Byte),
        (b"http://\xc3\xbc/x", Byte),
        (b"http://a\x00.b/x", Byte),
    ];

    #[test]
    fn a_valid_url_is_split_into_its_parts() {
        for (url, [scheme, host, path], query) in ACCEPTED {
            let expected = CheckRequest { method: "GET", scheme, host, path, query: *query };
            assert_eq!(parse_url(url.as_bytes()), Ok(expected), "{url}");
        }
    }

    #[test]
    fn an_invalid_url_is_refused() {
        for (url, expected) in REFUSED {
            let shown = String::from_utf8_lossy(url);
            assert_eq!(parse_url(url), Err(URL.fails(*expected)), "{shown:?}");
        }
    }

    #[test]
    fn each_header_must_appear_exactly_once() {
        const URL: &[u8] = b"http://a/";
        const GET: &[u8] = b"GET";
        type Values = &'static [&'static [u8]];
        let table: &[(Values, Values, GatewayHeader, Fault)] = &[
            (&[], &[GET], OriginalUrl, Missing),
            (&[URL, URL], &[GET], OriginalUrl, Repeated),
            (&[URL, b"http://b/"], &[GET], OriginalUrl, Repeated),
            (&[URL, b""], &[GET], OriginalUrl, Repeated),
            (&[URL], &[], OriginalMethod, Missing),
            (&[URL], &[GET, GET], OriginalMethod, Repeated),
            (&[URL], &[GET, b""], OriginalMethod, Repeated),
            (&[], &[], OriginalUrl, Missing),
        ];
        for (urls, methods, header, fault) in table {
            assert_eq!(parse_both(urls, methods), Err(header.fails(*fault)));
        }
    }

    #[test]
    fn a_method_is_a_token() {
        let (longest, too_long) = ("A".repeat(32), "A".repeat(33));
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
            let parsed = parse_both(&[b"http://a/"], &[method.as_bytes()]);
            let expected = if accepted { Ok(method) } else { Err(METHOD.fails(Method)) };
            assert_eq!(parsed.map(|request| request.method), expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn no_bytes_panic(url in any::<Vec<u8>>(), method in any::<Vec<u8>>()) {
            let _ = parse_both(&[&url], &[&method]);
        }

        #[test]
        fn an_accepted_url_consists_of_its_parts(
            url in "https?:?/{1,3}[a.\\[\\]:0-9@_-]{0,8}(:[0-9]{0,6})?[/?#a%\\\\. ]{0,8}",
        ) {
            if let Ok(request) = parse_url(url.as_bytes()) {
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
            if let (Ok(request), Ok(standard)) = (parse_url(text.as_bytes()), url::Url::parse(&text)) {
                let standard_host = standard.host_str().map(|host| host.strip_suffix('.').unwrap_or(host));
                prop_assert_eq!(standard_host, Some(request.host));
                prop_assert_eq!(standard.path(), request.path);
            }
        }
    }
}
