//! Lists, disables, enables and deletes the records of users. The caller, `crate::administration`, passes the check of the
//! administrator's right.

use futures::future::join_all;

use super::{
    Session, User, Users, claims_refresh::OfflineToken, identity_index::IndexEntry, provisioned_users, record::INDEX,
    record::index_of_users, sessions,
};
use crate::{
    secret::Digest,
    store::{self, Change, Edit, Ttl},
};

/// The records that a deletion leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeletionExtent {
    Complete,
    /// A user whom an administrator disabled stays refused: their record is kept without claims and attributes.
    KeepRefusal,
}

/// A deleted user.
#[derive(Debug)]
pub struct Deletion {
    pub user: User,
    pub is_refusal_kept: bool,
}

/// Users in the order of their first login.
#[derive(Debug)]
pub struct UserListing {
    pub users: Vec<User>,
    /// The id after which the next users follow; `None` at the end.
    pub next: Option<String>,
}

impl Users {
    /// Returns users after `after`, in the order of their first login.
    pub async fn list(&self, after: Option<&str>, limit: usize) -> Result<UserListing, store::Error> {
        let ids = self.records.list_everywhere(INDEX, after, limit + 1).await?;
        let next = (ids.len() > limit).then(|| ids[limit - 1].clone());
        let keys: Vec<_> = ids.iter().take(limit).map(|id| User::key(id)).collect();
        let read = join_all(keys.iter().map(|key| self.records.get::<User>(key))).await;
        let read = read.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(UserListing { users: read.into_iter().flatten().map(|stored| stored.value).collect(), next })
    }

    /// True if there are no users.
    pub async fn is_empty(&self) -> Result<bool, store::Error> {
        Ok(self.records.list_everywhere(INDEX, None, 1).await?.is_empty())
    }

    /// Disables a user, unless `authorize` refuses. All sessions and keys end permanently.
    pub async fn disable<E: From<store::Error>>(
        &self,
        user: &str,
        authorize: impl Fn(&User) -> Result<(), E>,
    ) -> Result<Option<User>, E> {
        let key = User::key(user);
        let updated = self.records.update(&key, async |mut record: User, change| {
            authorize(&record)?;
            record.disabled = true;
            provisioned_users::end_access(&mut record);
            Ok::<_, E>(Edit::Commit(provisioned_users::revoke_access(change.put(&key, &record, Ttl::Forever), &record), record))
        });
        let updated = updated.await?;
        if updated.is_some() {
            self.delete_ended_sessions(user).await;
        }
        Ok(updated)
    }

    /// Enables a user, unless `authorize` refuses. That also ends the refusal by a directory that is no longer configured, since
    /// nobody else could end it.
    pub async fn enable<E: From<store::Error>>(
        &self,
        user: &str,
        authorize: impl Fn(&User) -> Result<(), E>,
    ) -> Result<Option<User>, E> {
        let key = User::key(user);
        let updated = self.records.update(&key, async |mut record: User, change| {
            authorize(&record)?;
            record.disabled = false;
            let has_directory = record.provisioned_by(self.provisioning()).is_some();
            if let Some(provisioned) = record.provisioned.as_mut().filter(|_| !has_directory) {
                provisioned.active = true;
            }
            Ok(Edit::Commit(change.put(&key, &record, Ttl::Forever).drop_user(user).replicated(), record))
        });
        updated.await
    }

    /// Deletes a user, unless `with` refuses. Its additions are in the same commit. Entries that cannot be removed now have no
    /// effect: a later login with one of the identities creates a new user.
    pub async fn delete<E: From<store::Error>>(
        &self,
        user: &str,
        extent: DeletionExtent,
        with: impl for<'a> Fn(&User, Change<'a>) -> Result<Change<'a>, E>,
    ) -> Result<Option<Deletion>, E> {
        let key = User::key(user);
        let deleted = self.records.update(&key, async |record: User, change| {
            let refusal = (extent == DeletionExtent::KeepRefusal && record.disabled).then(|| record.refusal());
            let change = match &refusal {
                Some(refusal) => change.put(&key, refusal, Ttl::Forever),
                None => change.delete(&key).index_remove(&index_of_users(key.shard), user),
            };
            let change = with(&record, OfflineToken::delete_all(change, user, &record.identities))?.revoke_user(user);
            let change = provisioned_users::remove_from_index(change, &record);
            Ok::<_, E>(Edit::Commit(change, (record, refusal)))
        });
        let Some((user, refusal)) = deleted.await? else { return Ok(None) };
        self.delete_leftovers(&user, refusal.as_ref()).await;
        Ok(Some(Deletion { user, is_refusal_kept: refusal.is_some() }))
    }

    /// Removes the identities, group memberships and sessions of a deleted user.
    async fn delete_leftovers(&self, record: &User, refusal: Option<&User>) {
        if let Err(error) = self.remove_index_entries(record, refusal).await {
            tracing::warn!(%error, user = record.id, "identity of deleted user not removed");
        }
        self.leave_groups(record).await;
        if let Err(error) = self.delete_sessions(&record.id).await {
            tracing::warn!(%error, user = record.id, "records of deleted user not removed");
        }
    }

    async fn remove_index_entries(&self, record: &User, refusal: Option<&User>) -> Result<(), store::Error> {
        let kept = refusal.map(IndexEntry::of_user).unwrap_or_default();
        let removed = IndexEntry::of_user(record).into_iter().filter(|entry| !kept.contains(entry));
        self.remove_entries(&record.id, removed).await?;
        for identity in &record.identities {
            self.remove_email(&record.id, identity, &[]).await?;
        }
        Ok(())
    }

    /// Removes the sessions of a disabled user, which have ended, with their refresh tokens.
    pub(super) async fn delete_ended_sessions(&self, user: &str) {
        if let Err(error) = self.delete_sessions(user).await {
            tracing::warn!(%error, user, "records of disabled user not removed");
        }
    }

    async fn delete_sessions(&self, user: &str) -> Result<(), store::Error> {
        let index = sessions::index_of(user);
        loop {
            let ids = self.records.store().list(&index, None, sessions::BATCH).await?;
            if ids.is_empty() {
                return Ok(());
            }
            let change = ids.iter().fold(self.records.change(index.shard), |change, id| {
                let change = change.index_remove(&index, id);
                match Digest::from_hex(id) {
                    Some(digest) => change.delete(&Session::key(index.shard, &digest)),
                    None => change,
                }
            });
            let _ = change.as_revocation().commit().await?;
        }
    }
}
