//! Derived keys and their ancestors: a derived key ends with each of its ancestors, and with a rotation of one of them.

use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{ApiKey, KeyId, Keys, KeysError, Restrictions};
use crate::store::{Change, Shard, StoredRecord};

/// The generation of a key's derived keys, named by the time at which it began. A derived key carries the generation of each
/// ancestor, and has ended if an ancestor's generation is later.
///
/// Pods of an earlier version drop this field when they write a record. A missing generation is the earliest one, so that keys
/// that they derive stay valid until the next rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DerivationGeneration(Option<Timestamp>);

/// An ancestor of a derived key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ancestor {
    pub id: KeyId,
    /// The generation of the ancestor's derived keys at the derivation.
    generation: DerivationGeneration,
}

impl DerivationGeneration {
    pub(super) fn is_first(&self) -> bool {
        self.0.is_none()
    }

    /// Returns a generation that is later than this one, also if the clock of another pod is ahead.
    pub(super) fn next(self, now: Timestamp) -> Self {
        let after = self.0.and_then(|began| began.checked_add(SignedDuration::from_millis(1)).ok());
        Self(Some(after.map_or(now, |after| after.max(now))))
    }
}

impl Ancestor {
    /// True if a rotation of this ancestor has ended the derived key.
    pub fn has_ended_derived_key(&self, ancestor: &ApiKey) -> bool {
        ancestor.derivation > self.generation
    }
}

impl ApiKey {
    /// Returns the ancestors, the oldest first.
    pub fn ancestors(&self) -> impl Iterator<Item = Ancestor> {
        let generations = self.ancestor_derivations.iter().copied().chain(std::iter::repeat(DerivationGeneration::default()));
        self.ancestors.iter().zip(generations).map(|(id, generation)| Ancestor { id: *id, generation })
    }

    pub fn parent(&self) -> Option<KeyId> {
        self.ancestors.last().copied()
    }

    /// Returns the ancestors of a key that is derived from this one.
    pub(super) fn with_ancestors(&self) -> Vec<Ancestor> {
        self.ancestors().chain([Ancestor { id: self.id, generation: self.derivation }]).collect()
    }

    /// Adds the restrictions of the ancestors that the record does not have a copy of.
    pub fn inherit<'a>(&mut self, ancestors: impl IntoIterator<Item = &'a Self>) {
        for restrictions in ancestors.into_iter().flat_map(|ancestor| &ancestor.restrictions) {
            if !self.restrictions.contains(restrictions) {
                self.restrictions.push(restrictions.clone());
            }
        }
    }

    pub(super) fn set_ancestors(&mut self, ancestors: &[Ancestor]) {
        self.ancestors = ancestors.iter().map(|ancestor| ancestor.id).collect();
        self.ancestor_derivations = ancestors.iter().map(|ancestor| ancestor.generation).collect();
    }
}

/// The ancestors of a key that is created or restricted, as they are in the store.
#[derive(Default)]
pub(super) struct Lineage(Vec<StoredRecord<ApiKey>>);

impl Lineage {
    pub(super) fn keys(&self) -> impl Iterator<Item = &ApiKey> {
        self.0.iter().map(|stored| &stored.value)
    }

    pub(super) fn restrictions(&self) -> impl Iterator<Item = &Restrictions> {
        self.keys().flat_map(|key| &key.restrictions)
    }

    /// Adds the precondition that no ancestor has changed. A record in another shard cannot be one, but each use of the key
    /// looks it up.
    pub(super) fn add_to<'a>(&self, change: Change<'a>, shard: Shard) -> Change<'a> {
        let in_shard = self.0.iter().filter(|stored| stored.value.id.shard() == shard);
        in_shard.fold(change, |change, stored| change.expect_version(&ApiKey::key(stored.value.id), stored.version))
    }
}

impl Keys {
    /// Reads ancestors. Fails if one of them has ended, or has been rotated and has ended its derived keys.
    pub(super) async fn read_lineage(&self, ancestors: &[Ancestor]) -> Result<Lineage, KeysError> {
        let read = try_join_all(ancestors.iter().map(|ancestor| self.get(ancestor.id))).await?;
        let is_live = |(ancestor, stored): (&Ancestor, Option<StoredRecord<ApiKey>>)| {
            stored.filter(|stored| !ancestor.has_ended_derived_key(&stored.value)).ok_or(KeysError::Ended)
        };
        Ok(Lineage(ancestors.iter().zip(read).map(is_live).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_generation_is_later_than_the_one_before_also_with_a_late_clock() {
        let now = Timestamp::UNIX_EPOCH + Duration::from_secs(1000);
        let first = DerivationGeneration::default().next(now);
        assert!(first > DerivationGeneration::default());
        for clock in [now - Duration::from_secs(90), now, now + Duration::from_secs(1)] {
            assert!(first.next(clock) > first, "{clock}");
        }
    }
}
