use std::time::Duration;

use futures::future::join_all;

use super::*;
use crate::{
    clock::{Clock, SystemClock},
    metrics::Metrics,
    role_map::{ConfiguredNames, RoleMaps},
    scim::parse_changes,
    secret::KeyRing,
    store::MemoryStore,
    users::{Limits, LinkAttribute, LinkClaim, OtherAttributes, ProvisionedAttributes, ProvisioningSettings, Users},
};

const DAY: Duration = Duration::from_secs(86_400);

struct Fixture {
    groups: ScimGroups,
    users: Arc<ProvisionedUsers>,
}

impl Fixture {
    fn new() -> Self {
        let (clock, metrics): (Arc<dyn Clock>, _) = (Arc::new(SystemClock), Arc::new(Metrics::new()));
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock)));
        let records = Records::new(store, Arc::new(KeyRing::ephemeral(Arc::clone(&clock))), "");
        let role_maps = RoleMaps::new(None, ConfiguredNames::default(), Arc::clone(&clock), Arc::clone(&metrics)).unwrap();
        let settings = ProvisioningSettings {
            provider: "corp".to_owned(),
            issuer: "https://idp.example.com".to_owned(),
            attribute: LinkAttribute::ExternalId,
            claim: LinkClaim::Subject,
        };
        let limits = Limits { idle: DAY, absolute: DAY, max_per_user: 100 };
        let users = Users::new(records.clone(), Arc::new(role_maps), limits, DAY, Arc::clone(&clock), metrics)
            .with_provisioning(Some(Arc::new(settings)));
        let users = Arc::new(ProvisionedUsers::of(&Arc::new(users)).unwrap());
        let groups = GroupRecords::new(records, "corp".to_owned(), clock);
        Self { groups: ScimGroups::new(groups, Arc::clone(&users), "https://llm.example.com".to_owned()), users }
    }

    async fn user(&self, name: &str) -> String {
        let (user_name, external_id) = (name.to_owned(), Some(name.to_owned()));
        let attributes = ProvisionedAttributes { user_name, external_id, active: true, other: OtherAttributes::new() };
        self.users.create(attributes).await.unwrap().id
    }

    async fn users(&self, count: usize) -> Vec<String> {
        let names: Vec<String> = (0..count).map(|number| format!("user-{number}")).collect();
        join_all(names.iter().map(|name| self.user(name))).await
    }

    async fn group(&self, name: &str, members: &[String]) -> Result<String, ScimError> {
        let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
        let created = self.groups.create(object(json!({"displayName": name, "members": members}))).await?;
        Ok(created["id"].as_str().unwrap().to_owned())
    }

    async fn patch(&self, group: &str, operations: Value) -> Result<(), ScimError> {
        let changes = parse_changes(&object(json!({"Operations": operations}))).unwrap();
        self.groups.patch(group, &changes).await
    }

    /// The names of a user's groups.
    async fn names(&self, user: &str) -> Vec<String> {
        let user = self.users.get(user).await.unwrap().unwrap().provisioned.unwrap();
        user.groups.into_iter().map(|group| group.name).collect()
    }

    async fn members(&self, group: &str) -> usize {
        let group = self.groups.get(group, &Projection::All).await.unwrap();
        group[MEMBERS].as_array().map_or(0, Vec::len)
    }
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn add(ids: &[String]) -> Value {
    let members: Vec<Value> = ids.iter().map(|id| json!({"value": id})).collect();
    json!([{"op": "add", "path": "members", "value": members}])
}

#[tokio::test]
async fn large_groups_are_created_renamed_reduced_and_deleted() {
    let fixture = Fixture::new();
    let users = fixture.users(BATCH + 20).await;
    let group = fixture.group("before", &users).await.unwrap();
    assert_eq!(fixture.members(&group).await, users.len());
    fixture.patch(&group, json!([{"op": "replace", "path": "displayName", "value": "after"}])).await.unwrap();
    for user in &users {
        assert_eq!(fixture.names(user).await, ["after"]);
    }
    let kept = json!([{"op": "replace", "path": "members", "value": [{"value": users[0]}]}]);
    fixture.patch(&group, kept).await.unwrap();
    assert_eq!((fixture.members(&group).await, fixture.names(&users[1]).await.len()), (1, 0));
    fixture.groups.delete(&group).await.unwrap();
    assert!(fixture.names(&users[0]).await.is_empty());
    assert!(matches!(fixture.groups.get(&group, &Projection::All).await, Err(ScimError::NotFound)));
    assert!(fixture.group("after", &[]).await.is_ok(), "the name is free");
}

#[tokio::test]
async fn names_are_unique_without_regard_to_case() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.group("one", &[]).await.unwrap(), fixture.group("two", &[]).await.unwrap());
    assert!(matches!(fixture.group("ONE", &[]).await, Err(ScimError::Uniqueness(_))));
    let rename = json!([{"op": "replace", "path": "displayName", "value": "One"}]);
    assert!(matches!(fixture.patch(&two, rename.clone()).await, Err(ScimError::Uniqueness(_))));
    fixture.patch(&one, rename).await.unwrap();
    assert_eq!(fixture.groups.get(&one, &Projection::All).await.unwrap()["displayName"], "One");
    fixture.patch(&one, json!([{"op": "replace", "path": "displayName", "value": "three"}])).await.unwrap();
    assert!(fixture.group("one", &[]).await.is_ok(), "the former name is free");
    let created = join_all((0..8).map(|_| fixture.group("four", &[]))).await;
    assert!(created.iter().filter(|created| created.is_ok()).count() <= 1);
}

#[tokio::test]
async fn concurrent_changes_leave_every_member_with_the_current_name() {
    let fixture = Fixture::new();
    let users = fixture.users(12).await;
    let group = fixture.group("before", &users[..4]).await.unwrap();
    let (one, two) = (add(&users[4..8]), add(&users[8..]));
    let rename = json!([{"op": "replace", "path": "displayName", "value": "after"}]);
    let done = tokio::join!(fixture.patch(&group, one), fixture.patch(&group, rename), fixture.patch(&group, two));
    assert!(done.0.is_ok() && done.1.is_ok() && done.2.is_ok(), "{done:?}");
    for user in &users {
        assert_eq!(fixture.names(user).await, ["after"]);
    }
    assert_eq!(fixture.members(&group).await, users.len());
}

#[tokio::test]
async fn nobody_is_a_member_of_a_group_that_was_deleted_meanwhile() {
    let fixture = Fixture::new();
    let users = fixture.users(8).await;
    for _ in 0..4 {
        let group = fixture.group("group", &users[..2]).await.unwrap();
        let (added, deleted) = tokio::join!(fixture.patch(&group, add(&users[2..])), fixture.groups.delete(&group));
        deleted.unwrap();
        assert!(matches!(added, Ok(()) | Err(ScimError::NotFound)), "{added:?}");
        if added.is_ok() {
            assert!(matches!(fixture.groups.delete(&group).await, Err(ScimError::NotFound)));
        }
        for user in &users {
            assert!(fixture.names(user).await.is_empty());
        }
    }
}

#[tokio::test]
async fn an_interrupted_change_is_completed_by_its_repetition() {
    let fixture = Fixture::new();
    let users = fixture.users(3).await;
    let group = fixture.group("group", &users[..1]).await.unwrap();
    // The process stopped after the members were listed.
    let index = index_of_members(&group);
    let records = fixture.groups.records();
    let change = records.change(index.shard).index_add(&index, &users[1], Ttl::Forever);
    change.index_add(&index, "gone", Ttl::Forever).commit().await.unwrap().unwrap();
    fixture.patch(&group, json!([{"op": "replace", "path": "displayName", "value": "renamed"}])).await.unwrap();
    assert!(fixture.names(&users[1]).await.is_empty(), "a rename makes nobody a member");
    fixture.patch(&group, add(&users[1..2])).await.unwrap();
    assert_eq!(fixture.names(&users[1]).await, ["renamed"]);
    fixture
        .patch(&group, json!([{"op": "replace", "path": "members", "value": [{"value": "unknown"}, {"value": users[2]}]}]))
        .await
        .unwrap();
    assert_eq!((fixture.members(&group).await, fixture.names(&users[0]).await.len()), (1, 0));
}

/// A process stopped while it renamed the group: one member has the new name, one has not yet been written, and one has left.
#[tokio::test]
async fn an_interrupted_rename_is_tolerated_by_readers_and_repaired_by_the_next_change() {
    for repair in [json!([{"op": "replace", "path": "displayName", "value": "before"}]), json!([])] {
        let fixture = Fixture::new();
        let users = fixture.users(3).await;
        let group = fixture.group("before", &users).await.unwrap();
        let record = fixture.groups.groups.get(&group).await.unwrap().unwrap();
        fixture.groups.groups.mark(&record.value, record.version, WriteIntent::Grant).await.unwrap().unwrap();
        let renamed = GroupMembership { id: group.clone(), name: "Admins".to_owned() };
        fixture.users.set_membership(&users[0], &renamed, Membership::Renamed).await.unwrap();
        fixture.users.set_membership(&users[1], &renamed, Membership::None).await.unwrap();
        assert_eq!(fixture.members(&group).await, 2, "the list has members whose records say so");
        fixture.patch(&group, repair).await.unwrap();
        assert_eq!(
            (fixture.names(&users[0]).await, fixture.names(&users[2]).await),
            (vec!["before".to_owned()], vec!["before".to_owned()])
        );
        assert!(fixture.names(&users[1]).await.is_empty());
        assert_eq!(fixture.groups.listed(&group).await.unwrap().len(), 2);
        assert!(!fixture.groups.groups.get(&group).await.unwrap().unwrap().value.is_changing);
    }
}

#[tokio::test]
async fn an_interrupted_deletion_is_completed_by_its_repetition() {
    let fixture = Fixture::new();
    let users = fixture.users(2).await;
    let group = fixture.group("group", &users).await.unwrap();
    let record = fixture.groups.groups.get(&group).await.unwrap().unwrap();
    fixture.groups.groups.mark(&record.value, record.version, WriteIntent::Revocation).await.unwrap().unwrap();
    let membership = GroupMembership { id: group.clone(), name: "group".to_owned() };
    fixture.users.set_membership(&users[0], &membership, Membership::None).await.unwrap();
    fixture.groups.delete(&group).await.unwrap();
    for user in &users {
        assert!(fixture.names(user).await.is_empty());
    }
    assert!(matches!(fixture.groups.delete(&group).await, Err(ScimError::NotFound)));
}

/// Names whose entries lead to a group that does not have them, as after a lost answer.
#[tokio::test]
async fn an_outdated_name_leads_to_no_group_and_is_free() {
    let fixture = Fixture::new();
    let group = fixture.group("one", &[]).await.unwrap();
    let record = fixture.groups.groups.get(&group).await.unwrap().unwrap().value;
    let renamed = GroupRecord { display_name: "two".to_owned(), ..record };
    assert!(fixture.groups.groups.assign_names(&renamed).await.unwrap());
    assert!(fixture.groups.groups.find(GroupName::DisplayName, "TWO").await.unwrap().is_none());
    let other = fixture.group("two", &[]).await.unwrap();
    assert_ne!(other, group);
    assert_eq!(fixture.groups.groups.find(GroupName::DisplayName, "two").await.unwrap().unwrap().id, other);
}

#[test]
fn records_of_earlier_versions_are_read() {
    let at = "2026-01-01T00:00:00Z";
    let written = json!({"id": "g-1", "provider": "corp", "display_name": "a", "created": at, "modified": at, "later": {"x": 1}});
    let group: GroupRecord = serde_json::from_value(written).unwrap();
    assert!(!group.is_changing && group.external_id.is_none() && group.other.is_empty());
    assert!(!serde_json::to_string(&group).unwrap().contains("is_changing"));
}
