//! The gateways' dialects: how each tells the original request.
//!
//! A dialect reads its own headers alone. Every gateway passes the other families' headers through from
//! the client untouched, so falling back from one to another would let the client speak.

pub mod nginx;
