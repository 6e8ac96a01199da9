//! Creates, finds, changes and lists the users that the company's directory provisions.
//!
//! The index entries are written before the user's record, as at a sign-in: an entry that the record does not confirm is free.
//! The directory repeats a request that was not answered, and every step can be repeated.

use std::sync::Arc;

use futures::future::try_join_all;

use super::{
    Generation, GroupMembership, Identity, OtherAttributes, ProvisionedUser, ProvisioningSettings, User, Users,
    claims_refresh::OfflineToken,
    identity_index::{EXTERNAL_ID, ID, IndexEntry, USER_NAME, fold_name},
    link_index::LinkPasses,
    login::put_if_changed,
    provisioning::is_resource_id,
    record::index_of_users,
    shard_of,
};
use crate::{
    secret::Digest,
    store::{self, Change, Conflict, Edit, Index, Shard, StoredRecord, Ttl},
};

/// The maximum number of groups of a user.
pub const MAX_GROUPS: usize = 1_000;

const INDEX: &str = "scim_users";

/// The users of a directory.
pub struct ProvisionedUsers {
    users: Arc<Users>,
    settings: Arc<ProvisioningSettings>,
    link_passes: LinkPasses,
}

/// The attributes of a user that the directory sets.
#[derive(Clone, PartialEq)]
pub struct ProvisionedAttributes {
    pub user_name: String,
    pub external_id: Option<String>,
    pub active: bool,
    pub other: OtherAttributes,
}

/// A change of a provisioned user.
pub struct ProvisioningChange {
    pub user: User,
    pub access: AccessChange,
}

/// The effect of a change on the user's access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessChange {
    None,
    Disabled,
    Enabled,
}

/// A user's membership in a group after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    Member,
    /// The group has another name. Its former members do not become members again.
    Renamed,
    None,
}

impl Membership {
    /// The membership of a user who was no member before.
    fn of_newcomer(self) -> Self {
        match self {
            Self::Member => Self::Member,
            Self::Renamed | Self::None => Self::None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ProvisioningError {
    /// Another user of the directory has the same `userName`, `externalId` or link.
    #[error("another user has the same userName, externalId or link")]
    Taken,
    #[error("the user is a member of {MAX_GROUPS} groups")]
    TooManyGroups,
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// The users of one shard whom the directory provisioned, by the ids that it knows.
pub(super) fn index_of_provisioned(shard: Shard) -> Index {
    Index::new(shard, INDEX)
}

/// The members of a group, by the ids that the directory knows, in the shard of the group.
pub fn index_of_members(group: &str) -> Index {
    Index::new(Shard::of(&Digest::of(group.as_bytes())), format!("scim_members:{group}"))
}

/// Removes a user's record from the index of provisioned users.
pub(super) fn remove_from_index<'a>(change: Change<'a>, record: &User) -> Change<'a> {
    match &record.provisioned {
        Some(user) => change.index_remove(&index_of_provisioned(shard_of(&record.id)), &user.id),
        None => change,
    }
}

impl ProvisionedUsers {
    /// `None` if no directory is configured.
    pub fn of(users: &Arc<Users>) -> Option<Self> {
        let settings = Arc::clone(users.provisioning.as_ref()?);
        Some(Self { users: Arc::clone(users), settings, link_passes: LinkPasses::default() })
    }

    /// Links the users who signed in before the directory was configured. Returns the number of records that changed.
    pub async fn link_former_users(&self) -> Result<usize, store::Error> {
        self.link_passes.run_at_start(&self.users).await
    }

    /// Finds the user who signed in on a pod without the directory, and moves a provisioned user whom no sign-in has opened there.
    /// A refusal must reach that user at once. Returns the record that then has the directory's part.
    pub async fn link_before_refusal(&self, user: User) -> Result<Option<User>, store::Error> {
        let Some(provisioned) = &user.provisioned else { return Ok(None) };
        let is_linked = !user.identities.is_empty() || provisioned.link.is_none() || self.settings.links_subjects();
        if is_linked {
            return Ok(Some(user));
        }
        self.link_passes.run_for_request(&self.users).await?;
        let linked = self.get(&provisioned.id).await?;
        if let Some(former) = linked.as_ref().filter(|linked| linked.id != user.id && linked.is_inactive()) {
            self.users.delete_ended_sessions(&former.id).await;
        }
        Ok(linked)
    }

    pub fn settings(&self) -> &ProvisioningSettings {
        &self.settings
    }

    /// Creates a user, or provisions the user who has signed in with the identity that the attributes link.
    pub async fn create(&self, attributes: ProvisionedAttributes) -> Result<User, ProvisioningError> {
        let mut user = self.compose(&attributes);
        let entries = IndexEntry::of_provisioned(&user);
        for entry in &entries {
            let owner = self.users.owner_of(*entry).await?;
            if owner.is_some_and(|owner| owner.provisioned_by(Some(&self.settings)).is_some()) {
                return Err(ProvisioningError::Taken);
            }
        }
        // The link comes last. It leads to the user who has signed in already.
        let anchor = match &user.link {
            Some(_) => entries.last(),
            None => entries.iter().find(|entry| **entry == user_name_entry(&user)),
        };
        user.id = self.users.reserve_id(*anchor.expect("a user has a userName")).await?;
        let entries = || IndexEntry::of_provisioned(&user).into_iter();
        if self.users.assign_entries(&user.id, entries()).await?.is_some() {
            return Err(ProvisioningError::Taken);
        }
        let record = self.write_new(&user).await?;
        // A concurrent request may have taken an entry before the record confirmed it.
        if self.users.assign_entries(&user.id, entries()).await?.is_some() {
            self.undo(&user.id).await?;
            return Err(ProvisioningError::Taken);
        }
        Ok(record)
    }

    /// A user with these attributes and without an id.
    fn compose(&self, attributes: &ProvisionedAttributes) -> ProvisionedUser {
        let now = self.users.clock.now();
        ProvisionedUser {
            id: String::new(),
            provider: self.settings.provider.clone(),
            active: attributes.active,
            user_name: attributes.user_name.clone(),
            external_id: attributes.external_id.clone(),
            link: self.settings.link(&attributes.user_name, attributes.external_id.as_deref()),
            subject: None,
            groups: Vec::new(),
            other: attributes.other.clone(),
            created: now,
            modified: now,
            moved_to: None,
        }
    }

    async fn write_new(&self, user: &ProvisionedUser) -> Result<User, ProvisioningError> {
        let id = user.id.as_str();
        store::retry(async || {
            let stored = self.users.get(id).await?;
            let mut record = stored.as_ref().map_or_else(|| User::new(id, user.created), |stored| stored.value.clone());
            if record.provisioned_by(Some(&self.settings)).is_some() {
                return Err(ProvisioningError::Taken);
            }
            // The part of a former directory is replaced. A commit that adds and removes one id would remove it.
            let change = self.users.records.change(shard_of(id));
            let is_listed_otherwise = record.provisioned.as_ref().is_some_and(|former| former.id != id);
            let change = if is_listed_otherwise { remove_from_index(change, &record) } else { change };
            set_provisioned(&mut record, user.clone());
            let change = put_if_changed(change.index_add(&index_of_provisioned(shard_of(id)), id, Ttl::Forever), stored, &record);
            let change = if user.active { change } else { revoke_access(change, &record) };
            Ok(change.commit().await?.map(|_| record))
        })
        .await
    }

    /// Removes the provisioning of a user whose creation failed. A record that was created with it is deleted.
    async fn undo(&self, id: &str) -> Result<(), store::Error> {
        let key = User::key(id);
        let undone = self.users.records.update(&key, async |mut record: User, change| {
            let change = remove_from_index(change, &record).revoke_user(id);
            record.provisioned = None;
            let is_new = record.identities.is_empty() && record.former_link.is_none();
            Ok::<_, store::Error>(match is_new {
                true => Edit::Commit(change.delete(&key).index_remove(&index_of_users(key.shard), id), ()),
                false => Edit::Commit(change.put(&key, &record, Ttl::Forever), ()),
            })
        });
        undone.await.map(|_| ())
    }

    /// Returns the user with the id that the directory knows.
    pub async fn get(&self, id: &str) -> Result<Option<User>, store::Error> {
        Ok(self.resolve(id).await?.map(|stored| stored.value))
    }

    pub async fn find_by_user_name(&self, name: &str) -> Result<Option<User>, store::Error> {
        self.find_by(USER_NAME, &fold_name(name)).await
    }

    pub async fn find_by_external_id(&self, id: &str) -> Result<Option<User>, store::Error> {
        self.find_by(EXTERNAL_ID, id).await
    }

    async fn find_by(&self, attribute: &str, value: &str) -> Result<Option<User>, store::Error> {
        let digest = Identity::provisioned_digest(&self.settings.provider, attribute, value);
        self.users.owner_of(IndexEntry::Provisioned(digest)).await
    }

    /// Returns the ids of all users that the directory provisioned, in the order of their creation.
    pub async fn ids(&self) -> Result<Vec<String>, store::Error> {
        self.users.records.list_everywhere(INDEX, None, usize::MAX).await
    }

    /// Returns the users with these ids. Those that are gone, or belong to a former directory, are left out and unlisted.
    pub async fn get_all(&self, ids: &[String]) -> Result<Vec<User>, store::Error> {
        let found = try_join_all(ids.iter().map(|id| self.get(id))).await?;
        for (id, _) in ids.iter().zip(&found).filter(|(_, found)| found.is_none()) {
            self.unlist(id).await?;
        }
        Ok(found.into_iter().flatten().collect())
    }

    async fn unlist(&self, id: &str) -> Result<(), store::Error> {
        let key = User::key(id);
        let change = self.users.records.change(key.shard);
        let change = match self.users.get(id).await? {
            Some(stored) if stored.value.provisioned_by(Some(&self.settings)).is_some() => return Ok(()),
            Some(stored) => change.expect_version(&key, stored.version),
            None => change.expect_absent(&key),
        };
        // A conflict means that the user has just been provisioned.
        change.index_remove(&index_of_provisioned(key.shard), id).commit().await.map(|_| ())
    }

    /// Changes the attributes of a user as `edit` says. `None` if there is no such user.
    pub async fn update<E: From<store::Error> + From<ProvisioningError>>(
        &self,
        id: &str,
        edit: impl Fn(&ProvisionedUser) -> Result<ProvisionedAttributes, E>,
    ) -> Result<Option<ProvisioningChange>, E> {
        store::retry(async || {
            let Some((stored, current)) = self.resolve(id).await?.and_then(|stored| {
                let current = stored.value.provisioned.clone()?;
                Some((stored, current))
            }) else {
                return Ok(Ok(None));
            };
            let next = self.apply(&current, &edit(&current)?);
            if next == (ProvisionedUser { modified: next.modified, ..current.clone() }) {
                return Ok(Ok(Some(ProvisioningChange { user: stored.value, access: AccessChange::None })));
            }
            let former = IndexEntry::of_user(&stored.value);
            let new = IndexEntry::of_provisioned(&next).into_iter().filter(|entry| !former.contains(entry));
            let written = match self.users.assign_entries(&stored.value.id, new).await? {
                Some(owner) => self.write_for(&owner, &stored, next).await?,
                None => self.write(&stored, next).await?,
            };
            let Ok(change) = written else { return Ok(Err(Conflict)) };
            self.users.remove_outdated_entries(&change.user, former).await;
            self.complete_change(id, change).await.map_err(E::from).map(Ok)
        })
        .await
    }

    /// Writes a change whose link belongs to another user. A user who has signed in receives the directory's part: it is marked
    /// here, and moves with the next step. A user whom the directory provisioned keeps the link.
    async fn write_for(
        &self,
        owner: &str,
        stored: &StoredRecord<User>,
        next: ProvisionedUser,
    ) -> Result<Result<ProvisioningChange, Conflict>, ProvisioningError> {
        let owned = self.users.get(owner).await?.map(|owned| owned.value);
        let is_free = owned.is_some_and(|owned| owned.provisioned_by(Some(&self.settings)).is_none());
        if !is_free || !stored.value.identities.is_empty() {
            return Err(ProvisioningError::Taken);
        }
        Ok(self.write(stored, ProvisionedUser { moved_to: Some(owner.to_owned()), ..next }).await?)
    }

    /// Moves the user if the change has marked them, and removes what an inactive user leaves.
    async fn complete_change(
        &self,
        id: &str,
        ProvisioningChange { user, access }: ProvisioningChange,
    ) -> Result<Option<ProvisioningChange>, store::Error> {
        let has_moved = user.moved_to().is_some();
        let user = if has_moved { self.get(id).await? } else { Some(user) };
        let Some(user) = user else { return Ok(None) };
        // The sessions of the user who received an inactive part have ended with the move.
        let access = if has_moved && user.is_inactive() { AccessChange::Disabled } else { access };
        if access == AccessChange::Disabled {
            self.users.delete_ended_sessions(&user.id).await;
        }
        Ok(Some(ProvisioningChange { user, access }))
    }

    fn apply(&self, current: &ProvisionedUser, attributes: &ProvisionedAttributes) -> ProvisionedUser {
        let new = self.compose(attributes);
        // The subject is the link itself, or was linked by another claim and stays.
        let is_other_subject = new.link != current.link && new.link.as_ref().is_some_and(super::ClaimLink::is_subject);
        let kept = current.clone();
        let subject = kept.subject.filter(|_| !is_other_subject);
        ProvisionedUser { id: kept.id, subject, groups: kept.groups, created: kept.created, ..new }
    }

    async fn write(
        &self,
        stored: &StoredRecord<User>,
        next: ProvisionedUser,
    ) -> Result<Result<ProvisioningChange, Conflict>, store::Error> {
        let mut record = stored.value.clone();
        let access = match (record.is_inactive(), next.active) {
            (false, false) => AccessChange::Disabled,
            (true, true) => AccessChange::Enabled,
            _ => AccessChange::None,
        };
        if record.provisioned.as_ref().is_some_and(|former| former.link != next.link) {
            record.former_link = None;
        }
        set_provisioned(&mut record, next);
        let key = User::key(&record.id);
        let change = self.users.records.change(key.shard).expect_version(&key, stored.version);
        let change = change.put(&key, &record, Ttl::Forever).drop_user(&record.id);
        let listed = record.provisioned.as_ref().map_or("", |user| &user.id);
        let change = change.index_add(&index_of_provisioned(key.shard), listed, Ttl::Forever);
        let change = match access {
            AccessChange::Disabled => revoke_access(change, &record),
            AccessChange::Enabled => change.replicated(),
            AccessChange::None => change,
        };
        Ok(change.commit().await?.map(|_| ProvisioningChange { user: record, access }))
    }

    /// Adds a user to a group under its current name, or removes the user. Returns the membership afterwards; `None` if there is
    /// no such user.
    pub async fn set_membership(
        &self,
        id: &str,
        group: &GroupMembership,
        membership: Membership,
    ) -> Result<Option<Membership>, ProvisioningError> {
        store::retry(async || {
            // Each attempt looks the user up again, since the record may be moving to another one.
            let Some(StoredRecord { value: mut record, version }) = self.resolve(id).await? else { return Ok(Ok(None)) };
            let Some(provisioned) = &mut record.provisioned else { return Ok(Ok(None)) };
            let groups = &mut provisioned.groups;
            let place = groups.binary_search_by(|known| known.id.cmp(&group.id));
            let after = if place.is_ok() { membership } else { membership.of_newcomer() };
            match (place, after) {
                (Ok(place), Membership::None) => drop(groups.remove(place)),
                (Ok(place), _) if groups[place] == *group => return Ok(Ok(Some(after))),
                (Ok(place), _) => groups[place] = group.clone(),
                (Err(_), Membership::None) => return Ok(Ok(Some(after))),
                (Err(_), _) if groups.len() >= MAX_GROUPS => return Err(ProvisioningError::TooManyGroups),
                (Err(place), _) => groups.insert(place, group.clone()),
            }
            let key = User::key(&record.id);
            let change = self.users.records.change(key.shard).expect_version(&key, version);
            let change = change.put(&key, &record, Ttl::Forever).drop_user(&record.id);
            // A new name can take a role away as well.
            let change = if place.is_ok() { change.as_revocation() } else { change };
            Ok(change.commit().await?.map(|_| Some(after)))
        })
        .await
    }

    async fn resolve(&self, id: &str) -> Result<Option<StoredRecord<User>>, store::Error> {
        if !is_resource_id(id) {
            return Ok(None);
        }
        let found = self.users.get(id).await?;
        if let Some(found) = found.filter(|found| self.is_provisioned_as(&found.value, id)) {
            match found.value.provisioned.as_ref().and_then(|user| user.moved_to.clone()) {
                Some(to) => self.users.complete_move(id, &to).await?,
                None => return Ok(Some(found)),
            }
        }
        let digest = Identity::provisioned_digest(&self.settings.provider, ID, id);
        let Some(entry) = self.users.records.get_patiently::<Identity>(&Identity::key(&digest)).await? else { return Ok(None) };
        let found = self.users.get(&entry.value.user).await?;
        Ok(found.filter(|found| self.is_provisioned_as(&found.value, id)))
    }

    fn is_provisioned_as(&self, user: &User, id: &str) -> bool {
        user.provisioned.as_ref().is_some_and(|user| user.id == id && user.provider == self.settings.provider)
    }
}

impl Users {
    /// Removes a deleted user from the lists of their groups' members. The ids of a list without a record have no effect.
    pub(super) async fn leave_groups(&self, record: &User) {
        let Some(user) = &record.provisioned else { return };
        for group in &user.groups {
            let index = index_of_members(&group.id);
            let change = self.records.change(index.shard).index_remove(&index, &user.id).as_revocation();
            if let Err(error) = change.commit().await {
                tracing::warn!(%error, user = record.id, "deleted user not removed from group");
            }
        }
    }
}

/// Ends all sessions, keys and refreshes of a user.
pub(super) fn end_access(record: &mut User) {
    (record.session_generation, record.key_generation) = (Generation::random(), Generation::random());
    for identity in &mut record.identities {
        identity.has_refresh_bound |= std::mem::take(&mut identity.is_refreshable);
    }
}

/// Revokes what [`end_access`] has ended.
pub(super) fn revoke_access<'a>(change: Change<'a>, record: &User) -> Change<'a> {
    OfflineToken::delete_all(change, &record.id, &record.identities).revoke_user(&record.id)
}

fn user_name_entry(user: &ProvisionedUser) -> IndexEntry {
    IndexEntry::Provisioned(Identity::provisioned_digest(&user.provider, USER_NAME, &fold_name(&user.user_name)))
}

/// Sets the directory's part of a record, links it to an identity of the user, and ends all sessions and keys if it has become
/// inactive.
fn set_provisioned(record: &mut User, user: ProvisionedUser) {
    let was_inactive = record.is_inactive();
    record.provisioned = Some(user);
    for identity in record.identities.clone() {
        record.link_provisioned(&identity);
    }
    if record.is_inactive() && !was_inactive {
        end_access(record);
    }
}
