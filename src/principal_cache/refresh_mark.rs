//! Marks when the claims of a cache entry are due for a refresh, for the check's comparison.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    time::Duration,
};

use jiff::Timestamp;

/// The time from which a use of a cache entry leads to a refresh of its claims.
pub struct RefreshMark {
    due: Timestamp,
    /// No refresh begins before this time. Unix time in milliseconds.
    not_before: AtomicI64,
    /// True unless the last attempt failed.
    is_answered: AtomicBool,
}

/// The result of an attempt to refresh claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshAttempt {
    /// The claims are being refreshed, on this pod or another, or were refreshed.
    Answered,
    Failed,
}

impl RefreshMark {
    /// `None`: the claims are never refreshed.
    pub(super) fn new(due: Option<Timestamp>) -> Self {
        Self { due: due.unwrap_or(Timestamp::MAX), not_before: AtomicI64::new(i64::MIN), is_answered: AtomicBool::new(true) }
    }

    /// True if the claims can be refreshed.
    pub fn is_refreshable(&self) -> bool {
        self.due != Timestamp::MAX
    }

    /// True if a refresh has to begin. `now` is evaluated only if there is a due time.
    pub fn is_due(&self, now: impl FnOnce() -> Timestamp) -> bool {
        self.is_refreshable() && {
            let now = now();
            self.due <= now && !self.is_deferred(now)
        }
    }

    /// Defers the next refresh after an attempt.
    pub fn defer(&self, now: Timestamp, pause: Duration, attempt: RefreshAttempt) {
        let until = now.checked_add(pause).unwrap_or(Timestamp::MAX);
        self.is_answered.store(attempt == RefreshAttempt::Answered, Ordering::Relaxed);
        self.not_before.store(until.as_millisecond(), Ordering::Relaxed);
    }

    fn is_deferred(&self, now: Timestamp) -> bool {
        now.as_millisecond() < self.not_before.load(Ordering::Relaxed)
    }

    /// The result of the last attempt.
    pub fn last_attempt(&self) -> RefreshAttempt {
        if self.is_answered.load(Ordering::Relaxed) { RefreshAttempt::Answered } else { RefreshAttempt::Failed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};

    #[test]
    fn claims_are_due_from_their_time_on_unless_an_attempt_was_deferred() {
        let now = SystemClock.now();
        let second = Duration::from_secs(1);
        assert!(!RefreshMark::new(None).is_due(|| unreachable!("no clock is read")));
        let mark = RefreshMark::new(Some(now));
        assert!(!mark.is_due(|| now - second) && mark.is_due(|| now));
        mark.defer(now, second, RefreshAttempt::Answered);
        assert!(!mark.is_due(|| now));
        assert_eq!(mark.last_attempt(), RefreshAttempt::Answered);
        assert!(mark.is_due(|| now + second));
        mark.defer(now, second, RefreshAttempt::Failed);
        assert_eq!(mark.last_attempt(), RefreshAttempt::Failed);
    }
}
