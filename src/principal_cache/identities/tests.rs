//! Runs over the memory store, which sends the same invalidation messages as Redis.

use std::{cell::RefCell, time::Duration};

use super::*;
use crate::{
    api_keys::{self, Keys},
    clock::SystemClock,
    principal::IdentityClaims,
    principal_cache::{CacheSettings, Sources},
    store::{Records, Ttl},
    users::{Browser, Limits, Logout, Policy, PriorAccess, TestParts, User, Users, VerifiedLogin},
};

const ISSUER: &str = "https://idp.example.com";
const PATIENCE: Duration = Duration::from_secs(10);
const MONTH: Duration = Duration::from_secs(30 * 86_400);

fn of_keys() -> api_keys::KeySettings {
    api_keys::KeySettings {
        max_per_user: 5,
        default_duration: MONTH,
        max_duration: MONTH,
        overlap_max: MONTH,
        claims_max_age: MONTH,
        sign_in_within: MONTH,
    }
}

struct Fixture {
    records: Records,
    users: Arc<Users>,
    principals: Principals,
}

impl Fixture {
    fn new() -> Self {
        let parts = TestParts::new(SystemClock);
        let limits = Limits { idle: Duration::from_secs(600), absolute: Duration::from_secs(600), max_per_user: 100 };
        let users = Arc::new(parts.users(limits, MONTH));
        let TestParts { records, role_maps, clock, metrics } = parts;
        let policy = Arc::new(Policy::new(role_maps, Vec::new()));
        let keys = Arc::new(Keys::new(records.clone(), policy, of_keys(), Arc::clone(&clock), Arc::clone(&metrics)));
        let settings = CacheSettings { revocation_grace: Duration::from_secs(60), entries: 100 };
        let sources = Sources { records: records.clone(), users: Arc::clone(&users), keys };
        let principals = Principals::start(sources, clock, metrics, settings);
        Self { records, users, principals }
    }

    async fn user(&self, subject: &str) -> Option<Arc<CachedUser>> {
        self.principals.user_of_identity(Identity::digest(ISSUER, subject)).await.expect("the store answers")
    }

    async fn sign_in(&self, subject: &str) -> User {
        self.sign_in_with(subject, &[]).await
    }

    async fn sign_in_with(&self, subject: &str, user_claims: &[(&str, &str)]) -> User {
        let identity = IdentityClaims {
            provider: "corp".to_owned(),
            issuer: ISSUER.to_owned(),
            subject: subject.to_owned(),
            user_claims: user_claims.iter().map(|(claim, value)| ((*claim).to_owned(), (*value).to_owned())).collect(),
            ..IdentityClaims::default()
        };
        let (logout, browser) = (Logout::default(), Browser::default());
        let (provider_session, authenticated_at, prior_access) = (None, None, PriorAccess::Keep);
        let login = VerifiedLogin { identity, provider_session, logout, authenticated_at, browser, prior_access };
        self.users.complete_login(&login).await.expect("every user is granted a role").user
    }

    async fn until(&self, subject: &str, holds: impl Fn(Option<Arc<CachedUser>>) -> bool) {
        let wait = async {
            while !holds(self.user(subject).await) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("the invalidation message arrives");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_has_no_user_until_its_first_sign_in() {
    let fixture = Fixture::new();
    assert!(fixture.user("ada").await.is_none());
    assert!(fixture.user("ada").await.is_none());
    let user = fixture.sign_in("ada").await;
    fixture.until("ada", |found| found.is_some_and(|found| found.id == user.id)).await;
    assert!(fixture.user("bob").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_has_no_user_until_a_sign_in_writes_it_and_is_confirmed_by_the_users_record() {
    let fixture = Fixture::new();
    let digest = Identity::user_claim_digest(ISSUER, "oid", "o-1");
    let find = async || fixture.principals.user_of_identity(digest).await.expect("the store answers");
    assert!(find().await.is_none() && find().await.is_none());
    let user = fixture.sign_in_with("ada", &[("oid", "o-1")]).await;
    let wait = async {
        while find().await.is_none_or(|found| found.id != user.id) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the invalidation message arrives");
    let other = Identity::user_claim_digest(ISSUER, "oid", "o-2");
    assert!(find().await.is_some_and(|found| !found.confirms(&other)));
    // Outdated entries of a claim and of a subject.
    for digest in [other, Identity::digest(ISSUER, "eve")] {
        let key = Identity::key(&digest);
        let entry = Identity { user: user.id.clone() };
        fixture.records.change(key.shard).put(&key, &entry, Ttl::Forever).commit().await.unwrap().unwrap();
        assert!(fixture.principals.user_of_identity(digest).await.expect("the store answers").is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_user_is_visible() {
    let fixture = Fixture::new();
    let user = fixture.sign_in("ada").await;
    fixture.until("ada", |found| found.is_some_and(|found| !found.disabled)).await;
    let (key, shard) = (User::key(&user.id), users::shard_of(&user.id));
    let disabled = User { disabled: true, ..user };
    let change = fixture.records.change(shard).put(&key, &disabled, Ttl::Forever).drop_user(&disabled.id);
    change.commit().await.expect("the store answers").expect("nothing is expected of the record");
    fixture.until("ada", |found| found.is_some_and(|found| found.disabled)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cached_user_is_not_read_again() {
    let fixture = Fixture::new();
    fixture.sign_in("ada").await;
    fixture.until("ada", |found| found.is_some()).await;
    // A message that arrives during the first reads keeps them from being cached.
    let last: RefCell<Option<Arc<CachedUser>>> = RefCell::default();
    let same = |found: Option<Arc<CachedUser>>| {
        let before = last.replace(found.clone());
        before.zip(found).is_some_and(|(before, found)| Arc::ptr_eq(&before, &found))
    };
    fixture.until("ada", same).await;
}
