//! Requests by applications for an API key, and the responses to them.

mod redirect;
mod request;

pub use redirect::{DEFAULT_SCHEMES, Redirect, RedirectError, RedirectKind, RedirectPolicy, SchemeError, parse_app_scheme};
pub use request::{AppRequest, AppResponse, KeyRequest, PATH, RequestError, ResponseMode};

/// The origins whose pages may send requests from scripts (CORS).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigins {
    Listed(Vec<String>),
    /// Any origin, but without cookies.
    Any,
}
