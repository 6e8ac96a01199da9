//! Detects browsers that open a page. Only these are redirected to the sign-in, and only these read a page with an error.

/// The headers of browsers that declare the kind of a request (Fetch Metadata Request Headers).
const FETCH_METADATA: [&str; 5] =
    ["sec-fetch-mode", "sec-fetch-site", "sec-fetch-dest", "sec-fetch-user", "sec-fetch-storage-access"];

const NAVIGATE: &[u8] = b"navigate";

/// True if a browser opens a page: a GET with `Sec-Fetch-Mode: navigate`. Browsers send no `Sec-Fetch-*` header to a plain-HTTP
/// origin other than loopback. Without any, a GET counts if it accepts `text/html`, has no `X-Requested-With` and does
/// not begin a WebSocket. The nginx template has the same rule, where an empty header counts as
/// absent. `values` returns all values of a header.
pub fn is_navigation<'a, I>(method: &str, mut values: impl FnMut(&'static str) -> I) -> bool
where
    I: Iterator<Item = &'a [u8]>,
{
    if method != "GET" || is_websocket(&mut values) {
        return false;
    }
    let mut has = |name: &'static str| values(name).any(|value| !value.is_empty());
    if FETCH_METADATA.into_iter().any(&mut has) {
        let mut modes = values("sec-fetch-mode");
        return modes.next() == Some(NAVIGATE) && modes.next().is_none();
    }
    !has("x-requested-with") && accepts_html(values("accept"))
}

/// True if `Accept` lists `text/html`. A program's `*/*` does not count.
pub fn accepts_html<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> bool {
    values.any(|value| value.split(|byte| *byte == b',').any(is_html))
}

fn is_websocket<'a, I>(values: &mut impl FnMut(&'static str) -> I) -> bool
where
    I: Iterator<Item = &'a [u8]>,
{
    // Some gateways send no `Upgrade` to the check.
    let is_upgrade = values("upgrade").any(|value| value.trim_ascii().eq_ignore_ascii_case(b"websocket"));
    is_upgrade || values("sec-websocket-key").next().is_some()
}

/// True for the media range `text/html` with a weight above zero (RFC 9110, section 12.4.2).
fn is_html(range: &[u8]) -> bool {
    let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let is_named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(b"text/html"));
    is_named && !parts.any(is_weight_zero)
}

fn is_weight_zero(parameter: &[u8]) -> bool {
    let weight = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="));
    weight.is_some_and(|weight| !weight.is_empty() && weight.iter().all(|byte| matches!(byte, b'0' | b'.')))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
    const NAVIGATE: (&str, &str) = ("sec-fetch-mode", "navigate");

    #[rstest]
    #[case::declared("GET", &[NAVIGATE], true)]
    #[case::declared_with_any_accept("GET", &[NAVIGATE, ("accept", "*/*"), ("x-requested-with", "x")], true)]
    #[case::without_metadata("GET", &[BROWSER], true)]
    #[case::html_among_others("GET", &[("accept", "application/json"), ("accept", "a/b;q=0.1, TEXT/HTML ;q=0.5")], true)]
    #[case::head("HEAD", &[NAVIGATE, BROWSER], false)]
    #[case::post("POST", &[NAVIGATE, BROWSER], false)]
    #[case::preflight("OPTIONS", &[("sec-fetch-mode", "cors"), BROWSER], false)]
    #[case::lower_case("get", &[NAVIGATE], false)]
    #[case::fetch("GET", &[("sec-fetch-mode", "cors"), BROWSER], false)]
    #[case::same_origin_fetch("GET", &[("sec-fetch-mode", "same-origin"), BROWSER], false)]
    #[case::only_another_declaration("GET", &[("sec-fetch-site", "same-origin"), BROWSER], false)]
    #[case::only_a_destination("GET", &[("sec-fetch-dest", "document"), BROWSER], false)]
    #[case::only_a_user("GET", &[("sec-fetch-user", "?1"), BROWSER], false)]
    #[case::empty_headers("GET", &[("sec-fetch-mode", ""), ("x-requested-with", ""), BROWSER], true)]
    #[case::empty_mode("GET", &[("sec-fetch-mode", ""), ("sec-fetch-site", "none"), BROWSER], false)]
    #[case::repeated_mode("GET", &[NAVIGATE, ("sec-fetch-mode", "cors"), BROWSER], false)]
    #[case::capitals("GET", &[("sec-fetch-mode", "Navigate"), BROWSER], false)]
    #[case::script("GET", &[BROWSER, ("x-requested-with", "XMLHttpRequest")], false)]
    #[case::program("GET", &[("accept", "*/*")], false)]
    #[case::any_text("GET", &[("accept", "text/*")], false)]
    #[case::no_accept("GET", &[], false)]
    #[case::html_refused("GET", &[("accept", "text/html;q=0.0, application/json")], false)]
    #[case::another_type("GET", &[("accept", "text/html5")], false)]
    #[case::sse("GET", &[("accept", "text/event-stream")], false)]
    #[case::grpc("POST", &[("content-type", "application/grpc"), ("te", "trailers")], false)]
    #[case::websocket("GET", &[("sec-fetch-mode", "websocket")], false)]
    #[case::websocket_of_a_program("GET", &[BROWSER, ("upgrade", "WebSocket")], false)]
    #[case::websocket_without_upgrade("GET", &[BROWSER, ("sec-websocket-key", "x")], false)]
    #[case::upgrade_to_http_2("GET", &[BROWSER, ("upgrade", "h2c")], true)]
    fn only_a_browser_that_opens_a_page_navigates(
        #[case] method: &str,
        #[case] headers: &[(&str, &str)],
        #[case] expected: bool,
    ) {
        let values = |name: &'static str| headers.iter().filter(move |(own, _)| *own == name).map(|(_, value)| value.as_bytes());
        assert_eq!(is_navigation(method, values), expected);
    }
}
