//! Ids that contain the shard of their record.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Shard;
use crate::secret::random_bytes;

/// A UUIDv7 (RFC 9562) whose last byte is the shard of the record. Ids sort by age.
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

    /// Parses an id in its canonical form only. Other notations of a UUID are rejected.
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
