//! A person's keys one after another: pages of them, how many there are, and what is dead among them.
//!
//! Records expire by themselves, and a key dies with the one that made it. The index learns of either
//! when somebody reads it.

use std::collections::{HashMap, HashSet};

use futures::future::{join_all, try_join_all};
use jiff::Timestamp;

use super::{
    Key, KeyId, KeysError,
    record::{index_of, index_of_application},
};
use crate::store::{self, Change, Index, Records, StoredRecord};

/// Records that are read at once.
const BATCH: usize = 100;

/// Some of a person's keys, and where the next ones begin.
#[derive(Debug)]
pub struct Page {
    pub keys: Vec<Key>,
    /// `None` at the end.
    pub next: Option<KeyId>,
}

/// An index of one person's keys, as of a moment.
pub(super) struct Roll<'a> {
    records: &'a Records,
    user: &'a str,
    index: Index,
    now: Timestamp,
}

/// What is to be taken out of an index.
pub(super) struct Dead {
    index: Index,
    /// Members without a record.
    gone: Vec<String>,
    /// Keys whose maker is gone.
    orphans: Vec<Key>,
}

impl<'a> Roll<'a> {
    pub(super) fn new(records: &'a Records, user: &'a str, now: Timestamp) -> Self {
        Self { records, user, index: index_of(user), now }
    }

    /// The keys that the person has given to one application.
    pub(super) fn of_application(records: &'a Records, user: &'a str, application: &str, now: Timestamp) -> Self {
        Self { records, user, index: index_of_application(user, application), now }
    }

    pub(super) async fn page(
        &self,
        after: Option<KeyId>,
        limit: usize,
        visible: impl Fn(&Key) -> bool,
    ) -> Result<Page, KeysError> {
        let (mut keys, mut dead) = (Vec::new(), Dead::of(&self.index));
        let mut after = after.map(|id| id.to_string());
        while keys.len() <= limit {
            let ids = self.ids(after.as_deref(), BATCH.min(limit + 1)).await?;
            let Some(last) = ids.last().cloned() else { break };
            keys.extend(self.living(ids, &mut dead).await?.into_iter().filter(&visible));
            after = Some(last);
        }
        self.clean(dead).await;
        let more = keys.len() > limit;
        keys.truncate(limit);
        let next = keys.last().filter(|_| more).map(|key| key.id);
        Ok(Page { keys, next })
    }

    /// What has to go so that there are fewer than `most`; nothing while there are.
    pub(super) async fn make_room(&self, most: usize) -> Result<Dead, KeysError> {
        let mut dead = Dead::of(&self.index);
        if self.ids(None, most).await?.len() < most {
            return Ok(dead);
        }
        let (mut living, mut after) = (0, None);
        while living < most {
            let ids = self.ids(after.as_deref(), BATCH).await?;
            let Some(last) = ids.last().cloned() else { return Ok(dead) };
            living += self.living(ids, &mut dead).await?.len();
            after = Some(last);
        }
        Err(KeysError::Full)
    }

    /// The oldest keys of those that may go, as many as have to go so that fewer than `most` count; and what is dead besides.
    pub(super) async fn outgrown(
        &self,
        most: usize,
        counts: impl Fn(&Key) -> bool,
        may_go: impl Fn(&Key) -> bool,
    ) -> Result<(Vec<Key>, Dead), KeysError> {
        let (mut dead, mut counted, mut after) = (Dead::of(&self.index), Vec::new(), None);
        loop {
            let ids = self.ids(after.as_deref(), BATCH).await?;
            let Some(last) = ids.last().cloned() else { break };
            counted.extend(self.living(ids, &mut dead).await?.into_iter().filter(&counts));
            after = Some(last);
        }
        let too_many = (counted.len() + 1).saturating_sub(most);
        let outgrown: Vec<Key> = counted.into_iter().filter(may_go).take(too_many).collect();
        if outgrown.len() < too_many { Err(KeysError::Full) } else { Ok((outgrown, dead)) }
    }

    async fn ids(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, store::Error> {
        self.records.store().list(&self.index, after, limit).await
    }

    /// Reads keys; what is none any more is noted as dead.
    async fn living(&self, ids: Vec<String>, dead: &mut Dead) -> Result<Vec<Key>, store::Error> {
        let reads = ids.into_iter().map(async |id| match KeyId::parse(&id).map(Key::place) {
            Some(place) => (id, self.records.get::<Key>(&place).await),
            None => (id, Ok(None)),
        });
        let (mut found, mut ancestors) = (Vec::new(), HashSet::new());
        for (id, read) in join_all(reads).await {
            match read? {
                None => dead.gone.push(id),
                // An index is not sealed: somebody who can write in the store has put it there.
                Some(StoredRecord { value, .. }) if value.user != self.user => dead.gone.push(id),
                // Its record goes when the store says so: our clock may be wrong.
                Some(StoredRecord { value, .. }) if value.has_expired(self.now) => {}
                Some(StoredRecord { value, .. }) => {
                    ancestors.extend(value.ancestors.iter().copied());
                    found.push(value);
                }
            }
        }
        let alive = self.alive(ancestors).await?;
        let (living, orphans) = found.into_iter().partition(|key: &Key| key.ancestors.iter().all(|id| alive[id]));
        dead.orphans.extend::<Vec<_>>(orphans);
        Ok(living)
    }

    async fn alive(&self, ids: HashSet<KeyId>) -> Result<HashMap<KeyId, bool>, store::Error> {
        let reads = ids.into_iter().map(async |id| {
            let found = self.records.get::<Key>(&Key::place(id)).await?;
            Ok::<_, store::Error>((id, found.is_some()))
        });
        Ok(try_join_all(reads).await?.into_iter().collect())
    }

    /// Whoever reads next finds the dead again, if they can't be taken out now.
    async fn clean(&self, dead: Dead) {
        if dead.is_empty() {
            return;
        }
        let change = self.records.change(self.index.shard);
        if let Err(error) = dead.remove_from(change).commit().await {
            tracing::debug!(%error, "ended keys not removed from index");
        }
    }
}

impl Dead {
    fn of(index: &Index) -> Self {
        Self { index: index.clone(), gone: Vec::new(), orphans: Vec::new() }
    }

    /// Living ones that are to end.
    pub(super) fn of_keys(user: &str, keys: Vec<Key>) -> Self {
        Self { index: index_of(user), gone: Vec::new(), orphans: keys }
    }

    fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.orphans.is_empty()
    }

    /// Ids are never used again, so that nothing has to be expected.
    pub(super) fn remove_from(self, change: Change<'_>) -> Change<'_> {
        let change = self.gone.iter().fold(change, |change, id| change.index_remove(&self.index, id));
        self.orphans.iter().fold(change, |change, key| key.remove_from(change))
    }
}
