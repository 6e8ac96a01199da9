//! `vestibule key-ring rewrap`: everything that older keys have sealed is sealed by the first one, beside the running processes.

use std::sync::Arc;

use anyhow::bail;
use futures::{StreamExt, stream};

use super::parts;
use crate::{
    clock::Clock,
    config::{self, Config},
    store::{self, Cursor, Key, Kind, Records, Resealed},
};

/// Records at once: enough to keep Redis busy, few enough for others to be served.
const AT_ONCE: usize = 16;

/// What was found, in records.
#[derive(Debug, Default)]
pub struct Rewrapped {
    pub anew: u64,
    /// The first key had sealed them.
    pub before: u64,
    /// Those that can't be opened or written, with the reason.
    pub failed: Vec<String>,
    /// Why not all were looked at.
    pub broke_off: Option<store::Error>,
}

/// Seals the store's records with the first key of the configured ring. It may be done again, and broken off.
pub async fn rewrap(config: &Config, clock: &Arc<dyn Clock>) -> anyhow::Result<Rewrapped> {
    if matches!(config.store, config::Store::Memory) {
        bail!("the store is memory, whose key ring ends with the process: there is nothing to seal anew");
    }
    let alone = parts::Alone::reach(config, clock).await?;
    let records = &alone.records;
    let mut done = Rewrapped::default();
    for kind in Kind::SEALED {
        let mut at = Some(Cursor::default());
        while let Some(cursor) = at {
            match records.store().scan(kind, cursor).await {
                Ok(page) => {
                    done.take(records, page.keys).await;
                    at = page.next;
                }
                Err(error) => return Ok(Rewrapped { broke_off: Some(error), ..done }),
            }
        }
    }
    Ok(done)
}

impl Rewrapped {
    async fn take(&mut self, records: &Records, keys: Vec<Key>) {
        let outcomes = stream::iter(keys).map(async |key| (records.reseal(&key).await, key)).buffer_unordered(AT_ONCE);
        let outcomes: Vec<(Result<Resealed, store::Error>, Key)> = outcomes.collect().await;
        for (outcome, key) in outcomes {
            match outcome {
                Ok(Resealed::Anew) => self.anew += 1,
                Ok(Resealed::Before) => self.before += 1,
                Ok(Resealed::Gone) => {}
                Err(error) => self.failed.push(format!("{}: {error}", key.name())),
            }
        }
    }
}
