//! Faults of real processes under load: browsers and programs send requests through nginx to three pods while something fails.
//! Each run asserts that every answer was correct, and prints the numbers of requests, refusals and disturbances.
//!
//! `make test` runs a tenth of the load, `make soak` all of it (`SOAK=full`).

mod clocks;
mod key_ring;
mod ledger;
mod load;
mod network;
mod outage;
mod pods;
mod provider;
mod redis;
mod revocation;
mod sentinel;
mod users;
mod versions;
mod visitor;

use std::time::Duration;

/// The share of the full load of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    Full,
    Tenth,
}

impl Size {
    fn from_environment() -> Self {
        match std::env::var("SOAK").as_deref() {
            Ok("full") => Self::Full,
            Ok(other) => panic!("SOAK={other}: only `full` is known"),
            Err(_) => Self::Tenth,
        }
    }

    /// The number for this size.
    fn of(self, full: usize) -> usize {
        if self == Self::Full { full } else { full.div_ceil(10) }
    }

    fn duration(self, full: Duration, tenth: Duration) -> Duration {
        if self == Self::Full { full } else { tenth }
    }
}
