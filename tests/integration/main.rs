//! Everything that is shown on real peers, in one binary.

mod cache;
mod store;
mod support;
