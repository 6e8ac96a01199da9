//! Keys in their owner's order: the first is used once every pod has had the time to get it, all of them count.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::{ArcSwap, Guard};

use crate::clock::Clock;

/// A key that is known again after an edit.
pub(super) trait Identified {
    fn id(&self) -> &[u8];
}

/// The keys in force. They are replaced as a whole when their file changes.
pub(super) struct Rotation<K> {
    keys: ArcSwap<Vec<Arc<Held<K>>>>,
    /// How long a key that is new on top is not used yet.
    used_after: Duration,
    clock: Arc<dyn Clock>,
}

/// A key, when this process first had it, and whether another was seen to use it.
pub(super) struct Held<K> {
    key: K,
    since: Instant,
    seen_in_use: AtomicBool,
}

/// Whether an edit took a key away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edit {
    Kept,
    TookAway,
}

impl<K: Identified> Rotation<K> {
    /// `keys` are never empty: whoever reads them from a text refuses that.
    pub fn new(keys: Vec<K>, used_after: Duration, clock: Arc<dyn Clock>) -> Self {
        let rotation = Self { keys: ArcSwap::from_pointee(Vec::new()), used_after, clock };
        rotation.replace(keys);
        rotation
    }

    /// Puts edited keys in force. Those that were there keep their age.
    pub fn replace(&self, keys: Vec<K>) -> Edit {
        let now = self.clock.monotonic();
        let old = self.keys.load();
        let held = keys.into_iter().map(|key| {
            let known = old.iter().find(|known| known.id() == key.id()).map(Arc::clone);
            known.unwrap_or_else(|| Arc::new(Held { key, since: now, seen_in_use: AtomicBool::new(false) }))
        });
        let held: Vec<_> = held.collect();
        let took_away = old.iter().any(|known| held.iter().all(|key| key.id() != known.id()));
        self.keys.store(Arc::new(held));
        if took_away { Edit::TookAway } else { Edit::Kept }
    }

    /// All keys, in their order.
    pub fn all(&self) -> Guard<Arc<Vec<Arc<Held<K>>>>> {
        self.keys.load()
    }

    /// The first key, unless it is so new that other pods may not have it yet; then the one after it.
    pub fn in_use(&self) -> Arc<Held<K>> {
        let keys = self.keys.load();
        let now = self.clock.monotonic();
        let settled =
            |key: &&Arc<Held<K>>| key.seen_in_use.load(Ordering::Relaxed) || now.duration_since(key.since) >= self.used_after;
        let key = keys.first().filter(settled).or_else(|| keys.get(1)).or_else(|| keys.first());
        Arc::clone(key.expect("there is always a key: `new` and `replace` are given one at least"))
    }
}

impl<K> Held<K> {
    /// Somebody uses it, and did not before every pod had had the time to get it: nor need we wait any longer.
    pub fn note_use(&self) {
        if !self.seen_in_use.load(Ordering::Relaxed) {
            self.seen_in_use.store(true, Ordering::Relaxed);
        }
    }
}

impl<K> Deref for Held<K> {
    type Target = K;

    fn deref(&self) -> &K {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::manual::ManualClock;

    impl Identified for &str {
        fn id(&self) -> &[u8] {
            self.as_bytes()
        }
    }

    #[test]
    fn a_key_that_is_new_on_top_waits_and_one_that_moves_there_does_not() {
        let clock = ManualClock::new();
        const USED_AFTER: Duration = Duration::from_secs(180);
        let keys = Rotation::new(vec!["a", "b"], USED_AFTER, Arc::new(clock.clone()));
        assert_eq!(**keys.in_use(), "b", "at the start nobody knows whether the first is new");
        clock.advance(USED_AFTER);
        assert_eq!(**keys.in_use(), "a");
        assert_eq!(keys.replace(vec!["c", "a"]), Edit::TookAway);
        assert_eq!(**keys.in_use(), "a");
        assert_eq!(keys.replace(vec!["a", "c"]), Edit::Kept);
        assert_eq!(**keys.in_use(), "a");
        clock.advance(USED_AFTER);
        keys.replace(vec!["c", "a"]);
        assert_eq!(**keys.in_use(), "c", "it was held long enough, if not on top");
        assert_eq!(keys.replace(vec!["d"]), Edit::TookAway);
        assert_eq!(**keys.in_use(), "d", "there is no other");
        assert_eq!(keys.all().len(), 1);
        keys.replace(vec!["e", "d"]);
        assert_eq!(**keys.in_use(), "d");
        keys.all()[0].note_use();
        assert_eq!(**keys.in_use(), "e", "another uses it");
    }
}
