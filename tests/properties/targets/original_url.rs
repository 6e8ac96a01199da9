//! nginx's `X-Original-URL`: an accepted value is parsed completely, and other parsers read the same host.

use url::{Host, Url};
use vestibule::check::CheckRequest;
use vestibule::check::gateway::{AuthRequestError, CheckUrl, GatewayHeader};

const METHODS: &[&[u8]] = &[b"GET"];

pub fn holds(input: &[u8]) {
    let Ok(request) = parse(&[input]) else { return };
    let text = std::str::from_utf8(input).expect("accepted input is ASCII");
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'), "{text:?}");
    check_parts_form_the_input(text, &request);
    check_other_parsers_read_the_same_host(text, &request);
    assert!(parse(&[input, input]).is_err());
}

fn parse<'a>(urls: &[&'a [u8]]) -> Result<CheckRequest<'a>, AuthRequestError> {
    let url = CheckUrl::find("/auth/nginx", None, None).expect("nginx has this path");
    let parsed = url.parse_request("POST", |header| match header {
        GatewayHeader::OriginalUrl => urls.iter().copied(),
        GatewayHeader::OriginalMethod => METHODS.iter().copied(),
        other => panic!("{other:?} belongs to another dialect"),
    });
    parsed.map(|(request, _)| request)
}

fn check_parts_form_the_input(text: &str, request: &CheckRequest<'_>) {
    let CheckRequest { method, scheme, host, path, query } = request;
    let start = format!("{scheme}://{host}");
    let end = format!("{path}{}", query.map(|query| format!("?{query}")).unwrap_or_default());
    assert!(text.starts_with(&start) && text.ends_with(&end) && start.len() + end.len() <= text.len(), "{text:?}");
    let after_host = &text[start.len()..text.len() - end.len()];
    // The final dot of an absolute name is not a part of the host.
    let port = after_host.strip_prefix('.').unwrap_or(after_host);
    assert!(port.is_empty() || port.strip_prefix(':').is_some_and(|digits| digits.parse::<u16>().is_ok()), "{text:?}");
    assert!(*method == "GET" && path.starts_with('/') && !path.contains('?') && !host.is_empty(), "{text:?}");
}

/// URL parsers find a name or an IPv6 address. They may read digits as an IPv4 address in another notation; such a name reaches
/// the same server that nginx was asked for.
fn check_other_parsers_read_the_same_host(text: &str, request: &CheckRequest<'_>) {
    let Ok(read) = Url::parse(text) else { return };
    assert_eq!((read.username(), read.password()), ("", None), "{text:?}");
    match read.host() {
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            assert!(name.eq_ignore_ascii_case(request.host), "{text:?}: {name}");
        }
        Some(Host::Ipv6(address)) => assert_eq!(request.host.trim_matches(['[', ']']).parse(), Ok(address), "{text:?}"),
        Some(Host::Ipv4(_)) => {
            assert!(request.host.bytes().all(|byte| byte.is_ascii_hexdigit() || b".xX".contains(&byte)), "{text:?}")
        }
        None => panic!("{text:?} has no host for others"),
    }
    assert_eq!(
        read.query(),
        request
            .query
            .map(|query| Url::parse(&format!("http://a/?{query}")).expect("a URL").query().unwrap_or("").to_owned())
            .as_deref(),
        "{text:?}"
    );
}
