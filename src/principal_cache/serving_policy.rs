//! Decides how each look-up is answered: from the cache, from the store, or by stale serving in an outage.

use std::time::Duration;

use super::{
    CONSISTENCY_BOUND, LookupError,
    cache::{Cache, CachedValue},
};
use crate::{
    clock::Clock,
    metrics::CacheResult,
    store::{self, Shard},
    users::SessionState,
};

/// The longest wait for a read while a stale value can be served instead.
const STALE_READ_TIMEOUT: Duration = Duration::from_millis(500);

/// The answer to a look-up, by its origin. `None` inside: there is no such record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServedValue<T> {
    /// The cache, within the consistency bound.
    Hit(Option<T>),
    /// The store.
    Read(Option<T>),
    /// The cache in an outage, within the grace period.
    Stale(Option<T>),
}

/// The parameters of a look-up in one shard.
pub(super) struct ServingPolicy<'a> {
    /// Records failed reads of the shard.
    pub cache: &'a Cache,
    pub clock: &'a dyn Clock,
    /// The grace period.
    pub grace: Duration,
    pub shard: Shard,
}

impl ServingPolicy<'_> {
    /// Serves a cached value within the consistency bound. Otherwise reads the store; if that fails, serves the cached
    /// value within the grace period.
    ///
    /// `state` returns the state of a cached value: an idle value is always read again, and only a live value is served stale.
    pub(super) async fn serve<T>(
        &self,
        cached: Option<CachedValue<T>>,
        state: impl Fn(&T) -> SessionState,
        read: impl Future<Output = Result<Option<T>, LookupError>>,
    ) -> Result<ServedValue<T>, LookupError> {
        let state = |cached: &CachedValue<T>| cached.value.as_ref().map_or(SessionState::Live, &state);
        let cached = match cached {
            Some(cached) if self.age(&cached) <= CONSISTENCY_BOUND => match state(&cached) {
                SessionState::Live | SessionState::Ended => return Ok(ServedValue::Hit(cached.value)),
                // Another pod may have recorded a later use.
                SessionState::Idle => None,
            },
            cached => cached,
        };
        let Some(cached) = cached else { return read.await.map(ServedValue::Read) };
        let is_servable = || self.age(&cached) <= self.grace && state(&cached) == SessionState::Live;
        let mut failure = None;
        if !self.has_failed_recently() {
            let answer = if is_servable() { self.read_in_time(read).await } else { read.await };
            match answer {
                Ok(value) => return Ok(ServedValue::Read(value)),
                Err(error) if is_answer(&error) => return Err(error),
                Err(error) => failure = Some(error),
            }
        }
        match is_servable() {
            true => Ok(ServedValue::Stale(cached.value)),
            false => Err(failure.unwrap_or_else(LookupError::failed_recently)),
        }
    }

    /// Waits for a read for a limited time. The read itself goes on.
    async fn read_in_time<T>(&self, read: impl Future<Output = Result<T, LookupError>>) -> Result<T, LookupError> {
        tokio::time::timeout(STALE_READ_TIMEOUT, read).await.unwrap_or_else(|_| {
            self.cache.record_failure(self.shard, self.clock.monotonic());
            Err(LookupError::TooSlow)
        })
    }

    fn has_failed_recently(&self) -> bool {
        self.cache.has_failed_recently(self.shard, self.clock.monotonic())
    }

    fn age<T>(&self, cached: &CachedValue<T>) -> Duration {
        self.clock.monotonic().saturating_duration_since(cached.confirmed)
    }
}

impl<T> ServedValue<T> {
    /// The metric's value; a read is counted when it begins, since several look-ups share it.
    pub(super) fn cache_result(&self) -> Option<CacheResult> {
        match self {
            Self::Hit(_) => Some(CacheResult::Hit),
            Self::Read(_) => None,
            Self::Stale(_) => Some(CacheResult::Stale),
        }
    }

    pub(super) fn into_value(self) -> Option<T> {
        let (Self::Hit(value) | Self::Read(value) | Self::Stale(value)) = self;
        value
    }
}

/// A record that cannot be read is an answer of the store: it ends stale serving.
fn is_answer(error: &LookupError) -> bool {
    matches!(error, LookupError::Store(store::Error::Unreadable { .. }))
}

#[cfg(test)]
mod tests;
