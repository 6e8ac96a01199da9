//! Tasks that keep the cache consistent: apply invalidation messages, check consistency, and flush after a key removal.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{
        broadcast::{Receiver, error::RecvError},
        watch,
    },
    time::{MissedTickBehavior, interval},
};

use super::{
    Inner,
    chain::{CheckResult, MessageEffect},
};
use crate::{
    metrics::{FlushReason, InvalidationOutcome},
    store::{InvalidationMessage, Sequence, Shard},
};

const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Applies invalidation messages until the store is dropped.
pub(super) async fn apply_messages(inner: Arc<Inner>, mut messages: Receiver<InvalidationMessage>) {
    loop {
        match messages.recv().await {
            Ok(message) => inner.apply_message(&message),
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "invalidation messages missed; cache cleared");
                inner.reset_all_shards();
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// Flushes the cache when a key is removed from the key ring: records that it encrypted and tokens that it signed are no longer
/// valid.
pub(super) async fn flush_on_key_removal(inner: Arc<Inner>, mut removals: watch::Receiver<u64>) {
    while removals.changed().await.is_ok() {
        tracing::info!("decryption key removed; cache cleared");
        inner.flush_all_shards();
    }
}

/// Checks the consistency of every shard once per second.
pub(super) async fn run_consistency_checks(inner: Arc<Inner>) {
    inner.records.store().ready().await;
    let mut ticks = interval(CHECK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut outage = Outage::default();
    loop {
        ticks.tick().await;
        outage.update(inner.check_consistency().await);
    }
}

/// The number of shards that answered in a consistency check.
struct CheckSummary {
    answered_shards: usize,
}

/// Logs the beginning and the end of an outage of the store.
#[derive(Default)]
struct Outage {
    missing: usize,
}

impl Outage {
    fn update(&mut self, summary: CheckSummary) {
        let missing = usize::from(Shard::COUNT) - summary.answered_shards;
        if missing > 0 && self.missing == 0 {
            tracing::error!(shards = missing, "store not responding; serving cached principals for the grace period");
        } else if missing == 0 && self.missing > 0 {
            tracing::info!("store responding again");
        }
        self.missing = missing;
    }
}

impl Inner {
    pub(super) fn apply_message(&self, message: &InvalidationMessage) {
        // A message that cannot be decrypted is ignored. If a pod of this deployment sent it, the chain shows the gap.
        let Ok(stale) = self.records.decrypt_invalidation_message(message) else {
            self.metrics.invalidation_message(InvalidationOutcome::Unreadable);
            return;
        };
        let effect = self.cache.with_chain(message.shard, |chain, shard| {
            let effect = chain.apply_message(message);
            match effect {
                MessageEffect::Duplicate => {}
                MessageEffect::Gap => shard.flush(),
                MessageEffect::Apply { consistent_at } => {
                    shard.invalidate(&stale);
                    if let Some(since) = consistent_at {
                        shard.confirm(since);
                    }
                }
            }
            effect
        });
        self.metrics.invalidation_message(match effect {
            MessageEffect::Duplicate => InvalidationOutcome::Copy,
            MessageEffect::Gap => InvalidationOutcome::Gap,
            MessageEffect::Apply { .. } => InvalidationOutcome::Applied,
        });
        if effect == MessageEffect::Gap {
            self.metrics.cache_flush(FlushReason::Gap);
        }
    }

    async fn check_consistency(&self) -> CheckSummary {
        let before: Vec<Option<Sequence>> =
            Shard::all().map(|shard| self.cache.with_chain(shard, |chain, _| chain.end())).collect();
        let began = self.clock.monotonic();
        let sequences = self.records.store().sequences().await;
        let mut is_missing_messages = false;
        let mut summary = CheckSummary { answered_shards: 0 };
        for ((shard, before), stored) in Shard::all().zip(before).zip(sequences) {
            let Ok(stored) = stored else { continue };
            summary.answered_shards += 1;
            is_missing_messages |= self.check_shard(shard, before, stored, began);
        }
        if is_missing_messages {
            tracing::warn!("invalidation channel silent; subscribing again");
            self.records.store().resubscribe();
        }
        summary
    }

    /// Checks one shard. Returns true if its messages are missing.
    fn check_shard(&self, shard: Shard, before: Option<Sequence>, stored: Sequence, began: std::time::Instant) -> bool {
        let (result, is_missing_messages) = self.cache.with_chain(shard, |chain, view| {
            let result = chain.check(before, stored, began);
            match result {
                CheckResult::Waiting => {}
                CheckResult::Consistent => view.confirm(began),
                CheckResult::Flush(_) => {
                    view.flush();
                    view.confirm(began);
                }
            }
            (result, chain.is_missing_messages())
        });
        // At the first check of a shard there is nothing to flush.
        if let (CheckResult::Flush(reason), Some(_)) = (result, before) {
            self.metrics.cache_flush(reason);
        }
        is_missing_messages
    }

    /// Flushes all shards. Their chains stay valid.
    fn flush_all_shards(&self) {
        for shard in Shard::all() {
            self.cache.with_chain(shard, |chain, view| {
                chain.invalidate_reads();
                view.flush();
            });
        }
        self.metrics.cache_flush(FlushReason::KeyRing);
    }

    /// Flushes all shards and restarts their chains, after messages were dropped.
    fn reset_all_shards(&self) {
        for shard in Shard::all() {
            self.cache.with_chain(shard, |chain, view| {
                chain.reset();
                view.flush();
            });
        }
        self.metrics.cache_flush(FlushReason::Lagged);
    }
}
