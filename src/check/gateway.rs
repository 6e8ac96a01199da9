//! Parses the auth requests of gateways into the original request. Each gateway family has its own headers.
//!
//! A parser must read the headers of its own family only. Every gateway forwards the other families' headers from the client
//! unchanged, so a fallback to them would let the client forge the original request.

pub mod nginx;
pub mod secret;
