//! Paths of the service's own pages and API.

use url::form_urlencoded;

use crate::return_to::ReturnTarget;

/// The query parameter with the return target, named as gateways name it.
pub const RETURN_PARAMETER: &str = "rd";

/// The path prefix of the JSON API.
pub(super) const API: &str = "/vestibule/api";

pub(super) fn is_api_path(path: &str) -> bool {
    path.strip_prefix(API).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns the URL that begins a login.
pub(super) fn login_href(target: &ReturnTarget, provider: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if *target != ReturnTarget::root() {
        query.append_pair(RETURN_PARAMETER, target.as_str());
    }
    if let Some(provider) = provider {
        query.append_pair("provider", provider);
    }
    match query.finish() {
        query if query.is_empty() => "/sso/login".to_owned(),
        query => format!("/sso/login?{query}"),
    }
}
