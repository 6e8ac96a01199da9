mod former_users;
mod refusals;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::future::join_all;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::{
    clock::{Clock, SystemClock},
    principal::Role,
    role_map::RoleMap,
    store::{self, Ttl},
    users::{
        AccessChange, Browser, CurrentClaims, DeletionExtent, Limits, LinkOutcome, LoginRefusal, Logout, MAX_GROUPS, Membership,
        PriorAccess, ProvisionedAttributes, ProvisionedUsers, ProvisioningError, TestParts, Users, VerifiedLogin,
    },
};

const ISSUER: &str = "https://idp.example.com";
const DAY: Duration = Duration::from_secs(86_400);

struct Fixture {
    parts: TestParts,
    users: Arc<Users>,
    directory: ProvisionedUsers,
}

fn settings(attribute: LinkAttribute, claim: &str) -> ProvisioningSettings {
    let claim = LinkClaim::standard(claim).unwrap_or_else(|| LinkClaim::Other(ClaimPath::parse(claim).unwrap()));
    ProvisioningSettings { provider: "corp".to_owned(), issuer: ISSUER.to_owned(), attribute, claim }
}

fn users(parts: &TestParts, settings: Option<ProvisioningSettings>) -> Users {
    parts.users(Limits { idle: DAY, absolute: DAY, max_per_user: 100 }, DAY).with_provisioning(settings.map(Arc::new))
}

impl Fixture {
    fn new(attribute: LinkAttribute, claim: &str) -> Self {
        Self::with(TestParts::new(SystemClock), settings(attribute, claim))
    }

    /// Another pod with the same store.
    fn with(parts: TestParts, settings: ProvisioningSettings) -> Self {
        let users = Arc::new(users(&parts, Some(settings)));
        let directory = ProvisionedUsers::of(&users).expect("a directory is configured");
        Self { parts, users, directory }
    }

    async fn sign_in(&self, identity: IdentityClaims) -> Result<User, LoginRefusal> {
        let (logout, browser) = (Logout::default(), Browser::default());
        let (provider_session, authenticated_at, prior_access) = (None, None, PriorAccess::Keep);
        let login = VerifiedLogin { identity, provider_session, logout, authenticated_at, browser, prior_access };
        Ok(self.users.complete_login(&login).await?.user)
    }

    async fn create(&self, user_name: &str, external_id: &str) -> Result<User, ProvisioningError> {
        self.directory.create(attributes(user_name, Some(external_id))).await
    }

    async fn set_active(&self, id: &str, active: bool) -> AccessChange {
        let edit = |user: &ProvisionedUser| {
            Ok::<_, ProvisioningError>(ProvisionedAttributes {
                active,
                ..attributes(&user.user_name, user.external_id.as_deref())
            })
        };
        self.directory.update(id, edit).await.unwrap().expect("the user exists").access
    }

    async fn delete(&self, user: &str) {
        let deleted = self.users.delete(user, DeletionExtent::Complete, |_, change| Ok::<_, store::Error>(change)).await;
        assert!(deleted.expect("the store answers").is_some());
    }

    async fn count(&self) -> (usize, usize) {
        (self.users.list(None, 1_000).await.unwrap().users.len(), self.directory.ids().await.unwrap().len())
    }
}

fn attributes(user_name: &str, external_id: Option<&str>) -> ProvisionedAttributes {
    let external_id = external_id.map(str::to_owned);
    ProvisionedAttributes { user_name: user_name.to_owned(), external_id, active: true, other: OtherAttributes::new() }
}

/// An identity of the directory's provider, with the claims that a sign-in keeps.
fn identity(subject: &str, kept: &[(&str, &str)]) -> IdentityClaims {
    IdentityClaims {
        provider: "corp".to_owned(),
        issuer: ISSUER.to_owned(),
        subject: subject.to_owned(),
        id_token: json::object(json!({"sub": subject})),
        user_claims: kept.iter().map(|(claim, value)| ((*claim).to_owned(), (*value).to_owned())).collect(),
        ..IdentityClaims::default()
    }
}

const EMAIL_OF_ADA: [(&str, &str); 1] = [(VERIFIED_EMAIL, "ada@example.com")];

#[rstest]
#[case::subject(LinkAttribute::ExternalId, "sub", identity("x-1", &[]))]
#[case::claim(LinkAttribute::ExternalId, "oid", identity("s-1", &[("oid", "x-1")]))]
#[case::email(LinkAttribute::UserName, "email", identity("s-1", &EMAIL_OF_ADA))]
#[tokio::test]
async fn the_first_sign_in_opens_the_record_that_was_provisioned(
    #[case] attribute: LinkAttribute,
    #[case] claim: &str,
    #[case] identity: IdentityClaims,
) {
    let fixture = Fixture::new(attribute, claim);
    let provisioned = fixture.create("Ada@Example.com", "x-1").await.unwrap();
    assert_eq!(fixture.count().await, (1, 1));
    let signed_in = fixture.sign_in(identity).await.unwrap();
    assert_eq!((signed_in.id, fixture.count().await), (provisioned.id, (1, 1)));
    assert!(signed_in.provisioned.unwrap().subject.is_some());
}

#[rstest]
#[case::subject(LinkAttribute::ExternalId, "sub", identity("x-1", &[]))]
#[case::claim(LinkAttribute::ExternalId, "oid", identity("s-1", &[("oid", "x-1")]))]
#[case::email(LinkAttribute::UserName, "email", identity("s-1", &EMAIL_OF_ADA))]
#[tokio::test]
async fn a_user_who_signed_in_before_is_linked_when_they_are_provisioned(
    #[case] attribute: LinkAttribute,
    #[case] claim: &str,
    #[case] identity: IdentityClaims,
) {
    let fixture = Fixture::new(attribute, claim);
    let signed_in = fixture.sign_in(identity.clone()).await.unwrap();
    let provisioned = fixture.create("Ada@Example.com", "x-1").await.unwrap();
    assert_eq!((&provisioned.id, fixture.count().await), (&signed_in.id, (1, 1)));
    assert_eq!(provisioned.provisioned.unwrap().subject.as_deref(), Some(identity.subject.as_str()));
    assert!(matches!(fixture.create("other", "x-1").await, Err(ProvisioningError::Taken)));
}

/// The claim was not kept at the first sign-in, because the directory was not configured yet.
#[tokio::test]
async fn a_record_moves_to_the_user_who_had_signed_in_without_the_claim() {
    let fixture = Fixture::new(LinkAttribute::ExternalId, "oid");
    let signed_in = fixture.sign_in(identity("s-1", &[])).await.unwrap();
    let provisioned = fixture.create("ada", "x-1").await.unwrap();
    let group = GroupMembership { id: "g-1".to_owned(), name: "admins".to_owned() };
    let set = fixture.directory.set_membership(&provisioned.id, &group, Membership::Member).await.unwrap();
    assert_eq!(set, Some(Membership::Member));
    assert_ne!(provisioned.id, signed_in.id);
    let again = fixture.sign_in(identity("s-1", &[("oid", "x-1")])).await.unwrap();
    assert_eq!((&again.id, fixture.count().await), (&signed_in.id, (1, 1)));
    assert_eq!(again.provisioned.as_ref().unwrap().groups, [group]);
    for found in [
        fixture.directory.get(&provisioned.id).await.unwrap(),
        fixture.directory.find_by_user_name("ADA").await.unwrap(),
        fixture.directory.find_by_external_id("x-1").await.unwrap(),
    ] {
        assert_eq!(found.expect("it moved").id, signed_in.id);
    }
    assert_eq!(fixture.set_active(&provisioned.id, false).await, AccessChange::Disabled);
    assert!(matches!(fixture.sign_in(identity("s-1", &[("oid", "x-1")])).await, Err(LoginRefusal::Disabled)));
}

#[rstest]
#[case::one_shard(true)]
#[case::two_shards(false)]
#[tokio::test]
async fn an_interrupted_move_is_completed_by_the_next_request(#[case] is_same_shard: bool) {
    let fixture = Fixture::new(LinkAttribute::ExternalId, "oid");
    let signed_in = fixture.sign_in(identity("s-1", &[])).await.unwrap();
    let mut record = loop {
        let record = fixture.create("ada", "x-1").await.unwrap();
        if (User::key(&record.id).shard == User::key(&signed_in.id).shard) == is_same_shard {
            break record;
        }
        fixture.delete(&record.id).await;
    };
    record.provisioned.as_mut().unwrap().moved_to = Some(signed_in.id.clone());
    let key = User::key(&record.id);
    fixture.parts.records.change(key.shard).put(&key, &record, Ttl::Forever).commit().await.unwrap().unwrap();
    let found = fixture.directory.get(&record.id).await.unwrap().expect("the move is completed");
    assert_eq!((found.id, fixture.count().await), (signed_in.id, (1, 1)));
}

#[tokio::test]
async fn a_record_that_moves_keeps_the_refusal_of_an_administrator() {
    let fixture = Fixture::new(LinkAttribute::ExternalId, "oid");
    fixture.sign_in(identity("s-1", &[])).await.unwrap();
    let provisioned = fixture.create("ada", "x-1").await.unwrap();
    fixture.users.disable(&provisioned.id, |_| Ok::<_, store::Error>(())).await.unwrap();
    assert!(matches!(fixture.sign_in(identity("s-1", &[("oid", "x-1")])).await, Err(LoginRefusal::Disabled)));
    assert_eq!(fixture.count().await, (1, 1));
}

#[tokio::test]
async fn an_identity_that_is_linked_by_its_user_brings_the_provisioned_record() {
    let fixture = Fixture::new(LinkAttribute::ExternalId, "sub");
    let elsewhere =
        IdentityClaims { provider: "partner".to_owned(), issuer: "https://partner".to_owned(), ..identity("p-1", &[]) };
    let user = fixture.sign_in(elsewhere).await.unwrap();
    let provisioned = fixture.create("ada", "x-1").await.unwrap();
    assert_eq!(fixture.users.link(&user.id, &identity("x-1", &[]), None).await.unwrap(), LinkOutcome::Linked);
    let found = fixture.directory.get(&provisioned.id).await.unwrap().expect("it moved");
    assert_eq!((&found.id, fixture.count().await), (&user.id, (1, 1)));
    assert_eq!(fixture.sign_in(identity("x-1", &[])).await.unwrap().id, user.id);
}

#[rstest]
#[case::another_provider(LinkAttribute::UserName, "email", IdentityClaims { provider: "partner".to_owned(), issuer: "https://partner".to_owned(), ..identity("x-1", &EMAIL_OF_ADA) })]
#[case::same_issuer_of_another_provider(LinkAttribute::UserName, "email", IdentityClaims { provider: "partner".to_owned(), ..identity("s-9", &EMAIL_OF_ADA) })]
#[case::unverified_email(LinkAttribute::UserName, "email", identity("s-1", &[("email", "ada@example.com")]))]
#[case::another_subject(LinkAttribute::ExternalId, "sub", identity("x-2", &[]))]
#[case::another_case(LinkAttribute::ExternalId, "oid", identity("s-1", &[("oid", "X-1")]))]
#[tokio::test]
async fn other_identities_are_not_linked(
    #[case] attribute: LinkAttribute,
    #[case] claim: &str,
    #[case] identity: IdentityClaims,
) {
    let fixture = Fixture::new(attribute, claim);
    let provisioned = fixture.create("ada@example.com", "x-1").await.unwrap();
    let before = fixture.sign_in(identity.clone()).await;
    if let Ok(user) = before {
        assert_ne!(user.id, provisioned.id);
        assert!(user.provisioned.is_none());
    }
    let record = fixture.directory.get(&provisioned.id).await.unwrap().unwrap();
    assert!(record.identities.is_empty());
}

#[tokio::test]
async fn a_linked_user_keeps_the_identity_when_attributes_change() {
    let fixture = Fixture::new(LinkAttribute::UserName, "email");
    let ada = fixture.create("ada@example.com", "x-1").await.unwrap();
    fixture.sign_in(identity("s-1", &EMAIL_OF_ADA)).await.unwrap();
    let renamed =
        fixture.directory.update(&ada.id, |_| Ok::<_, ProvisioningError>(attributes("a.b@example.com", Some("x-1")))).await;
    let renamed = renamed.unwrap().unwrap().user;
    assert!(renamed.evaluated_identities(fixture.users.provisioning())[0].scim.is_some());
    // Another person with the new address does not get the account.
    let other = identity("s-2", &[(VERIFIED_EMAIL, "a.b@example.com")]);
    assert!(matches!(fixture.sign_in(other).await, Err(LoginRefusal::UserClaimTaken { .. })));
    // The former address is free when the provider no longer says that it is hers.
    assert!(matches!(fixture.create("ada@example.com", "x-2").await, Err(ProvisioningError::Taken)));
    fixture.sign_in(identity("s-1", &[(VERIFIED_EMAIL, "a.b@example.com")])).await.unwrap();
    assert_ne!(fixture.create("ada@example.com", "x-2").await.unwrap().id, ada.id);
}

#[tokio::test]
async fn names_are_unique() {
    let fixture = Fixture::new(LinkAttribute::ExternalId, "sub");
    let ada = fixture.create("ada", "x-1").await.unwrap();
    let bob = fixture.create("bob", "x-2").await.unwrap();
    for (user_name, external_id) in [("ADA", "x-3"), ("eve", "x-1")] {
        assert!(matches!(fixture.create(user_name, external_id).await, Err(ProvisioningError::Taken)));
        let edit = |_: &ProvisionedUser| Ok::<_, ProvisioningError>(attributes(user_name, Some(external_id)));
        assert!(matches!(fixture.directory.update(&bob.id, edit).await, Err(ProvisioningError::Taken)));
    }
    fixture.delete(&ada.id).await;
    assert!(fixture.directory.get(&ada.id).await.unwrap().is_none());
    assert_ne!(fixture.create("ada", "x-1").await.unwrap().id, ada.id);
}

#[rstest]
#[case::same_request(|_| "x-1".to_owned())]
#[case::same_name(|number| format!("x-{number}"))]
#[tokio::test]
async fn one_of_concurrent_requests_creates_the_user(#[case] external_id: fn(usize) -> String) {
    let fixture = Fixture::new(LinkAttribute::ExternalId, "sub");
    let ids: Vec<String> = (0..8).map(external_id).collect();
    let created = join_all(ids.iter().map(|id| fixture.create("ada", id))).await;
    assert!(created.iter().filter(|created| created.is_ok()).count() <= 1);
    if created.iter().all(Result::is_err) {
        fixture.create("ada", "x-1").await.expect("no request left anything behind");
    }
    assert_eq!(fixture.count().await, (1, 1));
}

#[tokio::test]
async fn the_directory_and_administrators_refuse_independently() {
    let fixture = Fixture::new(LinkAttribute::ExternalId, "sub");
    let ada = fixture.create("ada", "x-1").await.unwrap();
    let before = fixture.sign_in(identity("x-1", &[])).await.unwrap();
    assert_eq!(fixture.set_active(&ada.id, false).await, AccessChange::Disabled);
    assert_eq!(fixture.set_active(&ada.id, false).await, AccessChange::None);
    let inactive = fixture.directory.get(&ada.id).await.unwrap().unwrap();
    assert!(inactive.is_disabled() && !inactive.disabled);
    assert_ne!(inactive.session_generation, before.session_generation);
    assert_ne!(inactive.key_generation, before.key_generation);
    let allow = |_: &User| Ok::<_, store::Error>(());
    fixture.users.disable(&ada.id, allow).await.unwrap();
    assert_eq!(fixture.set_active(&ada.id, true).await, AccessChange::Enabled);
    assert!(matches!(fixture.sign_in(identity("x-1", &[])).await, Err(LoginRefusal::Disabled)));
    fixture.users.enable(&ada.id, allow).await.unwrap();
    assert!(fixture.sign_in(identity("x-1", &[])).await.is_ok());
}

#[tokio::test]
async fn without_a_directory_an_administrator_ends_its_refusal() {
    let fixture = Fixture::new(LinkAttribute::ExternalId, "sub");
    let ada = fixture.create("ada", "x-1").await.unwrap();
    fixture.set_active(&ada.id, false).await;
    let allow = |_: &User| Ok::<_, store::Error>(());
    assert!(fixture.users.enable(&ada.id, allow).await.unwrap().unwrap().is_disabled());
    let users = users(&fixture.parts, None);
    assert!(!users.enable(&ada.id, allow).await.unwrap().unwrap().is_disabled());
}

#[tokio::test]
async fn a_user_has_a_bounded_number_of_groups() {
    let fixture = Fixture::new(LinkAttribute::ExternalId, "sub");
    let ada = fixture.create("ada", "x-1").await.unwrap();
    let mut record = ada.clone();
    let group = |number: usize| GroupMembership { id: format!("g-{number:05}"), name: format!("group {number}") };
    record.provisioned.as_mut().unwrap().groups = (0..MAX_GROUPS).map(group).collect();
    let key = User::key(&ada.id);
    fixture.parts.records.change(key.shard).put(&key, &record, Ttl::Forever).commit().await.unwrap().unwrap();
    let set = async |number, membership| fixture.directory.set_membership(&ada.id, &group(number), membership).await;
    assert!(matches!(set(MAX_GROUPS, Membership::Member).await, Err(ProvisioningError::TooManyGroups)));
    assert_eq!(set(7, Membership::None).await.unwrap(), Some(Membership::None));
    assert_eq!(set(7, Membership::Renamed).await.unwrap(), Some(Membership::None));
    let groups = || async { fixture.directory.get(&ada.id).await.unwrap().unwrap().provisioned.unwrap().groups.len() };
    assert_eq!(groups().await, MAX_GROUPS - 1, "a former member does not become one again");
    assert!(set(MAX_GROUPS, Membership::Member).await.unwrap().is_some());
    assert_eq!(groups().await, MAX_GROUPS);
    assert!(fixture.directory.set_membership("unknown", &group(1), Membership::Member).await.unwrap().is_none());
}

const ROLE_MAP: &str = "version: 1\nroles: [admin, member, viewer]\ndefault_role: viewer\nrules:\n  \
                        - {provider: corp, source: scim, claim: groups, match: admins, role: admin}\n  \
                        - {provider: corp, claim: role, match: member, role: member}\n";

#[rstest]
#[case::current(Some(1), &["admins"], Some("admin"))]
#[case::current_without_a_group(Some(1), &[], Some("member"))]
#[case::expired(Some(90_000), &["admins"], None)]
#[case::expired_without_a_group(Some(90_000), &["others"], None)]
#[case::before_the_first_sign_in(None, &["admins"], Some("admin"))]
#[case::before_the_first_sign_in_without_a_group(None, &[], None)]
fn groups_count_with_the_identity_that_they_are_linked_to(
    #[case] age: Option<i64>,
    #[case] groups: &[&str],
    #[case] expected: Option<&str>,
) {
    let (now, settings) = (SystemClock.now(), settings(LinkAttribute::ExternalId, "sub"));
    let mut user = User::new("u-1", now);
    let group = |name: &&str| GroupMembership { id: format!("id of {name}"), name: (*name).to_owned() };
    user.provisioned = Some(ProvisionedUser {
        id: "u-1".to_owned(),
        provider: "corp".to_owned(),
        active: true,
        user_name: "ada".to_owned(),
        external_id: Some("x-1".to_owned()),
        link: settings.link("ada", Some("x-1")),
        subject: None,
        groups: groups.iter().map(group).collect(),
        other: OtherAttributes::new(),
        created: now,
        modified: now,
        moved_to: None,
    });
    if let Some(age) = age {
        let verified_at = Some(now - jiff::SignedDuration::from_secs(age));
        let id_token = json::object(json!({"role": "member"}));
        user.identities.push(IdentityClaims { id_token, verified_at, ..identity("x-1", &[]) });
    }
    let map = RoleMap::parse(ROLE_MAP).unwrap();
    let role = |settings| {
        let claims = CurrentClaims::select(user.evaluated_identities(settings), None, |_| DAY, now);
        claims.grant(&map).role.as_ref().map(Role::as_str).map(str::to_owned)
    };
    assert_eq!(role(Some(&settings)).as_deref(), expected);
    let unprovisioned = age.filter(|age| *age < 86_400).map(|_| "member");
    assert_eq!(role(None).as_deref(), unprovisioned, "a directory that is not configured does not count");
}

#[test]
fn debug_output_has_no_attribute() {
    let link = ClaimLink { issuer: ISSUER.to_owned(), claim: "oid".to_owned(), value: "hidden".to_owned() };
    let now = SystemClock.now();
    let user = ProvisionedUser {
        id: "u-1".to_owned(),
        provider: "corp".to_owned(),
        active: true,
        user_name: "hidden".to_owned(),
        external_id: Some("hidden".to_owned()),
        link: Some(link),
        subject: Some("hidden".to_owned()),
        groups: vec![GroupMembership { id: "g".to_owned(), name: "hidden".to_owned() }],
        other: [("title".to_owned(), json!("hidden"))].into_iter().collect(),
        created: now,
        modified: now,
        moved_to: None,
    };
    let shown = format!("{user:?} {:?}", user.link);
    assert!(!shown.contains("hidden") && shown.contains("corp"), "{shown}");
    let stored = serde_json::to_value(&user).unwrap();
    assert!(serde_json::from_value::<ProvisionedUser>(stored).unwrap() == user);
}
