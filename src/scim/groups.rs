//! The groups of the company's directory, and their members.
//!
//! A user's record has the names of the user's groups, which checks evaluate. The list of a group's members is a superset: a
//! member is listed before their record is written, and unlisted after. So a rename or deletion of a group finds every
//! record.
//!
//! A group's own record is marked before its members change, and written without the mark after that, each time with the version
//! that was read before. So of two concurrent requests the later repeats its work. A mark that is still there is that of a
//! request in progress or interrupted: readers then compare each listed member, and the next change renews all of them.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value, json};

use super::{
    GROUP_SCHEMA, PageRange, attributes,
    error::ScimError,
    filter::Filter,
    group_members::{MAX_MEMBERS, MEMBERS, MemberEdit, is_about_members},
    group_records::{GroupName, GroupRecord, GroupRecords, WriteIntent},
    patch::{self, AttributeChange},
    projection::Projection,
    user_attributes::{meta, read_other, schemas_of, take_name},
};
use crate::{
    store::{self, Conflict, Records, StoredRecord, Ttl},
    users::{GroupMembership, Membership, ProvisionedUsers, ProvisioningError, index_of_members, is_resource_id},
};

/// The number of members whose records are written at the same time.
const CONCURRENCY: usize = 32;

/// The number of members that are listed or unlisted by one commit.
const BATCH: usize = 500;

pub struct ScimGroups {
    groups: GroupRecords,
    users: Arc<ProvisionedUsers>,
    /// The URL of the service.
    base: String,
}

/// A group with the ids of its members, if they were requested.
struct GroupResource {
    record: GroupRecord,
    members: Option<Vec<String>>,
}

/// A page of groups.
pub struct GroupResources {
    pub total: usize,
    pub groups: Vec<Map<String, Value>>,
}

/// The changes of members' records.
struct MemberWork {
    added: BTreeSet<String>,
    removed: BTreeSet<String>,
    /// Members whose copy of the group's name may be outdated.
    renamed: BTreeSet<String>,
}

impl MemberWork {
    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.renamed.is_empty()
    }

    /// A change that adds nobody can only take access away, so it is not refused when the store is out of memory.
    fn intent(&self) -> WriteIntent {
        if self.added.is_empty() && !self.is_empty() { WriteIntent::Revocation } else { WriteIntent::Grant }
    }
}

impl ScimGroups {
    pub fn new(groups: GroupRecords, users: Arc<ProvisionedUsers>, base: String) -> Self {
        Self { groups, users, base }
    }

    pub async fn create(&self, mut resource: Map<String, Value>) -> Result<Map<String, Value>, ScimError> {
        attributes::lift_core_attributes(&mut resource)?;
        let members = MemberEdit::take(&mut resource)?;
        let (display_name, external_id) = take_names(&mut resource)?;
        let created = self.groups.create(display_name, external_id, read_other(resource)?).await?;
        let group = created.ok_or(ScimError::Uniqueness("displayName or externalId"))?;
        tracing::info!(group = group.id, members = members.added.len(), "scim group created");
        let group =
            if members.added.is_empty() { group } else { self.update(&group.id, &members, |group| Ok(group.clone())).await? };
        self.render(group, &Projection::All).await
    }

    pub async fn get(&self, id: &str, projection: &Projection) -> Result<Map<String, Value>, ScimError> {
        let found = self.groups.get(id).await?.ok_or(ScimError::NotFound)?;
        self.render(found.value, projection).await
    }

    /// Returns the groups that a filter selects. It must contain an attribute by which groups are found.
    pub async fn find(&self, filter: &Filter, projection: &Projection) -> Result<GroupResources, ScimError> {
        let found = if let Some(id) = filter.text("id") {
            self.groups.get(id).await?.map(|found| found.value)
        } else if let Some(name) = filter.text("displayName") {
            self.groups.find(GroupName::DisplayName, name).await?
        } else if let Some(id) = filter.text("externalId") {
            self.groups.find(GroupName::ExternalId, id).await?
        } else {
            return Err(ScimError::filter("A filter of groups must compare id, displayName or externalId with a text."));
        };
        let is_about_members = filter.comparisons().iter().any(|comparison| comparison.path.is(MEMBERS));
        let mut groups = Vec::new();
        if let Some(group) = found {
            let needed = if is_about_members { &Projection::All } else { projection };
            let rendered = self.render(group, needed).await?;
            groups.extend(Some(rendered).filter(|group| filter.matches(group)));
        }
        Ok(GroupResources { total: groups.len(), groups })
    }

    /// Returns a page of groups. A page with many members has fewer groups than requested.
    pub async fn list(&self, page: PageRange, projection: &Projection) -> Result<GroupResources, ScimError> {
        let ids = self.groups.ids().await?;
        let (mut groups, mut members) = (Vec::new(), 0);
        for id in page.select(&ids) {
            let Some(found) = self.groups.get(id).await? else { continue };
            let group = self.render(found.value, projection).await?;
            members += group.get(MEMBERS).and_then(Value::as_array).map_or(0, Vec::len);
            groups.push(group);
            if members > MAX_MEMBERS {
                break;
            }
        }
        Ok(GroupResources { total: ids.len(), groups })
    }

    /// Replaces a group with all its members.
    pub async fn replace(&self, id: &str, mut resource: Map<String, Value>) -> Result<Map<String, Value>, ScimError> {
        attributes::lift_core_attributes(&mut resource)?;
        let members = MemberEdit::take(&mut resource)?;
        let (display_name, external_id) = take_names(&mut resource)?;
        let other = read_other(resource)?;
        let replaced = self.update(id, &members, |group| {
            let (display_name, external_id, other) = (display_name.clone(), external_id.clone(), other.clone());
            Ok(GroupRecord { display_name, external_id, other, ..group.clone() })
        });
        self.render(replaced.await?, &Projection::All).await
    }

    pub async fn patch(&self, id: &str, changes: &[AttributeChange]) -> Result<(), ScimError> {
        let members = MemberEdit::of(changes)?;
        let patched = self.update(id, &members, |group| {
            let mut resource = group.other.clone();
            resource.insert("displayName".to_owned(), group.display_name.clone().into());
            resource.extend(group.external_id.iter().map(|id| ("externalId".to_owned(), id.clone().into())));
            let others = changes.iter().filter(|change| !is_about_members(change));
            let mut resource = patch::apply_changes(others, resource)?;
            let (display_name, external_id) = take_names(&mut resource)?;
            Ok(GroupRecord { display_name, external_id, other: read_other(resource)?, ..group.clone() })
        });
        patched.await.map(drop)
    }

    pub async fn delete(&self, id: &str) -> Result<(), ScimError> {
        let members = store::retry(async || {
            let StoredRecord { value: group, version } = self.groups.get(id).await?.ok_or_else(|| already_deleted(id))?;
            let marked = self.groups.mark(&group, version, WriteIntent::Revocation).await?;
            let Ok(version) = marked else { return Ok(Err(Conflict)) };
            let members: BTreeSet<String> = self.listed(id).await?.into_iter().collect();
            self.remove_members(&group, &members).await?;
            Ok::<_, ScimError>(self.groups.delete(&group, version).await?.map(|()| members.len()))
        });
        let members = members.await?;
        tracing::info!(group = id, members, "scim group deleted");
        Ok(())
    }

    async fn update(
        &self,
        id: &str,
        members: &MemberEdit,
        edit: impl Fn(&GroupRecord) -> Result<GroupRecord, ScimError>,
    ) -> Result<GroupRecord, ScimError> {
        let has_begun = AtomicBool::new(false);
        let updated = store::retry(async || {
            let Some(stored) = self.groups.get(id).await? else { return Err(ScimError::NotFound) };
            let next = edit(&stored.value)?;
            if members.is_empty() && next == stored.value && !stored.value.is_changing {
                return Ok(Ok(next));
            }
            has_begun.store(true, Ordering::Relaxed);
            self.try_update(stored, next, members).await
        });
        let updated = updated.await;
        if matches!(updated, Err(ScimError::NotFound)) && has_begun.into_inner() {
            // The group was deleted meanwhile, and its deletion may not have seen the members.
            let deleted = GroupMembership { id: id.to_owned(), name: String::new() };
            self.set_all(&members.added, &deleted, Membership::None).await?;
        }
        updated
    }

    async fn try_update(
        &self,
        stored: StoredRecord<GroupRecord>,
        next: GroupRecord,
        members: &MemberEdit,
    ) -> Result<Result<GroupRecord, Conflict>, ScimError> {
        let StoredRecord { value: former, version } = stored;
        if !self.groups.assign_names(&next).await? {
            return Err(ScimError::Uniqueness("displayName or externalId"));
        }
        let is_renamed = former.is_changing || former.display_name != next.display_name;
        let work = self.plan(&next, members, is_renamed).await?;
        let marked = if work.is_empty() { Ok(version) } else { self.groups.mark(&former, version, work.intent()).await? };
        let Ok(version) = marked else { return Ok(Err(Conflict)) };
        // First, since it also works if the store has no memory for additions, or one of them is refused.
        self.remove_members(&next, &work.removed).await?;
        self.add_members(&next, &work.added).await?;
        let former_members = self.set_all(&work.renamed, &membership(&next), Membership::Renamed).await?;
        self.unlist(&next.id, &former_members).await?;
        let next = GroupRecord { modified: self.groups.now(), is_changing: false, ..next };
        if let Err(conflict) = self.groups.write(&next, version, work.intent()).await? {
            return Ok(Err(conflict));
        }
        self.groups.remove_former_names(&former, &next).await?;
        let (added, removed, renamed) = (work.added.len(), work.removed.len(), work.renamed.len());
        tracing::info!(group = next.id, added, removed, renamed, "scim group updated");
        Ok(Ok(next))
    }

    /// Compares the changes with the present members. Ids of unknown users are left out: a list with one of them must still
    /// remove everybody else who left.
    async fn plan(&self, group: &GroupRecord, edit: &MemberEdit, is_renamed: bool) -> Result<MemberWork, ScimError> {
        let is_read = edit.is_complete || is_renamed || !edit.added.is_empty();
        let present: BTreeSet<String> =
            if is_read { self.listed(&group.id).await?.into_iter().collect() } else { BTreeSet::new() };
        let added = self.find_known_users(&edit.added).await?;
        if added.len() < edit.added.len() {
            tracing::warn!(group = group.id, unknown = edit.added.len() - added.len(), "scim group members unknown");
        }
        let removed = if edit.is_complete { &present - &added } else { edit.removed.clone() };
        let kept = &present - &removed;
        if kept.union(&added).count() > MAX_MEMBERS {
            return Err(ScimError::value("A group can have at most 20000 members."));
        }
        let renamed = if is_renamed { &kept - &added } else { BTreeSet::new() };
        Ok(MemberWork { added, removed, renamed })
    }

    async fn find_known_users(&self, ids: &BTreeSet<String>) -> Result<BTreeSet<String>, store::Error> {
        let reads = stream::iter(ids).map(async |id| Ok(self.users.get(id).await?.map(|_| id.clone())));
        reads.buffer_unordered(CONCURRENCY).try_filter_map(async |known| Ok(known)).try_collect().await
    }

    async fn add_members(&self, group: &GroupRecord, ids: &BTreeSet<String>) -> Result<(), ScimError> {
        let index = index_of_members(&group.id);
        for batch in ids.iter().collect::<Vec<_>>().chunks(BATCH) {
            let change = self.records().change(index.shard);
            let change = batch.iter().fold(change, |change, id| change.index_add(&index, id, Ttl::Forever));
            let _ = change.commit().await?;
        }
        self.set_all(ids, &membership(group), Membership::Member).await.map(drop)
    }

    async fn remove_members(&self, group: &GroupRecord, ids: &BTreeSet<String>) -> Result<(), ScimError> {
        self.set_all(ids, &membership(group), Membership::None).await?;
        self.unlist(&group.id, ids).await
    }

    async fn unlist(&self, group: &str, ids: &BTreeSet<String>) -> Result<(), ScimError> {
        let index = index_of_members(group);
        for batch in ids.iter().collect::<Vec<_>>().chunks(BATCH) {
            let change = self.records().change(index.shard);
            let change = batch.iter().fold(change, |change, id| change.index_remove(&index, id));
            let _ = change.as_revocation().commit().await?;
        }
        Ok(())
    }

    /// Writes the records of users, and returns the ids of those who are no members afterwards. A user who is a member of too many
    /// groups does not become one of this group.
    async fn set_all(
        &self,
        ids: &BTreeSet<String>,
        group: &GroupMembership,
        membership: Membership,
    ) -> Result<BTreeSet<String>, ScimError> {
        let writes = stream::iter(ids).map(async |id| {
            let written = self.users.set_membership(id, group, membership).await;
            if matches!(written, Err(ProvisioningError::TooManyGroups)) {
                self.unlist(&group.id, &BTreeSet::from([id.clone()])).await?;
            }
            let is_member = written?.is_some_and(|after| after != Membership::None);
            Ok::<_, ScimError>((!is_member).then(|| id.clone()))
        });
        writes.buffer_unordered(CONCURRENCY).try_filter_map(async |absent| Ok(absent)).try_collect().await
    }

    /// The ids of a group's members. Those of a group that is changing are compared with the users' records.
    async fn members(&self, group: &GroupRecord) -> Result<Vec<String>, store::Error> {
        let listed = self.listed(&group.id).await?;
        if !group.is_changing {
            return Ok(listed);
        }
        let reads = stream::iter(listed).map(async |id| {
            let user = self.users.get(&id).await?.and_then(|user| user.provisioned);
            let is_member = user.is_some_and(|user| user.groups.iter().any(|known| known.id == group.id));
            Ok(is_member.then_some(id))
        });
        reads.buffered(CONCURRENCY).try_filter_map(async |member| Ok(member)).try_collect().await
    }

    async fn listed(&self, group: &str) -> Result<Vec<String>, store::Error> {
        self.records().store().list(&index_of_members(group), None, usize::MAX).await
    }

    fn records(&self) -> &Records {
        self.groups.records()
    }

    async fn render(&self, record: GroupRecord, projection: &Projection) -> Result<Map<String, Value>, ScimError> {
        let members = if projection.includes(MEMBERS) { Some(self.members(&record).await?) } else { None };
        Ok(GroupResource { record, members }.render(&self.base))
    }
}

impl GroupResource {
    fn render(self, base: &str) -> Map<String, Value> {
        let Self { record, members } = self;
        let mut resource = record.other.clone();
        resource.insert("schemas".to_owned(), schemas_of(GROUP_SCHEMA, &record.other));
        resource.insert("id".to_owned(), record.id.clone().into());
        resource.insert("displayName".to_owned(), record.display_name.into());
        resource.extend(record.external_id.map(|id| ("externalId".to_owned(), id.into())));
        if let Some(members) = members {
            let member = |id: String| json!({"$ref": format!("{base}/Users/{id}"), "type": "User", "value": id});
            resource.insert(MEMBERS.to_owned(), members.into_iter().map(member).collect());
        }
        let location = format!("{base}/Groups/{}", record.id);
        resource.insert("meta".to_owned(), meta("Group", record.created, record.modified, &location));
        resource
    }
}

/// The directory repeats a deletion whose answer it did not receive.
fn already_deleted(id: &str) -> ScimError {
    if is_resource_id(id) {
        tracing::info!(group = id, "scim group already deleted");
    }
    ScimError::NotFound
}

fn membership(group: &GroupRecord) -> GroupMembership {
    GroupMembership { id: group.id.clone(), name: group.display_name.clone() }
}

fn take_names(resource: &mut Map<String, Value>) -> Result<(String, Option<String>), ScimError> {
    let display_name = take_name(resource, "displayName")?.ok_or(ScimError::value("displayName is required."))?;
    Ok((display_name, take_name(resource, "externalId")?))
}

#[cfg(test)]
mod tests;
