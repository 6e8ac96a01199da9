//! What Kubernetes tells: role maps in ConfigMaps, watched, and what is told back in Events.

mod events;
mod index;
mod role_map;

pub use role_map::{ConnectError, RoleMapWatch};
