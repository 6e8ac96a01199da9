//! Lists and counts a user's keys by their index, and finds index entries to remove.
//!
//! Records expire by themselves, and a derived key ends with its ancestors. The index entries of both are removed when the
//! index is next read.

use std::collections::{HashMap, HashSet};

use futures::future::{join_all, try_join_all};
use jiff::Timestamp;

use super::{
    Ancestor, ApiKey, KeyId, KeysError,
    record::{index_of, index_of_application},
};
use crate::store::{self, Change, Index, Records, StoredRecord};

/// The number of records that are read at once.
const BATCH: usize = 100;

/// A page of a user's keys.
#[derive(Debug)]
pub struct KeyPage {
    pub keys: Vec<ApiKey>,
    /// The last key of the page, to list the next page after. `None` if this page is the last.
    pub next: Option<KeyId>,
}

/// An index of a user's keys at a point in time.
pub(super) struct KeyIndex<'a> {
    records: &'a Records,
    user: &'a str,
    index: Index,
    now: Timestamp,
}

/// Members to remove from an index, and keys to remove with them.
pub(super) struct IndexCleanup {
    index: Index,
    /// Members without a record.
    missing: Vec<String>,
    /// Derived keys that have ended with one of their ancestors, or keys to revoke.
    keys: Vec<ApiKey>,
}

impl<'a> KeyIndex<'a> {
    pub(super) fn new(records: &'a Records, user: &'a str, now: Timestamp) -> Self {
        Self { records, user, index: index_of(user), now }
    }

    /// The user's keys for one application.
    pub(super) fn of_application(records: &'a Records, user: &'a str, application: &str, now: Timestamp) -> Self {
        Self { records, user, index: index_of_application(user, application), now }
    }

    pub(super) async fn page(
        &self,
        after: Option<KeyId>,
        limit: usize,
        visible: impl Fn(&ApiKey) -> bool,
    ) -> Result<KeyPage, store::Error> {
        let (mut keys, mut dead) = (Vec::new(), IndexCleanup::of(&self.index));
        let mut after = after.map(|id| id.to_string());
        while keys.len() <= limit {
            let ids = self.list_ids(after.as_deref(), BATCH.min(limit + 1)).await?;
            let Some(last) = ids.last().cloned() else { break };
            keys.extend(self.read_live(ids, &mut dead).await?.into_iter().filter(&visible));
            after = Some(last);
        }
        self.remove(dead).await;
        let more = keys.len() > limit;
        keys.truncate(limit);
        let next = keys.last().filter(|_| more).map(|key| key.id);
        Ok(KeyPage { keys, next })
    }

    /// Returns the dead index entries. Fails if `most` or more keys are alive.
    pub(super) async fn require_room(&self, most: usize) -> Result<IndexCleanup, KeysError> {
        let mut dead = IndexCleanup::of(&self.index);
        if self.list_ids(None, most).await?.len() < most {
            return Ok(dead);
        }
        let (mut living, mut after) = (0, None);
        while living < most {
            let ids = self.list_ids(after.as_deref(), BATCH).await?;
            let Some(last) = ids.last().cloned() else { return Ok(dead) };
            living += self.read_live(ids, &mut dead).await?.len();
            after = Some(last);
        }
        Err(KeysError::Full)
    }

    /// Returns the oldest keys that must be revoked to leave fewer than `most` counted keys, and the dead index entries. Only
    /// keys that satisfy `counts` are counted, and only those that satisfy `can_revoke` are revoked.
    pub(super) async fn find_excess(
        &self,
        most: usize,
        counts: impl Fn(&ApiKey) -> bool,
        can_revoke: impl Fn(&ApiKey) -> bool,
    ) -> Result<(Vec<ApiKey>, IndexCleanup), KeysError> {
        let (mut dead, mut counted, mut after) = (IndexCleanup::of(&self.index), Vec::new(), None);
        loop {
            let ids = self.list_ids(after.as_deref(), BATCH).await?;
            let Some(last) = ids.last().cloned() else { break };
            counted.extend(self.read_live(ids, &mut dead).await?.into_iter().filter(&counts));
            after = Some(last);
        }
        let excess_count = (counted.len() + 1).saturating_sub(most);
        let excess: Vec<ApiKey> = counted.into_iter().filter(can_revoke).take(excess_count).collect();
        if excess.len() < excess_count { Err(KeysError::Full) } else { Ok((excess, dead)) }
    }

    async fn list_ids(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, store::Error> {
        self.records.store().list(&self.index, after, limit).await
    }

    /// Returns the live keys of these ids with the restrictions of their ancestors, and adds the dead ones to `dead`.
    async fn read_live(&self, ids: Vec<String>, dead: &mut IndexCleanup) -> Result<Vec<ApiKey>, store::Error> {
        let reads = ids.into_iter().map(async |id| match KeyId::parse(&id).map(ApiKey::key) {
            Some(key) => (id, self.records.get::<ApiKey>(&key).await),
            None => (id, Ok(None)),
        });
        let (mut found, mut ancestors) = (Vec::new(), HashSet::new());
        for (id, read) in join_all(reads).await {
            match read? {
                None => dead.missing.push(id),
                // An index is not encrypted, so this entry was added by someone who can write to the store.
                Some(StoredRecord { value, .. }) if value.user != self.user => dead.missing.push(id),
                // The store removes the record. This pod's clock may be wrong.
                Some(StoredRecord { value, .. }) if value.has_expired(self.now) => {}
                Some(StoredRecord { value, .. }) => {
                    ancestors.extend(value.ancestors().map(|ancestor| ancestor.id));
                    found.push(value);
                }
            }
        }
        let alive = self.find_live(ancestors).await?;
        let is_live = |ancestor: Ancestor| alive[&ancestor.id].as_ref().is_some_and(|key| !ancestor.has_ended_derived_key(key));
        let (mut living, orphans): (Vec<_>, Vec<_>) = found.into_iter().partition(|key: &ApiKey| key.ancestors().all(is_live));
        dead.keys.extend(orphans);
        for key in &mut living {
            let ids: Vec<_> = key.ancestors().map(|ancestor| ancestor.id).collect();
            key.inherit(ids.iter().filter_map(|id| alive[id].as_ref()));
        }
        Ok(living)
    }

    async fn find_live(&self, ids: HashSet<KeyId>) -> Result<HashMap<KeyId, Option<ApiKey>>, store::Error> {
        let reads = ids.into_iter().map(async |id| {
            let found = self.records.get::<ApiKey>(&ApiKey::key(id)).await?;
            Ok::<_, store::Error>((id, found.map(|stored| stored.value)))
        });
        Ok(try_join_all(reads).await?.into_iter().collect())
    }

    /// Removes the dead index entries. After a failure the next reader finds them again.
    async fn remove(&self, dead: IndexCleanup) {
        if dead.is_empty() {
            return;
        }
        let change = self.records.change(self.index.shard);
        if let Err(error) = dead.remove_from(change).commit().await {
            tracing::debug!(%error, "ended keys not removed from index");
        }
    }
}

impl IndexCleanup {
    fn of(index: &Index) -> Self {
        Self { index: index.clone(), missing: Vec::new(), keys: Vec::new() }
    }

    /// Revokes live keys.
    pub(super) fn of_keys(user: &str, keys: Vec<ApiKey>) -> Self {
        Self { index: index_of(user), missing: Vec::new(), keys }
    }

    fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.keys.is_empty()
    }

    /// Ids are never used again, so the commit needs no preconditions.
    pub(super) fn remove_from(self, change: Change<'_>) -> Change<'_> {
        let change = self.missing.iter().fold(change, |change, id| change.index_remove(&self.index, id));
        self.keys.iter().fold(change, |change, key| key.remove_from(change))
    }
}
