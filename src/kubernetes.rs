//! Connects to the Kubernetes API server: watches role maps in ConfigMaps, creates Events, and reviews ServiceAccount tokens.

mod connect;
mod events;
mod index;
mod role_map;
mod service_account_tokens;

pub use connect::ConnectError;
pub use role_map::{ConfigMapSource, RoleMapWatch};
pub use service_account_tokens::{ReviewResult, TokenAuthority, TokenAuthorityError};
