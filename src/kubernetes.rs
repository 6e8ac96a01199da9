//! What Kubernetes tells: role maps in ConfigMaps, watched, and what is told back in Events.

mod events;
mod index;
mod role_map;

pub use role_map::{ConnectError, RoleMapWatch};

/// An error with what it came from, which `Display` alone often hides.
fn causes(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
