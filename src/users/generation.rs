//! Session and key generations, which end all sessions or keys of a user at once.

use serde::{Deserialize, Serialize};

use crate::secret::random_bytes;

/// A session or key has ended if its generation differs from its user's. The value is random, so that a user who is created
/// under the id of a deleted user does not get their sessions and keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(u64);

impl Generation {
    pub fn random() -> Self {
        Self(u64::from_be_bytes(random_bytes()))
    }
}
