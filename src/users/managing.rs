//! What administrators do with people: find them, disable and enable them, delete them.

use futures::future::join_all;

use super::{Identity, TRIES, User, Users, UsersError, record::INDEX, record::index_of_people, sessions};
use crate::{
    epoch::Epoch,
    principal::IdentityClaims,
    session::Session,
    store::{Change, Failed, ReadError, Stored, Ttl},
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
    pub async fn people(&self, after: Option<&str>, limit: usize) -> Result<Page, ReadError> {
        let ids = self.records.list_everywhere(INDEX, after, limit + 1).await?;
        let next = (ids.len() > limit).then(|| ids[limit - 1].clone());
        let keys: Vec<_> = ids.iter().take(limit).map(|id| User::key(id)).collect();
        let read = join_all(keys.iter().map(|key| self.records.get::<User>(key))).await;
        let read = read.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(Page { people: read.into_iter().flatten().map(|stored| stored.value).collect(), next })
    }

    /// Whether there is anybody at all.
    pub async fn is_empty(&self) -> Result<bool, ReadError> {
        Ok(self.records.list_everywhere(INDEX, None, 1).await?.is_empty())
    }

    /// Disables or enables a person. Whatever they had ends with being disabled, and does not come back.
    pub async fn set_disabled(&self, user: &str, disabled: bool) -> Result<Option<User>, UsersError> {
        let key = User::key(user);
        for _ in 0..TRIES {
            let Some(Stored { value: mut person, version }) = self.records.get::<User>(&key).await? else { return Ok(None) };
            person.disabled = disabled;
            if disabled {
                (person.session_epoch, person.key_epoch) = (Epoch::begin(), Epoch::begin());
            }
            let change = self.records.change(key.shard).expect_version(&key, version).put(&key, &person, Ttl::Forever);
            if change.revoke_user(user).commit().await?.is_ok() {
                return Ok(Some(person));
            }
        }
        Err(UsersError::Contended)
    }

    /// Deletes a person with what `with` adds from their shard. Nothing that is left of them anywhere counts any more, also
    /// where it can't be taken out now: whoever comes back under an identity of theirs is somebody new.
    pub async fn delete(&self, user: &str, with: impl for<'a> Fn(Change<'a>) -> Change<'a>) -> Result<Option<User>, UsersError> {
        let key = User::key(user);
        for _ in 0..TRIES {
            let Some(Stored { value: person, version }) = self.records.get::<User>(&key).await? else { return Ok(None) };
            let change = with(self.records.change(key.shard).expect_version(&key, version).delete(&key));
            let change = change.index_remove(&index_of_people(key.shard), user);
            if change.revoke_user(user).commit().await?.is_ok() {
                self.take_out(&person).await;
                return Ok(Some(person));
            }
        }
        Err(UsersError::Contended)
    }

    /// What leads to a person who is gone, and what ended with them.
    async fn take_out(&self, person: &User) {
        for identity in &person.identities {
            if let Err(error) = self.forget_identity(&person.id, identity).await {
                tracing::warn!(%error, user = person.id, "an identity of a person who was deleted stays for now; it leads nowhere");
            }
        }
        if let Err(error) = self.take_out_sessions(&person.id).await {
            tracing::warn!(%error, user = person.id, "what has ended of a person who was deleted stays until it expires");
        }
    }

    pub(super) async fn forget_identity(&self, user: &str, identity: &IdentityClaims) -> Result<(), UsersError> {
        let digest = Identity::digest(&identity.issuer, &identity.subject);
        let key = Identity::key(&digest);
        for _ in 0..TRIES {
            let found = self.records.get::<Identity>(&key).await?.filter(|found| found.value.user == user);
            let Some(Stored { version, .. }) = found else { return Ok(()) };
            let change = self.records.change(key.shard).expect_version(&key, version).delete(&key);
            if change.revoke_credential(&digest).commit().await?.is_ok() {
                return Ok(());
            }
        }
        Err(UsersError::Contended)
    }

    async fn take_out_sessions(&self, user: &str) -> Result<(), Failed> {
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
