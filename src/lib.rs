//! Vestibule is a forward-auth and single sign-on (SSO) service for LLM proxies on Kubernetes.
//!
//! An auth request arrives at [`http::check`]. [`check`] parses the gateway's headers and extracts the credential,
//! [`principal_cache`] or [`bearer_tokens`] authenticates it, and the role map in [`role_map`] authorizes the request. In
//! steady state this needs no network access.
//!
//! A login starts in [`http`], which passes the browser's request to [`login`]. It redirects the browser to a provider of
//! [`oidc`]. The browser may return to any pod, which updates the user and opens a session in [`users`]. All pods share this
//! data in the [`store`], encrypted with the key ring in [`secret`].
//!
//! [`server`] builds the services from a [`config`]. No other module depends on all of them.

// The process: command line, configuration, composition root.
pub mod cli;
pub mod config;
pub mod migrate;
pub mod server;

// Listeners, pages and the Kubernetes API.
pub mod http;
pub mod kubernetes;
pub mod pages;

// Checks: from a gateway's headers to a decision.
pub mod access;
pub mod bearer_tokens;
pub mod check;
pub mod claims_refresh;
pub mod explain;
pub mod principal;
pub mod principal_cache;
pub mod role_map;
pub mod upstream;

// Users, their logins and their API keys.
pub mod administration;
pub mod api_keys;
pub mod backchannel_logout;
pub mod frontchannel_logout;
pub mod handover;
pub mod local_accounts;
pub mod login;
pub mod oidc;
pub mod return_target;
pub mod scim;
pub mod users;

// Shared state and secrets.
pub mod secret;
pub mod store;

// General parts.
pub mod client_address;
pub mod clock;
pub mod fetch;
pub mod glob;
pub mod json;
pub mod jwt;
pub mod metrics;
pub mod origin;
pub mod yaml;

#[cfg(test)]
mod docs;
