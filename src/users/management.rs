//! What administrators do with people: find them, disable and enable them, delete them.

use futures::future::join_all;

use super::{Identity, User, Users, record::INDEX, record::index_of_people, sessions};
use crate::{
    epoch::Generation,
    principal::IdentityClaims,
    session::Session,
    store::{self, Change, Edit, Ttl},
};

/// Some people in the order in which they came, and where the next ones begin.
#[derive(Debug)]
pub struct Page {
    pub people: Vec<User>,
    /// `None` at the end.
    pub next: Option<String>,
}

impl Users {
    /// People after `after`, in the order in which they were first seen.
    pub async fn people(&self, after: Option<&str>, limit: usize) -> Result<Page, store::Error> {
        let ids = self.records.list_everywhere(INDEX, after, limit + 1).await?;
        let next = (ids.len() > limit).then(|| ids[limit - 1].clone());
        let keys: Vec<_> = ids.iter().take(limit).map(|id| User::key(id)).collect();
        let read = join_all(keys.iter().map(|key| self.records.get::<User>(key))).await;
        let read = read.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(Page { people: read.into_iter().flatten().map(|stored| stored.value).collect(), next })
    }

    /// Whether there is anybody at all.
    pub async fn is_empty(&self) -> Result<bool, store::Error> {
        Ok(self.records.list_everywhere(INDEX, None, 1).await?.is_empty())
    }

    /// Disables or enables a person. Whatever they had ends with being disabled, and does not come back.
    pub async fn set_disabled(&self, user: &str, disabled: bool) -> Result<Option<User>, store::Error> {
        let key = User::key(user);
        let updated = self.records.update(&key, async |mut person: User, change| {
            person.disabled = disabled;
            if disabled {
                (person.session_generation, person.key_generation) = (Generation::random(), Generation::random());
            }
            Ok(Edit::Commit(change.put(&key, &person, Ttl::Forever).revoke_user(user), person))
        });
        updated.await
    }

    /// Deletes a person with what `with` adds from their shard. Nothing that is left of them anywhere counts any more, also
    /// where it can't be taken out now: whoever comes back under an identity of theirs is somebody new.
    pub async fn delete(
        &self,
        user: &str,
        with: impl for<'a> Fn(Change<'a>) -> Change<'a>,
    ) -> Result<Option<User>, store::Error> {
        let key = User::key(user);
        let deleted = self.records.update(&key, async |person: User, change| {
            let change = with(change.delete(&key)).index_remove(&index_of_people(key.shard), user).revoke_user(user);
            Ok::<_, store::Error>(Edit::Commit(change, person))
        });
        let deleted = deleted.await?;
        if let Some(person) = &deleted {
            self.take_out(person).await;
        }
        Ok(deleted)
    }

    /// What leads to a person who is gone, and what ended with them.
    async fn take_out(&self, person: &User) {
        for identity in &person.identities {
            if let Err(error) = self.remove_identity(&person.id, identity).await {
                tracing::warn!(%error, user = person.id, "identity of deleted user not removed");
            }
        }
        if let Err(error) = self.take_out_sessions(&person.id).await {
            tracing::warn!(%error, user = person.id, "records of deleted user not removed");
        }
    }

    pub(super) async fn remove_identity(&self, user: &str, identity: &IdentityClaims) -> Result<(), store::Error> {
        let digest = Identity::digest(&identity.issuer, &identity.subject);
        let key = Identity::key(&digest);
        let removed = self.records.update(&key, async |found: Identity, change| {
            Ok(match found.user == user {
                true => Edit::Commit(change.delete(&key).revoke_credential(&digest), ()),
                false => Edit::Keep(()),
            })
        });
        removed.await.map(Option::unwrap_or_default)
    }

    async fn take_out_sessions(&self, user: &str) -> Result<(), store::Error> {
        let index = sessions::index_of(user);
        loop {
            let ids = self.records.store().list(&index, None, sessions::BATCH).await?;
            if ids.is_empty() {
                return Ok(());
            }
            let change = ids.iter().fold(self.records.change(index.shard), |change, id| {
                let change = change.index_remove(&index, id);
                match crate::secret::Digest::from_hex(id) {
                    Some(handle) => change.delete(&Session::key(index.shard, &handle)),
                    None => change,
                }
            });
            let _ = change.commit().await?;
        }
    }
}
