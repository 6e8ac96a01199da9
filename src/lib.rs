//! The front door of an LLM proxy that runs in several pods.
//!
//! The way of a check: a gateway's question comes in on [`http::check`], its dialect is read by
//! [`gateway`], [`check`] finds the credential and asks [`principals`] who it stands for, and the role
//! map in [`roles`] says what that person may do. In steady state nothing of this leaves the process.
//!
//! The way of a login: [`http`] takes the browser's request to [`login`], which sends it to a provider
//! of [`oidc`] and, on whichever pod it comes back, brings the person up to date in [`users`] and opens
//! a [`session`]. All of it is shared through the [`store`], sealed by the key ring in [`secret`].
//!
//! [`app`] puts the parts together from a [`config`]; nothing else sees the whole.

pub mod cli;

pub mod app;
pub mod config;

pub mod http;
pub mod pages;

pub mod check;
pub mod continuation;
pub mod explain;
pub mod gateway;
pub mod kubernetes;
pub mod login;

pub mod access;
pub mod accounts;
pub mod apps;
pub mod keys;
pub mod oidc;
pub mod people;
pub mod principals;
pub mod roles;
pub mod session;
pub mod sign_ins;
pub mod tokens;
pub mod upstream;
pub mod users;

pub mod store;

pub mod causes;
pub mod clock;
pub mod epoch;
pub mod files;
pub mod flights;
pub mod fresh;
pub mod glob;
pub mod jwt;
pub mod metrics;
pub mod origin;
pub mod principal;
pub mod rate_limits;
pub mod return_to;
pub mod secret;
pub mod yaml;

#[cfg(test)]
mod docs;
