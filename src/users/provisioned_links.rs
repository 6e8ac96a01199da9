//! Links the directory's users to the identities of sign-ins.
//!
//! The index entry of a link leads to the record that was provisioned, so that the first sign-in finds it. A user who signed in
//! before the link was known has a record of their own. The provisioned record then moves into it: it is marked, copied, and
//! deleted. Each request that finds a marked record completes the move, so that a process that stops in between loses nothing.

use super::{
    Identity, User, Users,
    identity_index::IndexEntry,
    login::put_if_changed,
    provisioned_users::{end_access, index_of_provisioned, remove_from_index, revoke_access},
    record::index_of_users,
    shard_of,
};
use crate::{
    principal::IdentityClaims,
    store::{self, Edit, Ttl},
};

impl Users {
    /// Returns the id of the user who signs in: that of the identity, else that of the provisioned user whom the identity links,
    /// else a new one.
    pub(super) async fn user_of_sign_in(&self, identity: &IdentityClaims) -> Result<String, store::Error> {
        if let Some(user) = self.find(&identity.issuer, &identity.subject).await? {
            self.adopt_provisioned(&user, identity).await?;
            return Ok(user);
        }
        if let Some(user) = self.provisioned_of(identity).await? {
            match user.moved_to() {
                Some(to) => self.complete_move(&user.id, to).await?,
                None if self.assign_identity(&user.id, identity).await? => return Ok(user.id),
                None => {}
            }
        }
        self.find_or_assign_id(&identity.issuer, &identity.subject).await
    }

    /// Moves the provisioned user whom an identity links into the user to whom the identity belongs. Nothing happens if the
    /// directory's user already is that user, or another one who has signed in.
    pub(super) async fn adopt_provisioned(&self, user: &str, identity: &IdentityClaims) -> Result<(), store::Error> {
        let Some(found) = self.provisioned_of(identity).await?.filter(|found| found.id != user) else { return Ok(()) };
        let has_own = self.get(user).await?.is_some_and(|own| own.value.provisioned_by(self.provisioning()).is_some());
        if has_own || !found.identities.is_empty() {
            return Ok(());
        }
        let key = User::key(&found.id);
        let marked = self.records.update(&key, async |mut record: User, change| {
            let is_free = record.identities.is_empty();
            let Some(provisioned) = record.provisioned.as_mut().filter(|found| is_free && found.moved_to.is_none()) else {
                return Ok::<_, store::Error>(Edit::Keep(false));
            };
            provisioned.moved_to = Some(user.to_owned());
            let change = change.put(&key, &record, Ttl::Forever);
            // The move of a refusal takes access away.
            let change = if record.is_disabled() { change.revoke_user(&record.id) } else { change.drop_user(&record.id) };
            Ok(Edit::Commit(change, true))
        });
        match marked.await? {
            Some(true) => self.complete_move(&found.id, user).await,
            Some(false) | None => Ok(()),
        }
    }

    /// The provisioned user whom an identity links, or a deleted one whom an administrator still refuses.
    async fn provisioned_of(&self, identity: &IdentityClaims) -> Result<Option<User>, store::Error> {
        let Some(link) = self.provisioning.as_ref().and_then(|settings| settings.link_of(identity)) else { return Ok(None) };
        let key = Identity::key(&link.digest());
        let Some(entry) = self.records.get_patiently::<Identity>(&key).await? else { return Ok(None) };
        let Some(found) = self.get(&entry.value.user).await? else { return Ok(None) };
        let is_linked = found.value.moved_to().is_some() || found.value.is_linked_to(identity);
        Ok(Some(found.value).filter(|_| is_linked))
    }

    /// Completes the move of a marked record. Each step can be repeated.
    pub(super) async fn complete_move(&self, from: &str, to: &str) -> Result<(), store::Error> {
        let Some(found) = self.get(from).await? else { return Ok(()) };
        let is_disabled = found.value.disabled;
        let Some(mut provisioned) = found.value.provisioned.clone() else { return Ok(()) };
        provisioned.moved_to = None;
        let entries = IndexEntry::of_provisioned(&provisioned);
        store::retry(async || {
            let stored = self.get(to).await?;
            let mut record = stored.as_ref().map_or_else(|| User::new(to, self.clock.now()), |stored| stored.value.clone());
            let has_own = record.provisioned.as_ref().is_some_and(|own| own.provider == provisioned.provider);
            if has_own && (record.disabled || !is_disabled) {
                return Ok::<_, store::Error>(Ok(()));
            }
            if !has_own {
                record.provisioned = Some(provisioned.clone());
            }
            record.disabled |= is_disabled;
            for identity in record.identities.clone() {
                record.link_provisioned(&identity);
            }
            let change = self.records.change(shard_of(to));
            let change = change.index_add(&index_of_provisioned(shard_of(to)), &provisioned.id, Ttl::Forever);
            let change = if record.is_disabled() {
                end_access(&mut record);
                revoke_access(put_if_changed(change, stored, &record), &record)
            } else {
                put_if_changed(change, stored, &record)
            };
            Ok(change.commit().await?.map(|_| ()))
        })
        .await?;
        self.assign_entries(to, entries.into_iter()).await?;
        self.delete_moved(from, to, is_disabled).await?;
        tracing::info!(user = to, scim_user = provisioned.id, "scim user linked");
        Ok(())
    }

    /// The index of a shard has the id from the directory. If both users are in one shard, it now belongs to the other one.
    /// A user whom an administrator has disabled since the move began is left for the next attempt.
    async fn delete_moved(&self, user: &str, to: &str, is_disabled: bool) -> Result<(), store::Error> {
        let key = User::key(user);
        let deleted = self.records.update(&key, async |record: User, change| {
            if record.disabled && !is_disabled {
                return Err(store::Error::Contended);
            }
            let change = change.delete(&key).index_remove(&index_of_users(key.shard), user).revoke_user(user);
            let change = if key.shard == shard_of(to) { change } else { remove_from_index(change, &record) };
            Ok(Edit::Commit(change, ()))
        });
        deleted.await.map(|_| ())
    }
}
