//! Values from outside of the process: refreshed in the background, read once for concurrent callers, or watched in files.

mod error_chain;
mod files;
mod refreshing_value;
mod single_flight;

pub use error_chain::causes;
pub use files::FileWatch;
pub use refreshing_value::{FetchedValue, ON_DEMAND, RefreshingValue, SHORTEST_INTERVAL};
pub use single_flight::{SharedLookup, SingleFlight};
