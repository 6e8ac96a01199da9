//! Reads for how long a response is fresh (RFC 9111, section 4.2).

use std::time::Duration;

use openidconnect::http::{HeaderMap, HeaderName, header};

/// Returns the remaining lifetime that `Cache-Control: max-age` declares. Of several values the smallest counts.
pub(super) fn remaining_freshness(headers: &HeaderMap) -> Option<Duration> {
    let directives = values(headers, header::CACHE_CONTROL).flat_map(|value| value.split(','));
    let max_age = directives.filter_map(max_age).min()?;
    let age = values(headers, header::AGE).filter_map(seconds).max().unwrap_or_default();
    Some(Duration::from_secs(max_age.saturating_sub(age)))
}

/// Returns the seconds of a `max-age`. Names of directives are case-insensitive, and the value may be quoted.
fn max_age(directive: &str) -> Option<u64> {
    let (name, value) = directive.split_once('=')?;
    let is_named = name.trim().eq_ignore_ascii_case("max-age");
    is_named.then(|| seconds(value.trim().trim_matches('"'))).flatten()
}

/// A number that is too large counts as the largest (RFC 9111, section 1.2.2).
fn seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

fn values(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use openidconnect::http::HeaderValue;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::none(&[], None, None)]
    #[case::plain(&["max-age=600"], None, Some(600))]
    #[case::among_others(&["public, max-age=600, must-revalidate"], None, Some(600))]
    #[case::upper_case(&["Max-Age=600"], None, Some(600))]
    #[case::quoted(&["max-age=\"600\""], None, Some(600))]
    #[case::zero(&["max-age=0"], None, Some(0))]
    #[case::several(&["max-age=900", "no-transform, max-age=600"], None, Some(600))]
    #[case::of_shared_caches(&["s-maxage=60"], None, None)]
    #[case::aged(&["max-age=600"], Some("200"), Some(400))]
    #[case::outlived(&["max-age=600"], Some("7000"), Some(0))]
    #[case::huge(&["max-age=99999999999999999999"], None, Some(u64::MAX))]
    #[case::no_number(&["max-age=soon"], None, None)]
    #[case::negative(&["max-age=-1"], None, None)]
    #[case::no_directive_with_a_value(&["no-cache"], None, None)]
    fn a_lifetime_is_read(
        #[case] cache_control: &[&'static str],
        #[case] age: Option<&'static str>,
        #[case] expected: Option<u64>,
    ) {
        let mut headers = HeaderMap::new();
        for value in cache_control {
            headers.append(header::CACHE_CONTROL, HeaderValue::from_static(value));
        }
        if let Some(age) = age {
            headers.insert(header::AGE, HeaderValue::from_static(age));
        }
        assert_eq!(remaining_freshness(&headers), expected.map(Duration::from_secs));
    }
}
