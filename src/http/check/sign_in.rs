//! The address of the sign-in that returns to the original request.

use url::form_urlencoded;

use super::super::{RETURN_PARAMETER, Site};
use crate::check::CheckRequest;

/// The length limit of the address, since gateways limit the size of response headers.
const LONGEST: usize = 2048;

/// Returns the URL of the sign-in, on the host of the request if that is a further origin.
pub(super) fn sign_in_url(site: &Site, original: &CheckRequest<'_>) -> String {
    site.origin_on(original.host).join(&sign_in_path(original))
}

/// Returns the path and query of the sign-in. A target that is too long is left out as a whole and not truncated.
pub(super) fn sign_in_path(original: &CheckRequest<'_>) -> String {
    let whole = original.query.map_or_else(|| original.path.to_owned(), |query| format!("{}?{query}", original.path));
    let targets = [whole.as_str(), original.path].into_iter();
    let mut paths = targets.map(path_with_target).filter(|path| path.len() <= LONGEST);
    paths.next().unwrap_or_else(|| "/sso/login".to_owned())
}

fn path_with_target(target: &str) -> String {
    let query: String = form_urlencoded::Serializer::new(String::new()).append_pair(RETURN_PARAMETER, target).finish();
    format!("/sso/login?{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_for(path: &str, query: Option<&str>) -> String {
        sign_in_path(&CheckRequest { method: "GET", scheme: "http", host: "a", path, query })
    }

    #[test]
    fn the_sign_in_is_on_the_host_of_a_further_origin_or_on_public_url() {
        for (host, origin) in [
            ("chat.example.com", "https://chat.example.com:8443"),
            ("CHAT.example.com", "https://chat.example.com:8443"),
            ("llm.example.com", "https://llm.example.com"),
            ("unlisted.example.com", "https://llm.example.com"),
            ("chat.example.com.evil.example", "https://llm.example.com"),
        ] {
            let original = CheckRequest { method: "GET", scheme: "http", host, path: "/a", query: None };
            assert_eq!(sign_in_url(&Site::for_tests(), &original), format!("{origin}/sso/login?rd=%2Fa"), "{host}");
        }
    }

    #[test]
    fn the_sign_in_contains_the_whole_escaped_target() {
        assert_eq!(path_for("/a", None), "/sso/login?rd=%2Fa");
        assert_eq!(path_for("/a%2Fb", Some("x=1&y=%26")), "/sso/login?rd=%2Fa%252Fb%3Fx%3D1%26y%3D%2526");
    }

    #[test]
    fn a_long_query_or_path_is_left_out_as_a_whole() {
        let long = "a".repeat(LONGEST);
        assert_eq!(path_for("/a", Some(&long)), "/sso/login?rd=%2Fa");
        assert_eq!(path_for(&format!("/{long}"), None), "/sso/login");
    }
}
