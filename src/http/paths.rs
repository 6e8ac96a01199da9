//! Paths of the service's own pages and API.

use url::form_urlencoded;

use crate::return_target::ReturnTarget;

/// The query parameter with the return target, named as gateways name it.
pub const RETURN_PARAMETER: &str = "rd";

/// The path prefix of the JSON API.
pub(super) const API: &str = "/vestibule/api";

/// The path prefix of SCIM.
pub(super) const SCIM: &str = "/vestibule/scim/v2";

/// True for a path that only programs request.
pub(super) fn is_api_path(path: &str) -> bool {
    let is_below = |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    [API, SCIM].into_iter().any(is_below)
}

/// True for a path below which Vestibule answers itself, so that the gateway sends no auth request.
pub(super) fn is_own_path(path: &str) -> bool {
    let is_below = |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
    ["/sso", "/vestibule", "/onboarding"].into_iter().any(is_below)
}

/// The query parameter with the authentication that a login requires of the provider.
const AUTHENTICATION_PARAMETER: &str = "authenticate";

/// The authentication that a login requires of the provider, as the URL of the login names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginAuthentication {
    /// The provider may answer from its own session.
    Any,
    /// The user must have authenticated within `keys.sign_in_within`.
    Recent,
    /// The provider must ask the user again.
    Again,
}

impl LoginAuthentication {
    /// Any other text counts as absent. The session records the time of the authentication, regardless of the login's parameters.
    pub fn parse(text: Option<&str>) -> Self {
        [Self::Recent, Self::Again].into_iter().find(|known| known.as_str() == text).unwrap_or(Self::Any)
    }

    /// The value of the parameter; `None` if it is omitted.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Any => None,
            Self::Recent => Some("recent"),
            Self::Again => Some("again"),
        }
    }
}

/// Returns the URL that begins a login.
pub(super) fn login_href(target: &ReturnTarget, provider: Option<&str>) -> String {
    authenticating_href(target, provider, LoginAuthentication::Any)
}

/// Returns the URL that begins a login with this authentication.
pub(super) fn authenticating_href(target: &ReturnTarget, provider: Option<&str>, authentication: LoginAuthentication) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if *target != ReturnTarget::root() {
        query.append_pair(RETURN_PARAMETER, target.as_str());
    }
    if let Some(provider) = provider {
        query.append_pair("provider", provider);
    }
    if let Some(authentication) = authentication.as_str() {
        query.append_pair(AUTHENTICATION_PARAMETER, authentication);
    }
    match query.finish() {
        query if query.is_empty() => "/sso/login".to_owned(),
        query => format!("/sso/login?{query}"),
    }
}
