//! What keeps the cache proven: notices from the bus, and a round of comparing each second; and what a key
//! opened that is gone from the ring.

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
    chain::{Compared, Heard},
};
use crate::{
    metrics::{FlushReason, NoticeOutcome},
    store::{Notice, Sequence, Shard},
};

const ROUND: Duration = Duration::from_secs(1);

/// Applies notices for as long as the store lives.
pub(super) async fn listen(inner: Arc<Inner>, mut notices: Receiver<Notice>) {
    loop {
        match notices.recv().await {
            Ok(notice) => inner.hear(&notice),
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "notices came faster than they were read; the cache is emptied");
                inner.lose_everything();
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// Drops everything when a key is taken out of the ring: what it opened, and the handles that it signed,
/// count no longer.
pub(super) async fn mind_the_key_ring(inner: Arc<Inner>, mut removals: watch::Receiver<u64>) {
    while removals.changed().await.is_ok() {
        tracing::info!("a key is gone from the key ring; the cache is emptied");
        inner.forget_everything();
    }
}

/// Compares every shard's sequence with what the notices have led to.
pub(super) async fn compare_each_second(inner: Arc<Inner>) {
    inner.records.store().ready().await;
    let mut ticks = interval(ROUND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut outage = Outage::default();
    loop {
        ticks.tick().await;
        outage.note(inner.round().await);
    }
}

/// How many shards answered in a round.
struct Answered {
    shards: usize,
}

/// Says once that the store is away, and once that it is back.
#[derive(Default)]
struct Outage {
    missing: usize,
}

impl Outage {
    fn note(&mut self, answered: Answered) {
        let missing = usize::from(Shard::COUNT) - answered.shards;
        if missing > 0 && self.missing == 0 {
            tracing::error!(missing, "the store does not answer for some shards; known sessions are served within the grace");
        } else if missing == 0 && self.missing > 0 {
            tracing::info!("the store answers again for all shards");
        }
        self.missing = missing;
    }
}

impl Inner {
    pub(super) fn hear(&self, notice: &Notice) {
        // What nobody of us sealed is not believed. If it was ours after all, the chain shows the gap.
        let Ok(stale) = self.records.open_notice(notice) else {
            self.metrics.notice(NoticeOutcome::Unreadable);
            return;
        };
        let heard = self.cache.with_chain(notice.shard, |chain, shard| {
            let heard = chain.hear(notice);
            match heard {
                Heard::Copy => {}
                Heard::Gap => shard.flush(),
                Heard::Next { proven } => {
                    shard.invalidate(&stale);
                    if let Some(since) = proven {
                        shard.prove(since);
                    }
                }
            }
            heard
        });
        self.metrics.notice(match heard {
            Heard::Copy => NoticeOutcome::Copy,
            Heard::Gap => NoticeOutcome::Gap,
            Heard::Next { .. } => NoticeOutcome::Applied,
        });
        if heard == Heard::Gap {
            self.metrics.cache_flush(FlushReason::Gap);
        }
    }

    async fn round(&self) -> Answered {
        let before: Vec<Option<Sequence>> =
            Shard::all().map(|shard| self.cache.with_chain(shard, |chain, _| chain.end())).collect();
        let began = self.clock.monotonic();
        let shown = self.records.store().sequences().await;
        let mut deaf = false;
        let mut answered = Answered { shards: 0 };
        for ((shard, before), shown) in Shard::all().zip(before).zip(shown) {
            let Ok(shown) = shown else { continue };
            answered.shards += 1;
            deaf |= self.compare(shard, before, shown, began);
        }
        if deaf {
            tracing::warn!("notices stay away; subscribing again");
            self.records.store().resubscribe();
        }
        answered
    }

    /// Tells whether the shard's notices stay away.
    fn compare(&self, shard: Shard, before: Option<Sequence>, shown: Sequence, began: std::time::Instant) -> bool {
        let (compared, deaf) = self.cache.with_chain(shard, |chain, view| {
            let compared = chain.compare(before, shown, began);
            match compared {
                Compared::Waiting => {}
                Compared::Proven => view.prove(began),
                Compared::Flush(_) => {
                    view.flush();
                    view.prove(began);
                }
            }
            (compared, chain.is_deaf())
        });
        // The first round of a shard finds nothing to flush.
        if let (Compared::Flush(reason), Some(_)) = (compared, before) {
            self.metrics.cache_flush(reason);
        }
        deaf
    }

    /// What was heard of the shards still holds.
    fn forget_everything(&self) {
        for shard in Shard::all() {
            self.cache.with_chain(shard, |chain, view| {
                chain.outdate();
                view.flush();
            });
        }
        self.metrics.cache_flush(FlushReason::KeyRing);
    }

    fn lose_everything(&self) {
        for shard in Shard::all() {
            self.cache.with_chain(shard, |chain, view| {
                chain.lose();
                view.flush();
            });
        }
        self.metrics.cache_flush(FlushReason::Lagged);
    }
}
