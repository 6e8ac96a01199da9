//! The front door of an LLM proxy.

pub mod check;
pub mod clock;
pub mod config;
pub mod files;
pub mod gateway;
pub mod login;
pub mod metrics;
pub mod oidc;
pub mod origin;
pub mod principal;
pub mod principals;
pub mod return_to;
pub mod roles;
pub mod secret;
pub mod session;
pub mod store;
pub mod users;
