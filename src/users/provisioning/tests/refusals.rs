//! The refusal of an administrator survives the directory's deletion of the user.

use super::*;
use crate::users::Deletion;

async fn disable(fixture: &Fixture, user: &str) {
    fixture.users.disable(user, |_| Ok::<_, store::Error>(())).await.unwrap().unwrap();
}

async fn delete_by_directory(fixture: &Fixture, user: &str) -> Deletion {
    let deleted = fixture.users.delete(user, DeletionExtent::KeepRefusal, |_, change| Ok::<_, store::Error>(change)).await;
    deleted.unwrap().expect("the user exists")
}

#[rstest]
#[case::subject(LinkAttribute::ExternalId, "sub", identity("x-1", &[]))]
#[case::claim(LinkAttribute::ExternalId, "oid", identity("s-1", &[("oid", "x-1")]))]
#[case::email(LinkAttribute::UserName, "email", identity("s-1", &EMAIL_OF_ADA))]
#[tokio::test]
async fn a_disabled_user_stays_disabled_after_the_directory_deleted_and_created_them(
    #[case] attribute: LinkAttribute,
    #[case] claim: &str,
    #[case] identity: IdentityClaims,
    #[values(true, false)] has_signed_in: bool,
) {
    let fixture = Fixture::new(attribute, claim);
    let ada = fixture.create("ada@example.com", "x-1").await.unwrap();
    if has_signed_in {
        fixture.sign_in(identity.clone()).await.unwrap();
    }
    disable(&fixture, &ada.id).await;
    let deletion = delete_by_directory(&fixture, &ada.id).await;
    assert!(deletion.is_refusal_kept);
    assert!(fixture.directory.get(&ada.id).await.unwrap().is_none());
    assert_eq!(fixture.count().await, (1, 0));
    assert!(fixture.directory.find_by_user_name("ada@example.com").await.unwrap().is_none());
    // Without the directory, and after it has created the user again.
    assert!(matches!(fixture.sign_in(identity.clone()).await, Err(LoginRefusal::Disabled)));
    let again = fixture.create("ada@example.com", "x-1").await.unwrap();
    assert_eq!((&again.id, again.is_disabled(), again.is_inactive()), (&ada.id, true, false));
    assert!(matches!(fixture.sign_in(identity.clone()).await, Err(LoginRefusal::Disabled)));
    fixture.users.enable(&ada.id, |_| Ok::<_, store::Error>(())).await.unwrap().unwrap();
    assert_eq!(fixture.sign_in(identity).await.unwrap().id, ada.id);
}

#[tokio::test]
async fn the_kept_record_has_no_claims_and_no_attributes() {
    let fixture = Fixture::new(LinkAttribute::ExternalId, "oid");
    let ada = fixture.create("ada@example.com", "x-1").await.unwrap();
    fixture.sign_in(identity("s-1", &[("oid", "x-1")])).await.unwrap();
    disable(&fixture, &ada.id).await;
    delete_by_directory(&fixture, &ada.id).await;
    let kept = fixture.users.get(&ada.id).await.unwrap().unwrap().value;
    assert!(kept.provisioned.is_none() && kept.disabled && kept.identities[0].id_token.is_empty());
    let written = serde_json::to_string(&kept).unwrap();
    assert!(!written.contains("ada@example.com"), "{written}");
    // An administrator's deletion is complete.
    fixture.delete(&ada.id).await;
    assert_ne!(fixture.create("ada@example.com", "x-1").await.unwrap().id, ada.id);
}

#[tokio::test]
async fn only_the_refusal_of_an_administrator_is_kept() {
    let fixture = Fixture::new(LinkAttribute::ExternalId, "sub");
    for active in [true, false] {
        let ada = fixture.create("ada", "x-1").await.unwrap();
        fixture.sign_in(identity("x-1", &[])).await.unwrap();
        fixture.set_active(&ada.id, active).await;
        assert!(!delete_by_directory(&fixture, &ada.id).await.is_refusal_kept);
        assert_eq!(fixture.count().await, (0, 0));
    }
    assert!(fixture.sign_in(identity("x-1", &[])).await.is_ok());
}

#[tokio::test]
async fn a_new_link_of_the_directory_replaces_the_former_one() {
    let fixture = Fixture::new(LinkAttribute::ExternalId, "sub");
    let ada = fixture.create("ada", "x-1").await.unwrap();
    disable(&fixture, &ada.id).await;
    delete_by_directory(&fixture, &ada.id).await;
    fixture.create("ada", "x-1").await.unwrap();
    let edit = |_: &ProvisionedUser| Ok::<_, ProvisioningError>(attributes("ada", Some("x-2")));
    fixture.directory.update(&ada.id, edit).await.unwrap().unwrap();
    assert!(fixture.sign_in(identity("x-1", &[])).await.is_ok());
    assert!(matches!(fixture.sign_in(identity("x-2", &[])).await, Err(LoginRefusal::Disabled)));
}

/// Pods of earlier versions write records without the fields that they do not know.
#[test]
fn records_of_earlier_versions_are_read() {
    let user = User::new("u-1", SystemClock.now());
    let mut written = serde_json::to_value(&user).unwrap();
    let fields = written.as_object_mut().unwrap();
    assert!(!fields.contains_key("former_link") && !fields.contains_key("provisioned"));
    fields.insert("a field of a later version".to_owned(), json!({"x": 1}));
    assert_eq!(serde_json::from_value::<User>(written).unwrap(), user);
}
