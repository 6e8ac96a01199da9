//! Keys for apps on a person's machine: what an app may ask, and how it is answered.

mod redirect;
mod request;

pub use redirect::{DEFAULT_SCHEMES, Redirect, RedirectError, RedirectKind, RedirectPolicy, SchemeError, app_scheme};
pub use request::{Asked, KeyRequest, Outcome, PATH, RequestError, ResponseMode};
