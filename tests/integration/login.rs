//! Signing in, over any pods: that it succeeds, what it leaves behind, and what people are told
//! when it fails.

mod again;
mod anywhere;
mod cookies;
mod faulty;
mod identity;
mod misused;
mod oauth2;
mod odd_targets;
mod providers;
mod refresh;
mod refused;
mod store_away;

use url::Url;

/// The value of a query parameter that is there.
#[track_caller]
fn parameter(address: &Url, name: &str) -> String {
    let found = address.query_pairs().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("no {name} in {address}")).1.into_owned()
}
