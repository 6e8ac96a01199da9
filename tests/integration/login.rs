//! Signing in on any pods: success, side effects, and the pages of failures.

mod any_pod;
mod claims_refresh;
mod cookies;
mod faulty_provider;
mod flood;
mod forged_callbacks;
mod further_origins;
mod identity;
mod oauth2;
mod portal;
mod providers;
mod recent_sign_in;
mod refresh;
mod refusals;
mod session_limit;
mod session_replacement;
mod silent_login;
mod store_outage;
mod unusual_targets;

use url::Url;

/// The value of a query parameter that must exist.
#[track_caller]
fn parameter(address: &Url, name: &str) -> String {
    let found = address.query_pairs().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("no {name} in {address}")).1.into_owned()
}
