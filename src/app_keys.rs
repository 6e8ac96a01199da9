//! Keys for apps on a person's machine: what an app may ask, and how it is answered.

mod redirect;
mod request;

pub use redirect::{DEFAULT_SCHEMES, Redirect, RedirectError, RedirectKind, RedirectPolicy, SchemeError, app_scheme};
pub use request::{Asked, KeyRequest, Outcome, PATH, RequestError, ResponseMode};

/// Which web pages may ask by themselves (CORS).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    Listed(Vec<String>),
    /// Any, but without the person's cookies.
    Any,
}
