//! What Kubernetes tells: role maps in ConfigMaps, watched, and what is told back in Events; and whose a
//! ServiceAccount's token is.

mod connect;
mod events;
mod index;
mod role_map;
mod tokens;

pub use connect::ConnectError;
pub use role_map::RoleMapWatch;
pub use tokens::{Reviewed, TokenAuthority, TokenAuthorityError};
