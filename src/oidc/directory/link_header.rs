//! Finds the next page in the header `Link` (RFC 8288).

use openidconnect::http::{HeaderMap, header::LINK};

/// A header that cannot be parsed. There may be a next page, so the page must not count as the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the header Link is malformed")]
pub(super) struct LinkHeaderError;

/// Returns the target of the link with the relation `next`; `None` on the last page.
pub(super) fn next(headers: &HeaderMap) -> Result<Option<&str>, LinkHeaderError> {
    let mut found = None;
    for value in headers.get_all(LINK) {
        let value = value.to_str().map_err(|_| LinkHeaderError)?;
        for link in split(value, b',').map(str::trim).filter(|link| !link.is_empty()) {
            let (target, is_next) = parse(link)?;
            found = found.or(is_next.then_some(target));
        }
    }
    Ok(found)
}

/// Returns the target of one link, and true if its relation is `next`.
fn parse(link: &str) -> Result<(&str, bool), LinkHeaderError> {
    let mut parts = split(link, b';').map(str::trim);
    let target = parts.next().and_then(|target| target.strip_prefix('<')?.strip_suffix('>')).ok_or(LinkHeaderError)?;
    let is_next = parts.filter_map(|parameter| parameter.split_once('=')).any(|(name, value)| {
        let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
        name.trim_end().eq_ignore_ascii_case("rel") && relations.any(|relation| relation.eq_ignore_ascii_case("next"))
    });
    Ok((target, is_next))
}

/// Splits a text at a separator, except inside quotes and angle brackets.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let (mut quoted, mut bracketed, mut escaped) = (false, false, false);
    text.split(move |c: char| {
        let is_escaped = std::mem::take(&mut escaped);
        match c {
            '\\' if quoted && !is_escaped => escaped = true,
            '"' if !bracketed && !is_escaped => quoted = !quoted,
            '<' if !quoted => bracketed = true,
            '>' if !quoted => bracketed = false,
            _ => {}
        }
        c == char::from(separator) && !quoted && !bracketed
    })
}

#[cfg(test)]
mod tests {
    use openidconnect::http::HeaderValue;
    use rstest::rstest;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (LINK, HeaderValue::from_bytes(value.as_bytes()).unwrap())).collect()
    }

    #[rstest]
    #[case::none(&[], None)]
    #[case::github(&[r#"<https://api.example/user/teams?page=2>; rel="next", <https://api.example/user/teams?page=9>; rel="last""#],
        Some("https://api.example/user/teams?page=2"))]
    #[case::last_page(&[r#"<https://api.example/?page=1>; rel="prev", <https://api.example/?page=1>; rel="first""#], None)]
    #[case::unquoted(&["</groups?page=2>;rel=next"], Some("/groups?page=2"))]
    #[case::upper_case(&[r#"<a>; REL="Next""#], Some("a"))]
    #[case::several_relations(&[r#"<a>; rel="last next""#], Some("a"))]
    #[case::other_parameters(&[r#"<a>; title="x, y; rel=next"; rel=prev, <b>; foo; rel = next"#], Some("b"))]
    #[case::escaped_quote(&[r#"<a>; title="\", <x>; rel=next"; rel=prev"#], None)]
    #[case::commas_in_the_target(&["<a?b=1,2;c>; rel=next"], Some("a?b=1,2;c"))]
    #[case::several_headers(&["<a>; rel=prev", "<b>; rel=next"], Some("b"))]
    #[case::empty_elements(&[", <a>; rel=next,"], Some("a"))]
    #[case::similar_relation(&[r#"<a>; rel="next-archive""#], None)]
    fn the_next_page_is_found(#[case] values: &[&str], #[case] expected: Option<&str>) {
        assert_eq!(next(&headers(values)), Ok(expected));
    }

    #[rstest]
    #[case("https://api.example/?page=2; rel=next")]
    #[case("<https://api.example/?page=2; rel=next")]
    #[case("<a>; rel=prev, b")]
    #[case("<m\u{fc}ller>; rel=next")]
    fn a_malformed_header_is_not_a_last_page(#[case] value: &str) {
        assert_eq!(next(&headers(&[value])), Err(LinkHeaderError));
    }

    proptest::proptest! {
        #[test]
        fn no_header_panics(value in "[<>\",;= \\\\a-z]{0,40}") {
            let _ = next(&headers(&[&value]));
        }
    }
}
