//! The records of groups, and the index entries that lead from their names to them.
//!
//! As with users, an entry that the group's record does not confirm is free.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    clock::Clock,
    secret::{Digest, random_bytes},
    store::{self, Conflict, Index, Record, RecordKey, RecordKind, Records, Shard, StoredRecord, Ttl, Version},
    users::{OtherAttributes, is_resource_id},
};

const INDEX: &str = "scim_groups";

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupRecord {
    pub id: String,
    pub provider: String,
    pub display_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    #[serde(default, skip_serializing_if = "OtherAttributes::is_empty")]
    pub other: OtherAttributes,
    pub created: Timestamp,
    pub modified: Timestamp,
    /// True while members' records are being changed, or if that was interrupted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_changing: bool,
}

/// The purpose of a write of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteIntent {
    Grant,
    /// Takes memberships away. The store does not refuse it when it is out of memory.
    Revocation,
}

/// The group with a name.
#[derive(Serialize, Deserialize)]
struct GroupPointer {
    group: String,
}

impl Record for GroupRecord {
    const KIND: RecordKind = RecordKind::ScimGroup;
}

impl Record for GroupPointer {
    const KIND: RecordKind = RecordKind::ScimGroupName;
}

/// The attributes that lead to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupName {
    DisplayName,
    ExternalId,
}

pub struct GroupRecords {
    records: Records,
    provider: String,
    clock: Arc<dyn Clock>,
}

impl GroupName {
    fn as_str(self) -> &'static str {
        match self {
            Self::DisplayName => "displayName",
            Self::ExternalId => "externalId",
        }
    }
}

impl GroupRecord {
    fn key(id: &str) -> RecordKey {
        RecordKey::new(Shard::of(&Digest::of(id.as_bytes())), RecordKind::ScimGroup, id)
    }

    fn name(&self, name: GroupName) -> Option<String> {
        match name {
            GroupName::DisplayName => Some(self.display_name.to_lowercase()),
            GroupName::ExternalId => self.external_id.clone(),
        }
    }

    /// The keys of the entries that lead to the group.
    fn pointers(&self) -> Vec<RecordKey> {
        let key = |name: GroupName| Some(pointer_key(&self.provider, name, &self.name(name)?));
        [GroupName::DisplayName, GroupName::ExternalId].into_iter().filter_map(key).collect()
    }
}

fn pointer_key(provider: &str, name: GroupName, value: &str) -> RecordKey {
    RecordKey::of_digest(RecordKind::ScimGroupName, &Digest::of_parts(&["group", provider, name.as_str(), value]))
}

impl GroupRecords {
    pub fn new(records: Records, provider: String, clock: Arc<dyn Clock>) -> Self {
        Self { records, provider, clock }
    }

    pub fn records(&self) -> &Records {
        &self.records
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub async fn get(&self, id: &str) -> Result<Option<StoredRecord<GroupRecord>>, store::Error> {
        if !is_resource_id(id) {
            return Ok(None);
        }
        let found = self.records.get_patiently::<GroupRecord>(&GroupRecord::key(id)).await?;
        Ok(found.filter(|found| found.value.provider == self.provider))
    }

    pub async fn find(&self, name: GroupName, value: &str) -> Result<Option<GroupRecord>, store::Error> {
        let value = if name == GroupName::DisplayName { value.to_lowercase() } else { value.to_owned() };
        self.owner(&pointer_key(&self.provider, name, &value)).await
    }

    /// The ids of all groups, in the order of their creation.
    pub async fn ids(&self) -> Result<Vec<String>, store::Error> {
        self.records.list_everywhere(INDEX, None, usize::MAX).await
    }

    /// Creates a group. `None` if another group has one of its names.
    pub async fn create(
        &self,
        display_name: String,
        external_id: Option<String>,
        other: OtherAttributes,
    ) -> Result<Option<GroupRecord>, store::Error> {
        let (now, provider) = (self.now(), self.provider.clone());
        let (id, created, modified, is_changing) = (String::new(), now, now, false);
        let mut group = GroupRecord { id, provider, display_name, external_id, other, created, modified, is_changing };
        for pointer in group.pointers() {
            if self.owner(&pointer).await?.is_some() {
                return Ok(None);
            }
        }
        group.id = self.reserve_id(&group).await?;
        if !self.assign_names(&group).await? {
            return Ok(None);
        }
        let key = GroupRecord::key(&group.id);
        let change = self.records.change(key.shard).expect_absent(&key).put(&key, &group, Ttl::Forever);
        let created = change.index_add(&Index::new(key.shard, INDEX), &group.id, Ttl::Forever).commit().await?;
        let Ok(version) = created else { return Ok(None) };
        // A concurrent request may have taken a name before the record confirmed it.
        if self.assign_names(&group).await? {
            return Ok(Some(group));
        }
        let _ = self.delete(&group, version).await?;
        Ok(None)
    }

    /// Writes a group that was read in this version.
    pub async fn write(
        &self,
        group: &GroupRecord,
        version: Version,
        intent: WriteIntent,
    ) -> Result<Result<Version, Conflict>, store::Error> {
        let key = GroupRecord::key(&group.id);
        let change = self.records.change(key.shard).expect_version(&key, version).put(&key, group, Ttl::Forever);
        match intent {
            WriteIntent::Grant => change.commit().await,
            WriteIntent::Revocation => change.as_revocation().commit().await,
        }
    }

    /// Marks a group whose members are about to change.
    pub async fn mark(
        &self,
        group: &GroupRecord,
        version: Version,
        intent: WriteIntent,
    ) -> Result<Result<Version, Conflict>, store::Error> {
        self.write(&GroupRecord { is_changing: true, ..group.clone() }, version, intent).await
    }

    /// Deletes a group that was read in this version and has no members any more.
    pub async fn delete(&self, group: &GroupRecord, version: Version) -> Result<Result<(), Conflict>, store::Error> {
        let key = GroupRecord::key(&group.id);
        let change = self.records.change(key.shard).expect_version(&key, version).delete(&key);
        let change = change.index_remove(&Index::new(key.shard, INDEX), &group.id).as_revocation();
        if let Err(conflict) = change.commit().await? {
            return Ok(Err(conflict));
        }
        self.remove_names(&group.id, group.pointers()).await.map(Ok)
    }

    /// Assigns the names of a group to it. False if one of them belongs to another group.
    pub async fn assign_names(&self, group: &GroupRecord) -> Result<bool, store::Error> {
        for key in group.pointers() {
            let assigned = store::retry(async || {
                let change = self.records.change(key.shard);
                let change = match self.records.get_patiently::<GroupPointer>(&key).await? {
                    Some(found) if found.value.group == group.id => return Ok::<_, store::Error>(Ok(true)),
                    Some(_) if self.owner(&key).await?.is_some() => return Ok(Ok(false)),
                    Some(found) => change.expect_version(&key, found.version),
                    None => change.expect_absent(&key),
                };
                let change = change.put(&key, &GroupPointer { group: group.id.clone() }, Ttl::Forever);
                Ok(change.commit().await?.map(|_| true))
            });
            if !assigned.await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes the names that a group had before a change.
    pub async fn remove_former_names(&self, former: &GroupRecord, current: &GroupRecord) -> Result<(), store::Error> {
        let kept = current.pointers();
        self.remove_names(&current.id, former.pointers().into_iter().filter(|key| !kept.contains(key)).collect()).await
    }

    async fn remove_names(&self, group: &str, pointers: Vec<RecordKey>) -> Result<(), store::Error> {
        for key in pointers {
            let removed = self.records.update(&key, async |found: GroupPointer, change| {
                Ok::<_, store::Error>(match found.group == group {
                    true => store::Edit::Commit(change.delete(&key).as_revocation(), ()),
                    false => store::Edit::Keep(()),
                })
            });
            removed.await?;
        }
        Ok(())
    }

    /// The group to which an entry belongs.
    async fn owner(&self, pointer: &RecordKey) -> Result<Option<GroupRecord>, store::Error> {
        let Some(found) = self.records.get_patiently::<GroupPointer>(pointer).await? else { return Ok(None) };
        let group = self.get(&found.value.group).await?.map(|stored| stored.value);
        Ok(group.filter(|group| group.pointers().contains(pointer)))
    }

    /// Returns the id that the entry of the display name has for a group that is not created yet, or assigns a new one.
    async fn reserve_id(&self, group: &GroupRecord) -> Result<String, store::Error> {
        let key = pointer_key(&self.provider, GroupName::DisplayName, &group.display_name.to_lowercase());
        if let Some(found) = self.records.get_patiently::<GroupPointer>(&key).await?
            && self.get(&found.value.group).await?.is_none()
        {
            return Ok(found.value.group);
        }
        let millis = u64::try_from(group.created.as_millisecond()).unwrap_or_default();
        Ok(uuid::Builder::from_unix_timestamp_millis(millis, &random_bytes()).into_uuid().to_string())
    }
}
