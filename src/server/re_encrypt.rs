//! `vestibule key-ring re-encrypt`: re-encrypts stored records with the primary key, next to running processes.

use std::sync::Arc;

use anyhow::bail;
use futures::{StreamExt, stream};

use super::services;
use crate::{
    clock::Clock,
    config::{self, Config},
    store::{self, Cursor, RecordKey, RecordKind, Records, ReencryptionOutcome},
};

/// Records that are re-encrypted concurrently, few enough that Redis still serves other clients.
const CONCURRENCY: usize = 16;

/// The result, in numbers of records.
#[derive(Debug, Default)]
pub struct ReEncryptionReport {
    pub re_encrypted: u64,
    /// Records that were already encrypted with the primary key.
    pub unchanged: u64,
    /// Records that can't be decrypted or written, with the reason.
    pub failed: Vec<String>,
    /// The error that ended the command before all records were processed.
    pub aborted_by: Option<store::Error>,
}

/// Re-encrypts the store's records with the primary key of the configured ring. It can be repeated and interrupted.
pub async fn re_encrypt(config: &Config, clock: &Arc<dyn Clock>) -> anyhow::Result<ReEncryptionReport> {
    if matches!(config.store, config::StoreConfig::Memory) {
        bail!("the memory store has no stored records to re-encrypt");
    }
    let connection = services::StoreConnection::open(config, clock).await?;
    let records = &connection.records;
    let mut report = ReEncryptionReport::default();
    for kind in RecordKind::ENCRYPTED {
        let mut at = Some(Cursor::default());
        while let Some(cursor) = at {
            match records.store().scan(kind, cursor).await {
                Ok(page) => {
                    report.process(records, page.keys).await;
                    at = page.next;
                }
                Err(error) => return Ok(ReEncryptionReport { aborted_by: Some(error), ..report }),
            }
        }
    }
    Ok(report)
}

impl ReEncryptionReport {
    async fn process(&mut self, records: &Records, keys: Vec<RecordKey>) {
        let outcomes = stream::iter(keys).map(async |key| (records.reencrypt(&key).await, key)).buffer_unordered(CONCURRENCY);
        let outcomes: Vec<(Result<ReencryptionOutcome, store::Error>, RecordKey)> = outcomes.collect().await;
        for (outcome, key) in outcomes {
            match outcome {
                Ok(ReencryptionOutcome::Reencrypted) => self.re_encrypted += 1,
                Ok(ReencryptionOutcome::Unchanged) => self.unchanged += 1,
                Ok(ReencryptionOutcome::Gone) => {}
                Err(error) => self.failed.push(format!("{}: {error}", key.name())),
            }
        }
    }
}
