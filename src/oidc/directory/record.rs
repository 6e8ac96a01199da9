//! The claims of the last look-up of each identity, which all pods share.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    principal::{Claims, IdentityClaims},
    secret::Digest,
    store::{self, Record, RecordKey, RecordKind, Records, Ttl},
};

pub(super) struct KnownClaims {
    records: Records,
    provider: String,
    directory: &'static str,
    max_age: Duration,
}

/// The result of a look-up.
#[derive(Serialize, Deserialize)]
pub(super) struct DirectoryRecord {
    /// The kind of the directory. Another one has other claims.
    directory: String,
    pub claims: Claims,
    pub fetched: Timestamp,
}

impl Record for DirectoryRecord {
    const KIND: RecordKind = RecordKind::DirectoryClaims;
}

impl KnownClaims {
    pub fn new(records: Records, provider: &str, directory: &'static str, max_age: Duration) -> Self {
        Self { records, provider: provider.to_owned(), directory, max_age }
    }

    /// Returns the result of the last look-up.
    pub async fn get(&self, identity: &IdentityClaims) -> Result<Option<DirectoryRecord>, store::Error> {
        let stored = self.records.get::<DirectoryRecord>(&self.key(identity)).await?;
        Ok(stored.map(|stored| stored.value).filter(|record| record.directory == self.directory))
    }

    /// A result that cannot be written is looked up again sooner than necessary.
    pub async fn put(&self, identity: &IdentityClaims, claims: &Claims, now: Timestamp) {
        let key = self.key(identity);
        let record = DirectoryRecord { directory: self.directory.to_owned(), claims: claims.clone(), fetched: now };
        let change = self.records.unsequenced_change(key.shard).put(&key, &record, Ttl::For(self.max_age));
        if let Err(error) = change.commit().await {
            tracing::debug!(%error, provider = self.provider, "directory claims not written");
        }
    }

    fn key(&self, identity: &IdentityClaims) -> RecordKey {
        let digest = Digest::of_parts(&["directory", &self.provider, &identity.issuer, &identity.subject]);
        RecordKey::of_digest(RecordKind::DirectoryClaims, &digest)
    }
}
