//! Everything that is shown on real peers, in one binary.

mod cache;
mod login;
mod store;
mod support;
