//! Users who signed in before they were provisioned, or before the directory was configured.

use super::*;

/// An identity as a pod without the directory stored it: the claim is there, but not kept for the index.
fn unindexed(subject: &str, claims: serde_json::Value) -> IdentityClaims {
    IdentityClaims { id_token: json::object(claims), ..identity(subject, &[]) }
}

/// Signs in on a pod that does not know the directory.
async fn sign_in_without_directory(fixture: &Fixture, identity: IdentityClaims) -> User {
    let pod = Fixture::with(fixture.parts.clone(), settings(LinkAttribute::ExternalId, "sub"));
    let pod = Fixture { users: Arc::new(users(&fixture.parts, None)), ..pod };
    pod.sign_in(identity).await.unwrap()
}

fn with_link(external_id: &str, active: bool) -> impl Fn(&ProvisionedUser) -> Result<ProvisionedAttributes, ProvisioningError> {
    let external_id = external_id.to_owned();
    move |user| Ok(ProvisionedAttributes { active, ..attributes(&user.user_name, Some(&external_id)) })
}

#[rstest]
#[case::claim(LinkAttribute::ExternalId, "oid", json!({"oid": "x-1"}))]
#[case::nested_claim(LinkAttribute::ExternalId, "ids.oid", json!({"ids": {"oid": "x-1"}}))]
#[case::email(LinkAttribute::UserName, "email", json!({"email": "Ada@EXAMPLE.com", "email_verified": "true"}))]
#[tokio::test]
async fn the_directory_disables_a_user_who_signed_in_before_it_was_configured(
    #[case] attribute: LinkAttribute,
    #[case] claim: &str,
    #[case] claims: serde_json::Value,
) {
    for is_indexed_first in [true, false] {
        let fixture = Fixture::new(attribute, claim);
        let former = sign_in_without_directory(&fixture, unindexed("s-1", claims.clone())).await;
        if is_indexed_first {
            assert_eq!(fixture.directory.link_former_users().await, Ok(1));
            assert_eq!(fixture.directory.link_former_users().await, Ok(0));
        }
        let provisioned = fixture.create("ada@example.com", "x-1").await.unwrap();
        assert_eq!(provisioned.id == former.id, is_indexed_first);
        fixture.set_active(&provisioned.id, false).await;
        let found = fixture.directory.get(&provisioned.id).await.unwrap().unwrap();
        let refused = fixture.directory.link_before_refusal(found).await.unwrap().expect("the user exists");
        assert_eq!((&refused.id, refused.is_disabled(), fixture.count().await), (&former.id, true, (1, 1)));
        assert_ne!(refused.session_generation, former.session_generation, "the sessions have ended");
        assert_eq!(refused.provisioned.unwrap().subject.as_deref(), Some("s-1"));
        assert!(matches!(fixture.sign_in(unindexed("s-1", claims.clone())).await, Err(LoginRefusal::Disabled)));
    }
}

#[rstest]
#[case::unverified_email(LinkAttribute::UserName, "email", json!({"email": "ada@example.com"}))]
#[case::kelvin_sign(LinkAttribute::UserName, "email", json!({"email": "\u{212a}im@example.com", "email_verified": true}))]
#[case::another_value(LinkAttribute::ExternalId, "oid", json!({"oid": "x-2"}))]
#[case::several_values(LinkAttribute::ExternalId, "oid", json!({"oid": ["x-1", "x-2"]}))]
#[tokio::test]
async fn other_users_are_not_linked_by_their_stored_claims(
    #[case] attribute: LinkAttribute,
    #[case] claim: &str,
    #[case] claims: serde_json::Value,
) {
    let fixture = Fixture::new(attribute, claim);
    let former = sign_in_without_directory(&fixture, unindexed("s-1", claims)).await;
    for (user_name, external_id) in [("ada@example.com", "x-1"), ("kim@example.com", "x-3")] {
        let provisioned = fixture.create(user_name, external_id).await.unwrap();
        fixture.set_active(&provisioned.id, false).await;
        let found = fixture.directory.get(&provisioned.id).await.unwrap().unwrap();
        let refused = fixture.directory.link_before_refusal(found).await.unwrap().unwrap();
        assert_ne!(refused.id, former.id);
    }
    assert!(!fixture.users.get(&former.id).await.unwrap().unwrap().value.is_disabled());
}

#[rstest]
#[case::active(true)]
#[case::inactive(false)]
#[tokio::test]
async fn a_changed_link_moves_the_provisioned_user_to_the_one_who_has_signed_in(#[case] active: bool) {
    let fixture = Fixture::new(LinkAttribute::ExternalId, "oid");
    let ada = fixture.sign_in(identity("s-1", &[("oid", "x-1")])).await.unwrap();
    let provisioned = fixture.create("ada", "unmapped").await.unwrap();
    let group = GroupMembership { id: "g-1".to_owned(), name: "admins".to_owned() };
    fixture.directory.set_membership(&provisioned.id, &group, Membership::Member).await.unwrap();
    let changed = fixture.directory.update(&provisioned.id, with_link("x-1", active)).await.unwrap().unwrap();
    assert_eq!((&changed.user.id, fixture.count().await), (&ada.id, (1, 1)));
    assert_eq!(changed.access, if active { AccessChange::None } else { AccessChange::Disabled });
    let own = fixture.directory.get(&provisioned.id).await.unwrap().unwrap();
    assert_eq!((own.id, own.provisioned.unwrap().groups), (ada.id, vec![group]));
    assert_eq!(fixture.sign_in(identity("s-1", &[("oid", "x-1")])).await.is_ok(), active);
    assert!(fixture.create("eve", "unmapped").await.is_ok(), "the former value is free");
}

#[tokio::test]
async fn a_changed_link_takes_no_identity_from_another_provisioned_user() {
    let fixture = Fixture::new(LinkAttribute::ExternalId, "oid");
    fixture.sign_in(identity("s-1", &[("oid", "x-1")])).await.unwrap();
    fixture.create("ada", "x-1").await.unwrap();
    let eve = fixture.create("eve", "x-2").await.unwrap();
    let change = || fixture.directory.update(&eve.id, with_link("x-1", true));
    assert!(matches!(change().await, Err(ProvisioningError::Taken)));
    // Nor does a user who has signed in get a second one.
    fixture.sign_in(identity("s-2", &[("oid", "x-2")])).await.unwrap();
    fixture.sign_in(identity("s-3", &[("oid", "x-3")])).await.unwrap();
    assert!(matches!(fixture.directory.update(&eve.id, with_link("x-3", true)).await, Err(ProvisioningError::Taken)));
}

/// Writes an index entry that a lost answer left behind.
async fn leave_entry(fixture: &Fixture, subject: &str, user: &str) {
    let (key, entry) = (Identity::key(&Identity::digest(ISSUER, subject)), Identity { user: user.to_owned() });
    fixture.parts.records.change(key.shard).put(&key, &entry, Ttl::Forever).commit().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_former_subject_leads_to_no_user() {
    let fixture = Fixture::new(LinkAttribute::ExternalId, "sub");
    let ada = fixture.create("ada", "x-1").await.unwrap();
    fixture.directory.update(&ada.id, with_link("x-2", true)).await.unwrap().unwrap();
    leave_entry(&fixture, "x-1", &ada.id).await;
    let find = async |subject| fixture.users.find(ISSUER, subject).await.unwrap();
    assert_eq!((find("x-1").await, find("x-2").await.as_ref()), (None, Some(&ada.id)));
    let other = fixture.sign_in(identity("x-1", &[])).await.unwrap();
    assert_ne!(other.id, ada.id);
    assert_eq!(fixture.sign_in(identity("x-2", &[])).await.unwrap().id, ada.id);
    assert_eq!(find("x-1").await.as_ref(), Some(&other.id));
    assert!(matches!(fixture.create("eve", "x-2").await, Err(ProvisioningError::Taken)));
}

#[tokio::test]
async fn two_subjects_whose_entries_name_one_user_become_two_users() {
    let fixture = Fixture::new(LinkAttribute::ExternalId, "sub");
    // Both entries remain of a user whose record is gone.
    for subject in ["x-1", "x-2", "x-3"] {
        leave_entry(&fixture, subject, "gone").await;
    }
    let identities = ["x-1", "x-2", "x-3"].map(|subject| fixture.sign_in(identity(subject, &[])));
    let ids: BTreeSet<String> = join_all(identities).await.into_iter().map(|user| user.unwrap().id).collect();
    assert_eq!(ids.len(), 3);
    for id in ids {
        assert_eq!(fixture.users.get(&id).await.unwrap().unwrap().value.identities.len(), 1);
    }
}

#[tokio::test]
async fn a_membership_that_is_set_during_a_move_is_not_lost() {
    for _ in 0..20 {
        let fixture = Fixture::new(LinkAttribute::ExternalId, "oid");
        fixture.sign_in(identity("s-1", &[])).await.unwrap();
        let provisioned = fixture.create("ada", "x-1").await.unwrap();
        let group = |number: usize| GroupMembership { id: format!("g-{number}"), name: "admins".to_owned() };
        let memberships = join_all((0..4).map(|number| {
            let (fixture, id, group) = (&fixture, &provisioned.id, group(number));
            async move { fixture.directory.set_membership(id, &group, Membership::Member).await.unwrap() }
        }));
        let (set, signed_in) = tokio::join!(memberships, fixture.sign_in(identity("s-1", &[("oid", "x-1")])));
        assert!(set.iter().all(|set| *set == Some(Membership::Member)));
        let user = fixture.users.get(&signed_in.unwrap().id).await.unwrap().unwrap().value;
        assert_eq!(user.provisioned.unwrap().groups.len(), 4);
    }
}

#[tokio::test]
async fn a_membership_reaches_the_user_to_whom_a_marked_record_moves() {
    let fixture = Fixture::new(LinkAttribute::ExternalId, "oid");
    let signed_in = fixture.sign_in(identity("s-1", &[])).await.unwrap();
    let mut record = fixture.create("ada", "x-1").await.unwrap();
    record.provisioned.as_mut().unwrap().moved_to = Some(signed_in.id.clone());
    let key = User::key(&record.id);
    fixture.parts.records.change(key.shard).put(&key, &record, Ttl::Forever).commit().await.unwrap().unwrap();
    let group = GroupMembership { id: "g-1".to_owned(), name: "admins".to_owned() };
    fixture.directory.set_membership(&record.id, &group, Membership::Member).await.unwrap();
    let user = fixture.users.get(&signed_in.id).await.unwrap().unwrap().value;
    assert_eq!(user.provisioned.unwrap().groups, [group]);
}

/// The directories of two providers with one issuer, as after a provider got another id.
#[rstest]
#[case::signed_in(true)]
#[case::not_signed_in(false)]
#[tokio::test]
async fn users_of_a_former_directory_stay_refused_until_an_administrator_or_the_new_one_enables_them(
    #[case] has_signed_in: bool,
) {
    let former = Fixture::new(LinkAttribute::ExternalId, "sub");
    let (ada, bob) = (former.create("ada", "x-1").await.unwrap(), former.create("bob", "x-2").await.unwrap());
    if has_signed_in {
        former.sign_in(identity("x-1", &[])).await.unwrap();
    }
    for user in [&ada, &bob] {
        former.set_active(&user.id, false).await;
    }
    let settings = ProvisioningSettings { provider: "next".to_owned(), ..settings(LinkAttribute::ExternalId, "sub") };
    let fixture = Fixture::with(former.parts.clone(), settings);
    assert!(matches!(fixture.sign_in(identity("x-1", &[])).await, Err(LoginRefusal::Disabled)));
    assert!(fixture.directory.get(&ada.id).await.unwrap().is_none(), "it is not the new directory's user");
    assert_eq!(fixture.directory.get_all(&fixture.directory.ids().await.unwrap()).await.unwrap().len(), 0);
    assert_eq!(fixture.count().await, (2, 0), "they are no longer listed");
    let enabled = fixture.users.enable(&ada.id, |_| Ok::<_, store::Error>(())).await.unwrap().unwrap();
    assert!(!enabled.is_disabled());
    let provisioned = fixture.create("bob", "x-2").await.unwrap();
    assert_eq!((&provisioned.id, provisioned.is_disabled()), (&bob.id, false));
    assert_eq!(provisioned.provisioned.unwrap().provider, "next");
    assert_eq!(fixture.count().await, (2, 1));
}

#[tokio::test]
async fn an_interrupted_link_leaves_the_identity_to_its_own_sign_in() {
    let fixture = Fixture::new(LinkAttribute::ExternalId, "sub");
    let ada = fixture.sign_in(identity("s-1", &[])).await.unwrap();
    leave_entry(&fixture, "s-2", &ada.id).await;
    let other = fixture.sign_in(identity("s-2", &[])).await.unwrap();
    assert_ne!(other.id, ada.id);
    assert_eq!(fixture.users.link(&ada.id, &identity("s-2", &[]), None).await.unwrap(), LinkOutcome::Taken);
}
