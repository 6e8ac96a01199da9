//! Everything that is shown on real peers, in one binary.

mod store;
mod support;
