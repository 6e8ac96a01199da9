//! Random choices from a printed seed, so that a failure can be reproduced.

use std::fmt;
use std::sync::Mutex;

pub struct SeededRandom {
    seed: u64,
    state: Mutex<u64>,
}

impl SeededRandom {
    /// A new seed for each run.
    pub fn new() -> Self {
        use std::hash::{BuildHasher, RandomState};
        let seed = RandomState::new().hash_one("tests");
        Self { seed, state: Mutex::new(seed) }
    }

    pub fn pick<'a, T>(&self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// An item for which `taken` does not hold; there must be one.
    pub fn pick_other<'a, T>(&self, items: &'a [T], taken: impl Fn(&T) -> bool) -> &'a T {
        let others: Vec<&T> = items.iter().filter(|item| !taken(item)).collect();
        others[self.below(others.len())]
    }

    pub fn shuffle<T>(&self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// A number smaller than the limit (SplitMix64).
    fn below(&self, limit: usize) -> usize {
        let mut state = self.state.lock().unwrap_or_else(|broken| broken.into_inner());
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let mixed = mixed ^ (mixed >> 31);
        usize::try_from(mixed % limit as u64).expect("smaller than the limit, which is a usize")
    }
}

impl fmt::Debug for SeededRandom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {:#x}", self.seed)
    }
}
