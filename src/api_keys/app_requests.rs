//! Requests by applications for an API key, and the responses to them.

mod redirect;
mod request;
mod scheme;

pub use redirect::{Redirect, RedirectError, RedirectKind, RedirectPolicy};
pub use request::{AppRequest, AppResponse, KeyRequest, PATH, RequestError, ResponseMode};
pub use scheme::{DEFAULT_SCHEMES, SchemeError, parse_app_scheme};

use std::time::Duration;

/// Settings of keys for applications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppKeySettings {
    pub redirects: RedirectPolicy,
    pub origins: AllowedOrigins,
    pub life: Duration,
}

/// The origins whose pages may send requests from scripts (CORS).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigins {
    Listed(Vec<String>),
    /// Any origin, but without cookies.
    Any,
}
