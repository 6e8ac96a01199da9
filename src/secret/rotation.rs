//! Rotates keys: the primary key is used once it has reached every pod; all keys stay valid.

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

/// A key with an id that stays the same across edits.
pub(super) trait RotationKey {
    fn id(&self) -> &[u8];
}

/// The current keys. They are replaced as a whole when their file changes.
pub(super) struct Rotation<K> {
    keys: ArcSwap<Vec<Arc<KeyEntry<K>>>>,
    /// A new primary key is not used for this long.
    used_after: Duration,
    clock: Arc<dyn Clock>,
}

/// A key with the time at which this process received it. `seen_in_use`: another pod has used it.
pub(super) struct KeyEntry<K> {
    key: K,
    since: Instant,
    seen_in_use: AtomicBool,
}

/// The effect of replacing the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replacement {
    KeysKept,
    KeysRemoved,
}

impl<K: RotationKey> Rotation<K> {
    /// `keys` must not be empty.
    pub fn new(keys: Vec<K>, used_after: Duration, clock: Arc<dyn Clock>) -> Self {
        let rotation = Self { keys: ArcSwap::from_pointee(Vec::new()), used_after, clock };
        rotation.replace(keys);
        rotation
    }

    /// Replaces the keys. Known keys keep their age.
    pub fn replace(&self, keys: Vec<K>) -> Replacement {
        let now = self.clock.monotonic();
        let old = self.keys.load();
        let held = keys.into_iter().map(|key| {
            let known = old.iter().find(|known| known.id() == key.id()).map(Arc::clone);
            known.unwrap_or_else(|| Arc::new(KeyEntry { key, since: now, seen_in_use: AtomicBool::new(false) }))
        });
        let held: Vec<_> = held.collect();
        let is_key_removed = old.iter().any(|known| held.iter().all(|key| key.id() != known.id()));
        self.keys.store(Arc::new(held));
        if is_key_removed { Replacement::KeysRemoved } else { Replacement::KeysKept }
    }

    /// Returns all keys in order, the primary key first.
    pub fn all(&self) -> Guard<Arc<Vec<Arc<KeyEntry<K>>>>> {
        self.keys.load()
    }

    /// Returns the primary key; while other pods may not have it yet, the second key.
    pub fn in_use(&self) -> Arc<KeyEntry<K>> {
        let keys = self.keys.load();
        let now = self.clock.monotonic();
        let is_distributed =
            |key: &&Arc<KeyEntry<K>>| key.seen_in_use.load(Ordering::Relaxed) || now.duration_since(key.since) >= self.used_after;
        let key = keys.first().filter(is_distributed).or_else(|| keys.get(1)).or_else(|| keys.first());
        Arc::clone(key.expect("`new` and `replace` receive at least one key"))
    }
}

impl<K> KeyEntry<K> {
    /// Records that another pod uses the key, which proves that every pod has it: this pod can use it too.
    pub fn record_use(&self) {
        if !self.seen_in_use.load(Ordering::Relaxed) {
            self.seen_in_use.store(true, Ordering::Relaxed);
        }
    }
}

impl<K> Deref for KeyEntry<K> {
    type Target = K;

    fn deref(&self) -> &K {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::manual::ManualClock;

    impl RotationKey for &str {
        fn id(&self) -> &[u8] {
            self.as_bytes()
        }
    }

    #[test]
    fn a_new_primary_key_waits_and_a_known_key_that_becomes_primary_does_not() {
        let clock = ManualClock::new();
        const USED_AFTER: Duration = Duration::from_secs(180);
        let keys = Rotation::new(vec!["a", "b"], USED_AFTER, Arc::new(clock.clone()));
        assert_eq!(**keys.in_use(), "b", "at start the primary key may be new");
        clock.advance(USED_AFTER);
        assert_eq!(**keys.in_use(), "a");
        assert_eq!(keys.replace(vec!["c", "a"]), Replacement::KeysRemoved);
        assert_eq!(**keys.in_use(), "a");
        assert_eq!(keys.replace(vec!["a", "c"]), Replacement::KeysKept);
        assert_eq!(**keys.in_use(), "a");
        clock.advance(USED_AFTER);
        keys.replace(vec!["c", "a"]);
        assert_eq!(**keys.in_use(), "c", "it was known long enough, although not as primary key");
        assert_eq!(keys.replace(vec!["d"]), Replacement::KeysRemoved);
        assert_eq!(**keys.in_use(), "d", "it is the only key");
        assert_eq!(keys.all().len(), 1);
        keys.replace(vec!["e", "d"]);
        assert_eq!(**keys.in_use(), "d");
        keys.all()[0].record_use();
        assert_eq!(**keys.in_use(), "e", "another pod uses it");
    }
}
