//! Looks up users by issuer and subject, for tokens. A look-up has two steps, since the identity and its user may be in
//! different shards. An entry counts only if the user's record confirms it.

use std::sync::Arc;

use super::{
    Inner, Principals,
    cache::ReadStart,
    entry::CachedUser,
    lookup::{Lookup, LookupResult},
};
use crate::{
    metrics::LookupLabel,
    secret::Digest,
    store::{self, Shard},
    users::{self, Identity, SessionState},
};

impl Principals {
    /// Returns the user of the subject or claim with this digest; `None` if no user has signed in with it.
    pub async fn user_of_identity(&self, identity: Digest) -> LookupResult<Arc<CachedUser>> {
        match self.inner.find_identity(identity).await? {
            Some(user) => Ok(self.inner.find_user(user).await?.filter(|user| user.confirms(&identity))),
            None => Ok(None),
        }
    }
}

impl Inner {
    async fn find_identity(self: &Arc<Self>, digest: Digest) -> LookupResult<Arc<str>> {
        let lookup = Lookup { label: LookupLabel::User, shard: Shard::of(&digest), digest };
        let cached = self.cache.identity(lookup.shard, &digest);
        let read = move |inner: Arc<Self>, start| async move { inner.read_identity(digest, start).await };
        self.serve(lookup, cached, |_| SessionState::Live, &self.reads.identities, read).await
    }

    /// Returns the user of this id. Reads are shared by the user's id, since an identity can move to another user.
    async fn find_user(self: &Arc<Self>, id: Arc<str>) -> LookupResult<Arc<CachedUser>> {
        let digest = Digest::of(id.as_bytes());
        let lookup = Lookup { label: LookupLabel::User, shard: users::shard_of(&id), digest };
        let cached = self.cache.user(lookup.shard, &id);
        let read = move |inner: Arc<Self>, start| async move { inner.read_known_user(&id, start).await };
        self.serve(lookup, cached, |_| SessionState::Live, &self.reads.users, read).await
    }

    async fn read_identity(&self, digest: Digest, start: ReadStart) -> Result<Option<Arc<str>>, store::Error> {
        let found = self.records.get::<Identity>(&Identity::key(&digest)).await?;
        let user: Option<Arc<str>> = found.map(|found| found.value.user.into());
        self.cache.insert(start, |maps| maps.insert_identity(digest, user.clone(), start.time));
        Ok(user)
    }

    /// A user with an identity but without a record has never finished a sign-in, and is not cached.
    async fn read_known_user(&self, id: &str, start: ReadStart) -> Result<Option<Arc<CachedUser>>, store::Error> {
        let user = self.read_user(start.shard, id, start.time).await?;
        if let Some(user) = &user {
            self.cache.insert(start, |maps| maps.insert_user(user));
        }
        Ok(user)
    }
}

#[cfg(test)]
mod tests;
