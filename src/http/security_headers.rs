//! Security headers, by kind of response.
//!
//! By default a response is private data: JSON, a redirect or an empty response, which no browser may store, frame or execute.
//! [`complete`] adds these headers to every response of the public listener. Pages, assets and credentials set others before.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::pages::{ASSETS, Asset};
use crate::origin::PublicUrl;

/// The headers of every response.
const ALWAYS: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    // With it, `OpenerPolicy::SameOrigin` differs from the policy of a page that sends only `same-origin`.
    (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
];

/// The first version of Chromium that implements `noopener-allow-popups`.
const FIRST_NOOPENER_VERSION: u32 = 131;

/// Keeps a script of an upstream on the same origin from reading a page that it opens in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenerPolicy {
    /// No page that opens ours keeps a reference to it.
    NoOpener,
    /// For browsers without the other policy. A page of the same origin with the same policies keeps a reference.
    SameOrigin,
}

const NO_CONTENT: &str = "default-src 'none'; frame-ancestors 'none'";

/// An SVG may contain styles, and must not run scripts when it is opened directly.
const SVG_CONTENT: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox";

/// The targets of a page's forms. Browsers apply this to redirects too.
pub(super) enum FormTargets<'a> {
    OwnOnly,
    And(&'a str),
}

/// The scripts that a page may run.
pub(super) enum Scripts<'a> {
    None,
    /// Our own files below this origin's assets, and nothing else that the origin may serve.
    Of(&'a PublicUrl),
}

/// Sets the headers of a page.
pub(super) fn for_page(headers: &mut HeaderMap, targets: &FormTargets<'_>, scripts: &Scripts<'_>) {
    let targets = match targets {
        FormTargets::OwnOnly => "'self'".to_owned(),
        FormTargets::And(other) => format!("'self' {other}"),
    };
    let scripts = match scripts {
        Scripts::None => String::new(),
        Scripts::Of(public_url) => format!("script-src {}; ", public_url.join(ASSETS)),
    };
    let policy = format!(
        "default-src 'none'; {scripts}style-src 'self'; img-src 'self'; form-action {targets}; frame-ancestors 'none'; \
         base-uri 'none'"
    );
    let policy = HeaderValue::from_str(&policy).expect("origins, and addresses that were parsed, can stand in a header");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
}

/// Sets the headers of an asset, which browsers may cache.
pub(super) fn for_asset(headers: &mut HeaderMap, asset: &Asset) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(asset.cache_control));
    if asset.is_svg_of_others {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(SVG_CONTENT));
    }
}

/// Sets the headers of a response that may contain a credential (RFC 6749, section 5.1).
pub(super) fn for_credential(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
}

/// Adds the default headers that are not set yet.
pub(super) fn complete(headers: &mut HeaderMap, opener: OpenerPolicy) {
    let opener = (HeaderName::from_static("cross-origin-opener-policy"), opener.as_str());
    for (name, value) in ALWAYS.into_iter().chain([opener]) {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in [(header::CACHE_CONTROL, "no-store"), (header::CONTENT_SECURITY_POLICY, NO_CONTENT)] {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}

impl OpenerPolicy {
    /// The strictest policy that the browser of a request implements.
    pub fn of(request: &HeaderMap) -> Self {
        let brands = request.get_all("sec-ch-ua").filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        let mut versions =
            brands.filter_map(|brand| brand.trim().strip_prefix(r#""Chromium";v=""#)?.strip_suffix('"')?.parse::<u32>().ok());
        if versions.any(|version| version >= FIRST_NOOPENER_VERSION) { Self::NoOpener } else { Self::SameOrigin }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::NoOpener => "noopener-allow-popups",
            Self::SameOrigin => "same-origin",
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::pages::{Brand, asset};

    #[test]
    fn a_logo_that_is_opened_directly_runs_no_script() {
        let svg = b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>".to_vec();
        let brand = Brand::new("Acme", Some(svg), None).expect("a brand");
        let policy = |name: &str| {
            let mut headers = HeaderMap::new();
            for_asset(&mut headers, &asset(&brand, name).expect("the file"));
            complete(&mut headers, OpenerPolicy::SameOrigin);
            headers.get(header::CONTENT_SECURITY_POLICY).expect("a policy").to_str().expect("text").to_owned()
        };
        assert_eq!(policy("logo.0.svg"), SVG_CONTENT);
        assert_eq!(policy("icon.0.svg"), NO_CONTENT);
    }

    #[rstest]
    #[case(r#""Chromium";v="156", "Not:A-Brand";v="8""#, OpenerPolicy::NoOpener)]
    #[case(r#""Google Chrome";v="131", "Chromium";v="131""#, OpenerPolicy::NoOpener)]
    #[case(r#""Not:A-Brand";v="200", "Chromium";v="130""#, OpenerPolicy::SameOrigin)]
    #[case(r#""Chromium""#, OpenerPolicy::SameOrigin)]
    #[case("", OpenerPolicy::SameOrigin)]
    fn only_browsers_that_know_the_stricter_opener_policy_get_it(#[case] brands: &'static str, #[case] expected: OpenerPolicy) {
        let mut headers = HeaderMap::new();
        assert_eq!(OpenerPolicy::of(&headers), OpenerPolicy::SameOrigin);
        headers.insert(HeaderName::from_static("sec-ch-ua"), HeaderValue::from_static(brands));
        assert_eq!(OpenerPolicy::of(&headers), expected);
    }
}
