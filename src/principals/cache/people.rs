//! What the cache knows of people without their sessions: which user an identity is, and the user.

use super::*;

/// Which user an (issuer, subject) is, if any.
pub(in crate::principals) struct CachedIdentity {
    user: Option<Arc<str>>,
    shard: Shard,
    generation: u64,
    read: Instant,
}

/// What is remembered, and when it was last known to be what the store holds.
pub(in crate::principals) struct Remembered<T> {
    pub value: T,
    pub proven: Instant,
}

impl Cache {
    pub(in crate::principals) fn find_identity(&self, digest: &Digest) -> Option<Remembered<Option<Arc<str>>>> {
        let found = self.maps.identities.get(digest).filter(|found| found.generation == self.generation(found.shard))?;
        Some(Remembered { value: found.user.clone(), proven: self.proven_since(found.shard, found.read) })
    }

    pub(in crate::principals) fn find_user(&self, id: &str, shard: Shard) -> Option<Remembered<Arc<CachedUser>>> {
        let found = self.maps.users.get(id).filter(|found| found.generation == self.generation(shard))?;
        let proven = self.proven_since(shard, found.read);
        Some(Remembered { value: found, proven })
    }
}

impl Maps {
    pub(in crate::principals) fn insert_identity(&self, digest: Digest, identity: CachedIdentity) {
        self.identities.insert(digest, Arc::new(identity));
    }

    pub(in crate::principals) fn insert_user(&self, user: &Arc<CachedUser>) {
        self.users.insert(user.id.clone(), Arc::clone(user));
    }
}

impl CachedIdentity {
    pub(in crate::principals) fn new(user: Option<Arc<str>>, shard: Shard, generation: u64, read: Instant) -> Self {
        Self { user, shard, generation, read }
    }
}
