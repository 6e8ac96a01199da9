//! Auth requests in every dialect: an accepted one is parsed completely, and the headers of other families have no influence.

use vestibule::check::CheckRequest;
use vestibule::check::gateway::{CheckUrl, Dialect, GatewayHeader};

/// A line with the path and query of the check's URL, then one with each header. Bytes beyond UTF-8 are in headers only.
pub fn holds(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let Some(Ok(target)) = lines.next().map(std::str::from_utf8) else { return };
    let headers: Vec<(GatewayHeader, &[u8])> = lines.filter_map(header).collect();
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let Some(url) = CheckUrl::find(path, query, None) else { return };
    assert!(path.starts_with(&format!("/auth/{}", url.dialect.as_str())), "{target:?}");
    let request = parse(url, &headers);
    let own: Vec<_> = headers.iter().copied().filter(|(header, _)| own_headers(url.dialect).contains(header)).collect();
    assert_eq!(request, parse(url, &own), "{target:?} without headers of other families");
    assert_eq!(request, parse(url, &[&hostile(url.dialect), &own[..], &hostile(url.dialect)].concat()), "{target:?}");
    if let Some(request) = request {
        check_parts(&request);
        check_target(url, target, &own, &request);
    }
}

fn header(line: &[u8]) -> Option<(GatewayHeader, &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let header = GatewayHeader::ALL.into_iter().find(|header| line[..colon].eq_ignore_ascii_case(header.as_str().as_bytes()))?;
    Some((header, line[colon + 1..].trim_ascii()))
}

fn parse<'a>(url: CheckUrl<'a>, headers: &[(GatewayHeader, &'a [u8])]) -> Option<CheckRequest<'a>> {
    let values = |header| headers.iter().filter(move |(name, _)| *name == header).map(|(_, value)| *value);
    url.parse_request("POST", values).map(|(request, _)| request).ok()
}

fn own_headers(dialect: Dialect) -> &'static [GatewayHeader] {
    match dialect {
        Dialect::Nginx => &[GatewayHeader::OriginalUrl, GatewayHeader::OriginalMethod],
        Dialect::Envoy => &[GatewayHeader::Host, GatewayHeader::ForwardedProto],
        Dialect::Traefik | Dialect::Caddy | Dialect::Haproxy | Dialect::Apisix => &[
            GatewayHeader::ForwardedMethod,
            GatewayHeader::ForwardedProto,
            GatewayHeader::ForwardedHost,
            GatewayHeader::ForwardedUri,
        ],
    }
}

fn hostile(dialect: Dialect) -> Vec<(GatewayHeader, &'static [u8])> {
    let foreign = GatewayHeader::ALL.into_iter().filter(|header| !own_headers(dialect).contains(header));
    foreign.map(|header| (header, &b"https://evil.example/admin"[..])).collect()
}

fn check_parts(CheckRequest { method, scheme, host, path, query }: &CheckRequest<'_>) {
    assert!(matches!(*scheme, "http" | "https") && !method.is_empty() && !host.is_empty());
    assert!(path.starts_with('/') && !path.contains('?'), "{path:?}");
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    assert!(is_plain(path) && query.is_none_or(is_plain), "{path:?}?{query:?}");
}

/// The path and the query are those that the gateway wrote, byte for byte.
fn check_target(url: CheckUrl<'_>, target: &str, own: &[(GatewayHeader, &[u8])], request: &CheckRequest<'_>) {
    let written = format!("{}{}", request.path, request.query.map(|query| format!("?{query}")).unwrap_or_default());
    let uri = own.iter().find(|(header, _)| *header == GatewayHeader::ForwardedUri).map(|(_, value)| *value);
    match (url.dialect, uri) {
        (Dialect::Envoy, _) => {
            let prefix = target.strip_suffix(&written).expect("the target ends with the client's");
            let host = prefix.strip_prefix("/auth/envoy/").expect("the prefix of Envoy");
            assert!(!host.is_empty() && !host.contains(['/', '?']), "{target:?}");
            assert_eq!(request.method, "POST");
        }
        (_, Some(uri)) => assert_eq!(written.as_bytes(), uri),
        (_, None) => {}
    }
}
