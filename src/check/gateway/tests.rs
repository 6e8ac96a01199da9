//! One table over all dialects, and properties that hold for each.

mod foreign_headers;

use proptest::prelude::*;
use rstest::rstest;

use super::Fault::{Absolute, Byte, Method, Missing, Port, Protocol, Repeated, Slash};
use super::GatewayHeader::{ForwardedHost, ForwardedMethod, ForwardedProto, ForwardedUri, OriginalMethod, OriginalUrl};
use super::*;

type Headers<'a> = &'a [(GatewayHeader, &'a [u8])];
type ParseResult<'a> = Result<(CheckRequest<'a>, CheckQuery<'a>), AuthRequestError>;

/// An auth request for `https://llm.example.com/a?b` by GET, as a gateway of the dialect sends it.
struct Sample {
    dialect: Dialect,
    target: &'static str,
    method: &'static str,
    headers: &'static [(GatewayHeader, &'static [u8])],
}

const NGINX: Headers<'static> = &[(OriginalUrl, b"https://llm.example.com/a?b"), (OriginalMethod, b"GET")];
const FORWARDED: Headers<'static> =
    &[(ForwardedMethod, b"GET"), (ForwardedProto, b"https"), (ForwardedHost, b"llm.example.com"), (ForwardedUri, b"/a?b")];
const ENVOY: Headers<'static> = &[(GatewayHeader::Host, b"llm.example.com"), (ForwardedProto, b"https")];

const SAMPLES: [Sample; 6] = [
    Sample { dialect: Dialect::Nginx, target: "/auth/nginx?host=llm.example.com", method: "HEAD", headers: NGINX },
    Sample { dialect: Dialect::Traefik, target: "/auth/traefik?host=llm.example.com", method: "HEAD", headers: FORWARDED },
    Sample { dialect: Dialect::Caddy, target: "/auth/caddy?host=llm.example.com", method: "HEAD", headers: FORWARDED },
    Sample { dialect: Dialect::Envoy, target: "/auth/envoy/llm.example.com/a?b", method: "GET", headers: ENVOY },
    Sample { dialect: Dialect::Haproxy, target: "/auth/haproxy?host=llm.example.com", method: "HEAD", headers: FORWARDED },
    Sample { dialect: Dialect::Apisix, target: "/auth/apisix?host=llm.example.com", method: "HEAD", headers: FORWARDED },
];

fn parse<'a>(target: &'a str, method: &'a str, headers: Headers<'a>) -> ParseResult<'a> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let url = CheckUrl::find(path, query, None).expect("a dialect has this path");
    url.parse_request(method, |header| headers.iter().filter(move |(name, _)| *name == header).map(|(_, value)| *value))
}

impl Sample {
    fn parse_with<'a>(&self, headers: Headers<'a>) -> ParseResult<'a> {
        parse(self.target, self.method, headers)
    }

    /// The headers with another value of one of them.
    fn with<'a>(&self, header: GatewayHeader, value: &'a [u8]) -> Vec<(GatewayHeader, &'a [u8])> {
        self.headers.iter().map(|(name, own)| (*name, if *name == header { value } else { *own })).collect()
    }

    fn reads(&self, header: GatewayHeader) -> bool {
        self.headers.iter().any(|(name, _)| *name == header)
    }
}

#[test]
fn every_dialect_parses_its_request() {
    for sample in SAMPLES {
        let (request, query) = sample.parse_with(sample.headers).unwrap();
        let expected = CheckRequest { method: "GET", scheme: "https", host: "llm.example.com", path: "/a", query: Some("b") };
        assert_eq!(request, expected, "{:?}", sample.dialect);
        assert!(query.host.is_some_and(|host| host.matches("llm.example.com")), "{:?}", sample.dialect);
    }
}

#[test]
fn a_missing_or_repeated_header_of_a_dialect_is_refused() {
    for sample in SAMPLES {
        for (header, value) in sample.headers {
            let others: Vec<_> = sample.headers.iter().copied().filter(|(name, _)| name != header).collect();
            assert_eq!(sample.parse_with(&others), Err(header.fails(Missing).into()), "{:?}", sample.dialect);
            for second in [*value, b""] {
                let repeated = [sample.headers, &[(*header, second)]].concat();
                assert_eq!(sample.parse_with(&repeated), Err(header.fails(Repeated).into()), "{:?}", sample.dialect);
            }
        }
    }
}

const MALFORMED: &[(GatewayHeader, &[u8], Fault)] = &[
    (ForwardedMethod, b"", Method),
    (ForwardedMethod, b"GET POST", Method),
    (ForwardedMethod, b"GET,GET", Method),
    (ForwardedMethod, b"G\xc3\x89T", Method),
    (ForwardedMethod, &[b'A'; 33], Method),
    (ForwardedProto, b"", Protocol),
    (ForwardedProto, b"HTTPS", Protocol),
    (ForwardedProto, b"https,http", Protocol),
    (ForwardedProto, b"https://", Protocol),
    (ForwardedProto, b" https", Protocol),
    (ForwardedProto, b"ftp", Protocol),
    (ForwardedProto, b"grpc", Protocol),
    (ForwardedHost, b"", Fault::Host),
    (ForwardedHost, b"user@llm.example.com", Fault::Host),
    (ForwardedHost, b"llm.example.com:80@evil.example", Port),
    (ForwardedHost, b"https://llm.example.com", Port),
    (ForwardedHost, b"llm.example.com/", Fault::Host),
    (ForwardedHost, b"llm.example.com?x", Fault::Host),
    (ForwardedHost, b"llm.example.com#x", Fault::Host),
    (ForwardedHost, b"llm.example.com, evil.example", Fault::Host),
    (ForwardedHost, b"llm.example.com evil.example", Fault::Host),
    (ForwardedHost, b"llm..example.com", Fault::Host),
    (ForwardedHost, b"*.example.com", Fault::Host),
    (ForwardedHost, b"llm%2eexample.com", Fault::Host),
    (ForwardedHost, b"b\xc3\xbcro.example", Fault::Host),
    (ForwardedHost, b"\xff", Fault::Host),
    (ForwardedHost, b"::1", Fault::Host),
    (ForwardedHost, b"[::1", Fault::Host),
    (ForwardedHost, b"[::1%eth0]", Fault::Host),
    (ForwardedHost, &[b'a'; 256], Fault::Host),
    (ForwardedHost, b"a:", Port),
    (ForwardedHost, b"a:65536", Port),
    (ForwardedHost, b"a:80:80", Port),
    (ForwardedHost, b"a:+80", Port),
    (ForwardedUri, b"", Slash),
    (ForwardedUri, b"a", Slash),
    (ForwardedUri, b"*", Slash),
    (ForwardedUri, b"?a", Slash),
    (ForwardedUri, b"http://llm.example.com/a", Slash),
    (ForwardedUri, b"llm.example.com:443", Slash),
    (ForwardedUri, b"\\a", Slash),
    (ForwardedUri, b"/a#b", Byte),
    (ForwardedUri, b"/a b", Byte),
    (ForwardedUri, b"/a\r\nX-Role: admin", Byte),
    (ForwardedUri, b"/a\0", Byte),
    (ForwardedUri, b"/caf\xc3\xa9", Byte),
    (ForwardedUri, b"/\xff", Byte),
    (ForwardedUri, b"/a, /b", Byte),
];

#[test]
fn a_malformed_value_is_refused() {
    for sample in SAMPLES {
        for (header, value, fault) in MALFORMED {
            // Envoy names the host in a header of its own.
            let header = match (sample.dialect, header) {
                (Dialect::Envoy, ForwardedHost) => GatewayHeader::Host,
                (_, header) => *header,
            };
            if sample.reads(header) {
                let shown = String::from_utf8_lossy(value);
                let parsed = sample.parse_with(&sample.with(header, value)).map(|(request, _)| format!("{request:?}"));
                assert_eq!(parsed, Err(header.fails(*fault).into()), "{:?}, {header:?}: {shown:?}", sample.dialect);
            }
        }
    }
}

#[test]
fn a_host_may_have_a_port_or_be_an_address() {
    for (host, expected) in [
        ("llm.example.com:8443", "llm.example.com"),
        ("LLM.Example.com.", "LLM.Example.com"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[2001:db8::1]:443", "[2001:db8::1]"),
        ("a_b", "a_b"),
    ] {
        for sample in SAMPLES.into_iter().filter(|sample| sample.dialect != Dialect::Nginx) {
            let header = if sample.dialect == Dialect::Envoy { GatewayHeader::Host } else { ForwardedHost };
            let headers = sample.with(header, host.as_bytes());
            let (request, _) = sample.parse_with(&headers).unwrap();
            assert_eq!(request.host, expected, "{:?}", sample.dialect);
        }
    }
}

#[rstest]
#[case(b"ws", Some("http"))]
#[case(b"wss", Some("https"))]
#[case(b"WSS", None)]
fn only_traefik_reports_the_scheme_of_websocket(#[case] proto: &[u8], #[case] scheme: Option<&str>) {
    for sample in SAMPLES.into_iter().filter(|sample| sample.reads(ForwardedProto)) {
        let headers = sample.with(ForwardedProto, proto);
        let parsed = sample.parse_with(&headers).map(|(request, _)| request.scheme).ok();
        assert_eq!(parsed, scheme.filter(|_| sample.dialect == Dialect::Traefik), "{:?}", sample.dialect);
    }
}

#[rstest]
#[case("/")]
#[case("//")]
#[case("//evil.example/a")]
#[case("/../a")]
#[case("/a//b/./../%2e%2e/c%2Fd;x=1/\\z")]
#[case("/http://evil.example/")]
#[case("/@b:80/")]
#[case("/%00%zz%")]
#[case("/\"<>^`{|}")]
#[case("/a?")]
#[case("/a?b?c=/../d")]
#[case("/a?host=evil.example&echo=true&route=x&allow_roles=")]
fn a_target_is_kept_as_sent(#[case] target: &str) {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    for sample in SAMPLES.into_iter().filter(|sample| sample.reads(ForwardedUri)) {
        let headers = sample.with(ForwardedUri, target.as_bytes());
        let (request, _) = sample.parse_with(&headers).unwrap();
        assert_eq!((request.path, request.query), (path, query), "{:?}", sample.dialect);
    }
    let (whole, url) = (format!("/auth/envoy/-{target}"), format!("https://a{target}"));
    let (request, gateway) = parse(&whole, "GET", ENVOY).unwrap();
    assert_eq!((request.path, request.query, gateway), (path, query, CheckQuery::default()));
    let headers = [(OriginalUrl, url.as_bytes()), (OriginalMethod, &b"GET"[..])];
    let (request, _) = parse("/auth/nginx", "GET", &headers).unwrap();
    assert_eq!((request.path, request.query), (path, query));
}

#[test]
fn envoy_names_one_host_in_its_prefix() {
    for (prefix, expected) in [
        ("-", Ok(None)),
        ("llm.example.com", Ok(Some("llm.example.com"))),
        ("LLM.example.com.:443", Ok(Some("llm.example.com"))),
        ("[::1]:80", Ok(Some("[::1]"))),
        ("", Err(())),
        ("--/", Ok(Some("--"))),
        ("a,b", Err(())),
        ("a%2fb", Err(())),
        ("%2d", Err(())),
        ("user@llm.example.com", Err(())),
        ("a:x", Err(())),
        (".", Err(())),
        ("..", Err(())),
        ("*", Err(())),
    ] {
        let target = format!("/auth/envoy/{prefix}/a");
        let named = match parse(&target, "GET", ENVOY) {
            Ok((_, query)) => Ok(query.host),
            Err(AuthRequestError::Query(CheckQueryError::Host(_))) => Err(()),
            Err(error) => panic!("{prefix}: {error}"),
        };
        match (named, expected) {
            (Ok(Some(host)), Ok(Some(name))) => assert!(host.matches(name), "{prefix}"),
            (named, expected) => assert_eq!(named.map(|host| host.is_some()), expected.map(|name| name.is_some()), "{prefix}"),
        }
    }
}

#[test]
fn envoys_own_target_must_be_a_path_after_the_prefix() {
    let fails = |fault: Fault| AuthRequestError::from(RequestPart::Target.fails(fault));
    for (target, fault) in [
        ("/auth/envoy", Slash),
        ("/auth/envoy/", Slash),
        ("/auth/envoy/-", Slash),
        ("/auth/envoy/-?x", Slash),
        ("/auth/envoy/llm.example.com*", Slash),
        ("/auth/envoy/-/caf\u{e9}", Byte),
        ("/auth/envoy/-/a?caf\u{e9}", Byte),
        ("/auth/envoy/-/a#b", Byte),
        ("/auth/envoy/-/a?#b", Byte),
    ] {
        assert_eq!(parse(target, "GET", ENVOY).unwrap_err(), fails(fault), "{target}");
    }
    let url = CheckUrl::find("/auth/envoy/-/a", None, Some("llm.example.com")).unwrap();
    let values = |header| ENVOY.iter().filter(move |(name, _)| *name == header).map(|(_, value)| *value);
    assert_eq!(url.parse_request("GET", values).unwrap_err(), fails(Absolute));
    for method in ["", "G T", &"A".repeat(33)] {
        let expected = RequestPart::Method.fails(Fault::Method).into();
        assert_eq!(parse("/auth/envoy/-/a", method, ENVOY).unwrap_err(), expected);
    }
    for method in ["GET", "OPTIONS", "CONNECT", "BREW"] {
        assert_eq!(parse("/auth/envoy/-/a", method, ENVOY).unwrap().0.method, method);
    }
}

#[rstest]
#[case("/auth/nginx", Some((Dialect::Nginx, "")))]
#[case("/auth/nginx/", Some((Dialect::Nginx, "/")))]
#[case("/auth/nginx//a/../b", Some((Dialect::Nginx, "//a/../b")))]
#[case("/auth/traefik", Some((Dialect::Traefik, "")))]
#[case("/auth/caddy/x", Some((Dialect::Caddy, "/x")))]
#[case("/auth/envoy/-/../../nginx", Some((Dialect::Envoy, "/-/../../nginx")))]
#[case("/auth/haproxy", Some((Dialect::Haproxy, "")))]
#[case("/auth/apisix", Some((Dialect::Apisix, "")))]
#[case("/auth/nginxx", None)]
#[case("/auth/%6eginx", None)]
#[case("/auth/NGINX", None)]
#[case("/auth//nginx", None)]
#[case("//auth/nginx", None)]
#[case("/auth/", None)]
#[case("/auth", None)]
#[case("/", None)]
#[case("", None)]
#[case("*", None)]
fn the_path_as_sent_names_the_dialect(#[case] path: &str, #[case] expected: Option<(Dialect, &str)>) {
    let found = CheckUrl::find(path, None, None).map(|url| (url.dialect, url.suffix));
    assert_eq!(found, expected);
}

#[test]
fn a_query_that_caddy_took_from_the_client_is_refused() {
    let caddy = |target: &'static str, uri: &'static [u8]| {
        let headers = [&FORWARDED[..3], &[(ForwardedUri, uri)]].concat();
        parse(target, "GET", &headers).map(|(_, query)| query.host.is_some())
    };
    assert_eq!(caddy("/auth/caddy?host=llm.example.com", b"/a?host=llm.example.com"), Err(CheckQueryError::OfClient.into()));
    assert_eq!(caddy("/auth/caddy?echo=true", b"/a?echo=true"), Err(CheckQueryError::OfClient.into()));
    assert_eq!(caddy("/auth/caddy?x=1", b"/a?x=1"), Err(CheckQueryError::OfClient.into()));
    assert_eq!(caddy("/auth/caddy?host=llm.example.com", b"/a?host=evil.example"), Ok(true));
    assert_eq!(caddy("/auth/caddy?", b"/a?"), Ok(false));
    assert_eq!(caddy("/auth/caddy", b"/a?x=1"), Ok(false));
}

#[test]
fn a_reason_names_the_value_and_its_fault() {
    for (error, reason, message) in [
        (OriginalUrl.fails(Missing), "original_url_missing", "X-Original-URL is missing"),
        (OriginalMethod.fails(Method), "original_method_invalid", "X-Original-Method is not a method"),
        (ForwardedProto.fails(Protocol), "forwarded_proto_invalid", "X-Forwarded-Proto is neither http nor https"),
        (ForwardedUri.fails(Slash), "forwarded_uri_without_slash", "X-Forwarded-Uri does not begin with a slash"),
        (GatewayHeader::Host.fails(Repeated), "host_header_repeated", "Host is repeated"),
    ] {
        assert_eq!((error.reason().as_str(), error.to_string().as_str()), (reason, message));
    }
}
