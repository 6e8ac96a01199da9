//! Reads how much of their memory the Redis servers use, at most once a second and only on request.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use fred::{
    clients::WithOptions,
    prelude::*,
    types::{InfoKind, config::Options},
};
use futures::future::join_all;

use super::{connect::primaries, warnings::field};

const INTERVAL: Duration = Duration::from_secs(1);

/// In percent of `maxmemory`. The rest is reserved for users who are signed in.
const RESERVED_ABOVE: u64 = 90;

#[derive(Default)]
pub(super) struct MemoryWatch {
    last_reading: Mutex<Option<Instant>>,
    is_nearly_full: AtomicBool,
}

impl MemoryWatch {
    /// True if a primary uses more than [`RESERVED_ABOVE`] of its memory, by a reading of the last second. A server that does
    /// not answer, or that does not permit INFO, changes nothing.
    pub(super) async fn is_nearly_full(&self, client: &Client, options: &Options, now: Instant) -> bool {
        if self.begin_reading(now) {
            let servers = primaries(client).into_iter().map(|server| {
                let options = Options { cluster_node: server, ..options.clone() };
                read(client.with_options(&options))
            });
            let readings = join_all(servers).await;
            if let Some(is_nearly_full) = summarize(&readings) {
                self.is_nearly_full.store(is_nearly_full, Ordering::Relaxed);
            }
        }
        self.is_nearly_full.load(Ordering::Relaxed)
    }

    /// True for the first caller in each interval. The others use the last reading instead of waiting for the next.
    fn begin_reading(&self, now: Instant) -> bool {
        let mut last = self.last_reading.lock().expect("no code that holds this lock panics");
        let is_due = last.is_none_or(|last| now.saturating_duration_since(last) >= INTERVAL);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

async fn read(server: WithOptions<Client>) -> Option<bool> {
    server.info::<String>(Some(InfoKind::Memory)).await.ok().and_then(|info| is_above(&info))
}

/// `None` if no server has answered.
fn summarize(readings: &[Option<bool>]) -> Option<bool> {
    readings.iter().flatten().copied().reduce(|one, other| one || other)
}

/// True if a server that refuses writes without memory uses more than [`RESERVED_ABOVE`]. With another policy it evicts records
/// instead, for which there is a warning at start, and it may always be full.
fn is_above(info: &str) -> Option<bool> {
    let number = |name| field(info, name).and_then(|text| text.trim().parse::<u64>().ok());
    let (used, limit) = (number("used_memory")?, number("maxmemory")?);
    let used = used.saturating_sub(number("mem_not_counted_for_evict").unwrap_or(0));
    let refuses_writes = field(info, "maxmemory_policy").is_none_or(|policy| policy.trim() == "noeviction");
    Some(limit > 0 && refuses_writes && u128::from(used) * 100 > u128::from(limit) * u128::from(RESERVED_ABOVE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};

    #[test]
    fn a_server_is_nearly_full_above_90_percent_of_its_limit() {
        let info = |used: u64, limit: u64, policy: &str| {
            format!("# Memory\r\nused_memory:{used}\r\nmaxmemory:{limit}\r\nmaxmemory_policy:{policy}\r\n")
        };
        assert_eq!(is_above(&info(900, 1000, "noeviction")), Some(false));
        assert_eq!(is_above(&info(901, 1000, "noeviction")), Some(true));
        assert_eq!(is_above(&info(u64::MAX, u64::MAX, "noeviction")), Some(true), "no overflow");
        assert_eq!(is_above(&info(901, 0, "noeviction")), Some(false), "no limit");
        assert_eq!(is_above(&info(1000, 1000, "allkeys-lru")), Some(false), "it never refuses a write");
        assert_eq!(is_above(&format!("{}mem_not_counted_for_evict:100\r\n", info(1000, 1000, "noeviction"))), Some(false));
        assert_eq!(is_above("used_memory:5\r\n"), None);
        assert_eq!(is_above(""), None);
    }

    #[test]
    fn one_primary_that_is_nearly_full_is_enough_and_silence_says_nothing() {
        assert_eq!(summarize(&[Some(false), None, Some(true)]), Some(true));
        assert_eq!(summarize(&[Some(false), None]), Some(false));
        assert_eq!(summarize(&[None, None]), None);
    }

    #[test]
    fn there_is_one_reading_a_second() {
        let (watch, start) = (MemoryWatch::default(), SystemClock.monotonic());
        assert!(watch.begin_reading(start));
        assert!(!watch.begin_reading(start + Duration::from_millis(999)));
        assert!(watch.begin_reading(start + INTERVAL));
    }
}
