use std::time::Duration;

use crate::{
    clock::SystemClock,
    principal::IdentityClaims,
    store::{self, Records, Ttl},
    users::{
        Browser, DeletionExtent, EmailOwners, Identity, Limits, LinkOutcome, LoginRefusal, Logout, PriorAccess, TestParts,
        UnlinkOutcome, User, Users, VerifiedLogin,
    },
};

const ISSUER: &str = "https://idp.example.com";
const DAY: Duration = Duration::from_secs(86_400);

struct Fixture {
    records: Records,
    users: Users,
}

impl Fixture {
    fn new() -> Self {
        let parts = TestParts::new(SystemClock);
        let users = parts.users(Limits { idle: DAY, absolute: DAY, max_per_user: 100 }, DAY);
        Self { records: parts.records, users }
    }

    async fn sign_in(&self, identity: IdentityClaims) -> Result<User, LoginRefusal> {
        let (logout, browser) = (Logout::default(), Browser::default());
        let (provider_session, authenticated_at, prior_access) = (None, None, PriorAccess::Keep);
        let login = VerifiedLogin { identity, provider_session, logout, authenticated_at, browser, prior_access };
        Ok(self.users.complete_login(&login).await?.user)
    }

    async fn delete(&self, user: &User) {
        let deleted = self.users.delete(&user.id, DeletionExtent::Complete, |_, change| Ok::<_, store::Error>(change)).await;
        assert!(deleted.expect("the store answers").is_some());
    }

    /// The user that the index names for an `oid`.
    async fn user_of(&self, oid: &str) -> Option<String> {
        let key = Identity::key(&Identity::user_claim_digest(ISSUER, "oid", oid));
        self.records.get::<Identity>(&key).await.unwrap().map(|found| found.value.user)
    }

    async fn user_of_subject(&self, subject: &str) -> Option<String> {
        self.users.find(ISSUER, subject).await.unwrap()
    }
}

fn identity(subject: &str, oid: &str) -> IdentityClaims {
    IdentityClaims {
        provider: "corp".to_owned(),
        issuer: ISSUER.to_owned(),
        subject: subject.to_owned(),
        id_token: [("oid".to_owned(), oid.into())].into_iter().collect(),
        user_claims: [("oid".to_owned(), oid.to_owned())].into(),
        ..IdentityClaims::default()
    }
}

fn without_claim(subject: &str) -> IdentityClaims {
    IdentityClaims { user_claims: Default::default(), ..identity(subject, "-") }
}

#[tokio::test]
async fn a_sign_in_writes_the_entry_of_the_claim_and_deleting_the_user_removes_it() {
    let fixture = Fixture::new();
    let ada = fixture.sign_in(identity("ada", "o-1")).await.unwrap();
    assert_eq!(fixture.user_of("o-1").await.as_ref(), Some(&ada.id));
    fixture.delete(&ada).await;
    assert_eq!((fixture.user_of("o-1").await, fixture.user_of_subject("ada").await), (None, None));
}

#[tokio::test]
async fn a_user_of_a_released_version_gets_the_entry_at_the_next_sign_in() {
    let fixture = Fixture::new();
    let ada = fixture.sign_in(without_claim("ada")).await.unwrap();
    assert_eq!(fixture.user_of("o-1").await, None);
    assert_eq!(fixture.sign_in(identity("ada", "o-1")).await.unwrap().id, ada.id);
    assert_eq!(fixture.user_of("o-1").await, Some(ada.id));
}

#[tokio::test]
async fn a_changed_value_moves_the_entry() {
    let fixture = Fixture::new();
    let ada = fixture.sign_in(identity("ada", "o-1")).await.unwrap();
    fixture.sign_in(identity("ada", "o-2")).await.unwrap();
    assert_eq!((fixture.user_of("o-1").await, fixture.user_of("o-2").await), (None, Some(ada.id)));
}

#[tokio::test]
async fn another_user_with_the_same_value_is_refused_until_the_first_is_deleted() {
    let fixture = Fixture::new();
    let ada = fixture.sign_in(identity("ada", "o-1")).await.unwrap();
    let refused = fixture.sign_in(identity("bob", "o-1")).await.unwrap_err();
    assert!(matches!(refused, LoginRefusal::UserClaimTaken { owner } if owner == ada.id));
    assert_eq!(fixture.user_of("o-1").await.as_ref(), Some(&ada.id));
    fixture.delete(&ada).await;
    let bob = fixture.sign_in(identity("bob", "o-1")).await.unwrap();
    assert_eq!(fixture.user_of("o-1").await, Some(bob.id));
}

#[tokio::test]
async fn an_entry_that_its_user_no_longer_confirms_is_free() {
    let fixture = Fixture::new();
    let ada = fixture.sign_in(identity("ada", "o-1")).await.unwrap();
    // A pod of a released version drops the field when it writes the record.
    let key = User::key(&ada.id);
    let older = User { identities: vec![without_claim("ada")], ..ada };
    let change = fixture.records.change(key.shard).put(&key, &older, Ttl::Forever);
    change.commit().await.unwrap().unwrap();
    let bob = fixture.sign_in(identity("bob", "o-1")).await.unwrap();
    assert_eq!(fixture.user_of("o-1").await, Some(bob.id));
}

#[tokio::test]
async fn an_identity_whose_claim_belongs_to_another_user_is_not_linked() {
    let fixture = Fixture::new();
    let ada = fixture.sign_in(identity("ada", "o-1")).await.unwrap();
    let bob = fixture.sign_in(identity("bob", "o-2")).await.unwrap();
    assert_eq!(fixture.users.link(&bob.id, &identity("ada-at-home", "o-1"), None).await.unwrap(), LinkOutcome::Taken);
    assert_eq!((fixture.user_of("o-1").await, fixture.user_of_subject("ada-at-home").await), (Some(ada.id), None));
}

#[tokio::test]
async fn unlinking_removes_the_entry_unless_another_identity_of_the_user_has_it_too() {
    let fixture = Fixture::new();
    let ada = fixture.sign_in(identity("ada", "o-1")).await.unwrap();
    for (subject, oid) in [("same", "o-1"), ("other", "o-2")] {
        assert_eq!(fixture.users.link(&ada.id, &identity(subject, oid), None).await.unwrap(), LinkOutcome::Linked);
    }
    for (subject, oid, expected) in [("same", "o-1", Some(ada.id.clone())), ("other", "o-2", None)] {
        let unlinked = fixture.users.unlink(&ada.id, (ISSUER, subject), None, |change| change).await.unwrap();
        assert_eq!((unlinked, fixture.user_of(oid).await), (UnlinkOutcome::Unlinked, expected), "{subject}");
    }
}

fn with_email(subject: &str, email: &str, verified: bool) -> IdentityClaims {
    let claims = crate::json::object(serde_json::json!({ "email": email, "email_verified": verified }));
    IdentityClaims { id_token: claims, user_claims: Default::default(), ..identity(subject, "-") }
}

impl Fixture {
    /// The users with an address; `None` if there are too many.
    async fn owners(&self, email: &str) -> Option<Vec<String>> {
        match self.users.find_by_email(email).await.unwrap() {
            EmailOwners::Known(users) => Some(users.into_iter().map(|user| user.id).collect()),
            EmailOwners::Unknown => None,
        }
    }
}

#[tokio::test]
async fn a_verified_address_leads_to_its_users_until_they_no_longer_have_it() {
    let fixture = Fixture::new();
    let ada = fixture.sign_in(with_email("ada", "Ada@Example.com", true)).await.unwrap();
    fixture.sign_in(with_email("eve", "ada@example.com", false)).await.unwrap();
    let bob = fixture.sign_in(with_email("bob", "bob@example.com", true)).await.unwrap();
    fixture.users.link(&bob.id, &with_email("ada-too", "ada@example.com", true), None).await.unwrap();
    let mut both = vec![ada.id.clone(), bob.id.clone()];
    both.sort_unstable();
    assert_eq!(fixture.owners("ada@example.com").await, Some(both));
    fixture.users.unlink(&bob.id, (ISSUER, "ada-too"), None, |change| change).await.unwrap();
    assert_eq!(fixture.owners("ada@example.com").await, Some(vec![ada.id.clone()]));
    fixture.sign_in(with_email("ada", "lovelace@example.com", true)).await.unwrap();
    assert_eq!(fixture.owners("ada@example.com").await, Some(Vec::new()));
    fixture.delete(&ada).await;
    assert_eq!(fixture.owners("lovelace@example.com").await, Some(Vec::new()));
}

#[tokio::test]
async fn more_users_with_one_address_than_are_listed_are_unknown() {
    let fixture = Fixture::new();
    for number in 0..100 {
        assert_eq!(fixture.owners("shared@example.com").await.map(|owners| owners.len()), Some(number));
        fixture.sign_in(with_email(&number.to_string(), "shared@example.com", true)).await.unwrap();
    }
    assert_eq!(fixture.owners("shared@example.com").await, None);
}
