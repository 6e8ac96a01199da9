//! By which all of somebody's sessions, or keys, end at once.

use serde::{Deserialize, Serialize};

use crate::secret::random_bytes;

/// What was made in another epoch than its owner's has ended. A random number, so that whoever is made anew under an old
/// name has nothing of what was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(u64);

impl Epoch {
    pub fn begin() -> Self {
        Self(u64::from_be_bytes(random_bytes()))
    }
}
