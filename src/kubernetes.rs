//! Connects to the Kubernetes API server: watches role maps in ConfigMaps, creates Events, and reviews ServiceAccount tokens.

mod connect;
mod events;
mod index;
mod role_map;
mod tokens;

pub use connect::ConnectError;
pub use role_map::{ConfigMapSource, RoleMapWatch};
pub use tokens::{ReviewResult, TokenAuthority, TokenAuthorityError};
