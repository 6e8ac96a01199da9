//! Bounds the login flows and handovers that the store holds at the same time, without client addresses.

use std::time::Duration;

use jiff::Timestamp;

use super::LIFETIME;
use crate::store::{Capacity, RecordKey, RecordKind, Shard};

/// Flows that expire within the same window share a counter.
const WINDOW: Duration = Duration::from_secs(60);

/// The allowed difference between the clocks of two pods.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(120);

/// The counted login flows and handovers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowStage {
    Pending,
    /// The tombstones of flows that were taken.
    Finished,
    /// Handovers of a session to another host.
    PendingHandover,
    /// The tombstones of handovers that were taken.
    FinishedHandover,
}

/// The maximum number of login flows or handovers of each stage in one shard.
///
/// A flow's shard is random, so each shard has the same share of the maximum of the whole store.
#[derive(Debug, Clone, Copy)]
pub struct FlowCapacity {
    per_shard: u64,
}

impl FlowCapacity {
    pub fn new(max_pending: u32) -> Self {
        Self { per_shard: u64::from(max_pending).div_ceil(u64::from(Shard::COUNT)) }
    }

    /// Counts a flow that expires after `lifetime`.
    pub fn enter(self, shard: Shard, stage: FlowStage, now: Timestamp, lifetime: Duration) -> Capacity {
        // The clocks of other pods may differ, so that their flows are in earlier or later windows.
        let windows = window(now - CLOCK_DIFFERENCE)..=window(now + LIFETIME + CLOCK_DIFFERENCE);
        Capacity {
            limit: self.per_shard,
            windows: windows.map(|window| stage.counter(shard, window)).collect(),
            entered: stage.counter(shard, window(now + lifetime)),
            ttl: lifetime + WINDOW + CLOCK_DIFFERENCE,
        }
    }
}

impl FlowStage {
    /// Returns the counter of a flow of this stage.
    pub fn counter_of(self, shard: Shard, expires: Timestamp) -> RecordKey {
        self.counter(shard, window(expires))
    }

    fn counter(self, shard: Shard, window: i64) -> RecordKey {
        let stage = match self {
            Self::Pending => "pending",
            Self::Finished => "finished",
            Self::PendingHandover => "pending_handover",
            Self::FinishedHandover => "finished_handover",
        };
        RecordKey::new(shard, RecordKind::Counter, format!("flows:{stage}:{window}"))
    }
}

fn window(expires: Timestamp) -> i64 {
    expires.as_second().div_euclid(WINDOW.as_secs().cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};

    #[test]
    fn every_shard_has_the_same_share_rounded_up() {
        assert_eq!(FlowCapacity::new(1000).per_shard, 16);
        assert_eq!(FlowCapacity::new(100_000).per_shard, 1563);
        assert_eq!(FlowCapacity::new(64).per_shard, 1);
    }

    #[test]
    fn a_flow_is_counted_until_it_expires_also_by_a_pod_whose_clock_differs() {
        let (shard, start) = (Shard::new(3).unwrap(), SystemClock.now());
        let entered = FlowCapacity::new(1000).enter(shard, FlowStage::Pending, start, LIFETIME).entered;
        for (elapsed, skew) in [(0, 120), (0, -120), (300, 0), (600, 0), (599, 120), (599, -120)] {
            let now = start + Duration::from_secs(elapsed) - jiff::SignedDuration::from_secs(skew);
            let counted = FlowCapacity::new(1000).enter(shard, FlowStage::Pending, now, LIFETIME).windows;
            assert!(counted.contains(&entered), "{elapsed} s later, with clocks {skew} s apart");
        }
        let later = start + LIFETIME + CLOCK_DIFFERENCE + 2 * WINDOW;
        assert!(!FlowCapacity::new(1000).enter(shard, FlowStage::Pending, later, LIFETIME).windows.contains(&entered));
    }

    #[test]
    fn the_stages_are_counted_apart() {
        let (shard, now) = (Shard::new(3).unwrap(), SystemClock.now());
        let stages = [FlowStage::Pending, FlowStage::Finished, FlowStage::PendingHandover, FlowStage::FinishedHandover];
        let counters: std::collections::BTreeSet<_> = stages.iter().map(|stage| stage.counter_of(shard, now)).collect();
        assert_eq!(counters.len(), stages.len());
    }
}
