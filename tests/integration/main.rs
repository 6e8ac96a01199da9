//! All tests with real peers, in one binary.

mod accounts;
mod api;
mod apps;
mod browser;
mod cache;
mod cli;
mod commands;
mod gateways;
mod key_ring;
mod keys;
mod kubernetes;
mod limits;
mod log;
mod login;
mod logout;
mod nginx;
mod requests;
mod roles;
mod scim;
mod soak;
mod store;
mod support;
mod tokens;
mod upstream;
mod versions;
