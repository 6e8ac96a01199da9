//! Derived keys and their ancestors: a derived key ends with each of its ancestors, and with a regeneration of one of them.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{ApiKey, KeyId};

/// The generation of a key's derived keys, named by the time at which it began. A derived key carries the generation of each
/// ancestor, and has ended if an ancestor's generation is later.
///
/// Pods of an earlier version drop this field when they write a record. A missing generation is the earliest one, so that keys
/// that they derive stay valid until the next regeneration.
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
    /// True if a regeneration of this ancestor has ended the derived key.
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

    pub(super) fn set_ancestors(&mut self, ancestors: &[Ancestor]) {
        self.ancestors = ancestors.iter().map(|ancestor| ancestor.id).collect();
        self.ancestor_derivations = ancestors.iter().map(|ancestor| ancestor.generation).collect();
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
