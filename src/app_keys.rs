//! Keys for apps on a person's machine: what an app may ask, and how it is answered.

mod redirect;
mod request;

pub use redirect::{DEFAULT_SCHEMES, Redirect, RedirectError, RedirectKind, RedirectPolicy, SchemeError, parse_app_scheme};
pub use request::{AppRequest, AppResponse, KeyRequest, PATH, RequestError, ResponseMode};

/// Which web pages may ask by themselves (CORS).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigins {
    Listed(Vec<String>),
    /// Any, but without the person's cookies.
    Any,
}
