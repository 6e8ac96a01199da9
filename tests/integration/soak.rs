//! Faults on real processes under load: browsers and programs go through nginx over three pods while something breaks.
//! Each run asserts that every answer was right, and prints what was sent, refused and disturbed.
//!
//! `make test` runs a tenth, `make soak` the whole (`SOAK=full`).

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

/// How much of the full load a run is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    Full,
    Tenth,
}

impl Size {
    fn wanted() -> Self {
        match std::env::var("SOAK").as_deref() {
            Ok("full") => Self::Full,
            Ok(other) => panic!("SOAK={other}: only `full` is known"),
            Err(_) => Self::Tenth,
        }
    }

    /// So many at full size.
    fn of(self, full: usize) -> usize {
        if self == Self::Full { full } else { full.div_ceil(10) }
    }

    fn lasting(self, full: Duration, tenth: Duration) -> Duration {
        if self == Self::Full { full } else { tenth }
    }
}
