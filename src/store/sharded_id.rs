//! Public names of records that are found by their name alone.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Shard;
use crate::secret::random_bytes;

/// A UUIDv7 (RFC 9562), so that ids sort by age, whose last byte is the shard of what it names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardedId(Uuid);

impl ShardedId {
    pub fn new(shard: Shard, now: Timestamp) -> Self {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
        let mut random: [u8; 10] = random_bytes();
        random[9] = shard.number();
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// Reads an id as it is written here, and in no other way that a UUID may be.
    pub fn parse(text: &str) -> Option<Self> {
        let id = Self(Uuid::try_parse(text).ok()?);
        let last = id.0.as_bytes()[15];
        (last < Shard::COUNT && id.to_string() == text).then_some(id)
    }

    pub fn shard(self) -> Shard {
        Shard::new(self.0.as_bytes()[15] % Shard::COUNT).expect("a remainder is smaller than the divisor")
    }
}

impl fmt::Display for ShardedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for ShardedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
