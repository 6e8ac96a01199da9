//! Detects whether the application itself led the browser to its request for a key.
//!
//! Any page can link to such a request. An app consent therefore applies only if the `Referer` names the redirect's origin.
//! During a sign-in the `Referer` is lost. A request that has to sign in first therefore carries a mark in its return target: a
//! token that is bound to the request and to the browser, so that no other page can know it.

use std::time::Duration;

use actix_web::{HttpRequest, http::header};
use url::{Origin, Url};

use crate::{
    api_keys::app_requests::KeyRequest,
    http::{Services, Site, browser_binding::binding, form_token::FormId},
    return_target::ReturnTarget,
};

/// The query parameter with the mark.
const PARAMETER: &str = "from_application";

/// A sign-in takes at most this long.
const LIFE: Duration = Duration::from_secs(600);

/// The return target of a sign-in for a request.
pub(super) struct SignInTarget {
    pub target: ReturnTarget,
    /// The login cookie of a browser that has none yet.
    pub new_cookie: Option<String>,
}

/// True if the application led the browser here, before or after a sign-in.
pub(super) fn is_from_application(request: &HttpRequest, services: &Services, wanted: &KeyRequest) -> bool {
    has_own_referer(request, &services.site, wanted) || has_mark(request, services, wanted)
}

/// Returns the target that leads back to a request after a sign-in, with a mark if the application led the browser here.
pub(super) fn sign_in_target(request: &HttpRequest, services: &Services, wanted: &KeyRequest) -> SignInTarget {
    let marked = || {
        let (binding, new_cookie) = binding(request, &services.site);
        let mark = services.form_tokens.issue(FormId { purpose: &purpose(wanted), bound_to: &binding.fingerprint() });
        Some(SignInTarget { target: wanted.return_target_with(PARAMETER, &mark)?, new_cookie })
    };
    let marked = if is_from_application(request, services, wanted) { marked() } else { None };
    marked.unwrap_or_else(|| SignInTarget { target: wanted.return_target().unwrap_or_else(ReturnTarget::root), new_cookie: None })
}

/// An upstream on an own origin does not count: a script in its pages has this `Referer` too.
fn has_own_referer(request: &HttpRequest, site: &Site, wanted: &KeyRequest) -> bool {
    let Some(redirect) = &wanted.redirect else { return false };
    let expected = redirect.origin();
    let is_foreign = matches!(expected, Origin::Tuple(..)) && !site.is_own_origin(&expected.ascii_serialization());
    is_foreign && referer(request) == Some(expected)
}

fn referer(request: &HttpRequest) -> Option<Origin> {
    let mut values = request.headers().get_all(header::REFERER);
    let referer = Url::parse(values.next()?.to_str().ok()?).ok()?;
    values.next().is_none().then(|| referer.origin())
}

fn has_mark(request: &HttpRequest, services: &Services, wanted: &KeyRequest) -> bool {
    let query = url::form_urlencoded::parse(request.query_string().as_bytes());
    let mut marks = query.filter(|(name, _)| name == PARAMETER).map(|(_, mark)| mark);
    let (Some(mark), None) = (marks.next(), marks.next()) else { return false };
    let Some(binding) = services.site.cookies.binding_in(request) else { return false };
    services.form_tokens.is_valid(FormId { purpose: &purpose(wanted), bound_to: &binding.fingerprint() }, &mark, LIFE)
}

fn purpose(wanted: &KeyRequest) -> String {
    format!("app-key-mark {}", wanted.to_query())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::api_keys::app_requests::{AppRequest, RedirectPolicy};

    #[test]
    fn a_referer_counts_for_the_redirects_origin_and_never_for_an_own_one() {
        let is_counted = |redirect: &str, referer: &str| {
            let hosts =
                ["app.example.com", "chat.example.com", "chat.example.com:8443", "llm.example.com"].map(str::to_owned).to_vec();
            let query = format!("response_type=oauth_token&redirect_uri={redirect}");
            let Ok(AppRequest::Key(wanted)) = AppRequest::parse(&query, &RedirectPolicy::new([], hosts)) else {
                panic!("{redirect} is not allowed");
            };
            let request = TestRequest::default().insert_header((header::REFERER, referer)).to_http_request();
            has_own_referer(&request, &Site::for_tests(), &wanted)
        };
        for origin in ["https://app.example.com", "https://chat.example.com", "http://127.0.0.1:5000"] {
            assert!(is_counted(&format!("{origin}/cb"), &format!("{origin}/")), "{origin}");
            assert!(!is_counted(&format!("{origin}/cb"), "https://other.example.com/"), "{origin}");
        }
        for own in ["https://llm.example.com", "https://llm.example.com:443", "https://chat.example.com:8443"] {
            assert!(!is_counted(&format!("{own}/cb"), &format!("{own}/")), "{own}");
        }
        assert!(!is_counted("vscode://publisher.ext/cb", "vscode://publisher.ext/"), "opaque");
    }
}
