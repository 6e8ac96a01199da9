//! Addresses of our own.

use url::form_urlencoded;

use crate::{pages::Place, return_to::ReturnTo};

/// The query parameter that says where to return to, as the gateways name it.
pub const RETURN_PARAMETER: &str = "rd";

/// Below it is the JSON API.
pub(super) const API: &str = "/vestibule/api";

pub(super) fn is_of_the_api(path: &str) -> bool {
    path.strip_prefix(API).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Where a list goes on that a page shows the beginning of.
pub(super) fn further_href(place: Place, after: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("after", after).finish();
    format!("{}?{query}", place.href())
}

/// The address that begins a login.
pub(super) fn login_href(target: &ReturnTo, provider: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if *target != ReturnTo::root() {
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
