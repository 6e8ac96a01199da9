//! Over the memory store, whose notices come as Redis's do.

use std::{cell::RefCell, time::Duration};

use serde_json::Map;

use super::*;
use crate::{
    clock::{Clock, SystemClock},
    keys::{self, Keys},
    metrics::Metrics,
    principal::IdentityClaims,
    principals::{Settings, Sources},
    secret::KeyRing,
    session::{Limits, Logout},
    store::{MemoryStore, Records, Ttl},
    users::{Admission, Before, Browser, SignIn, SignedIn, User, Users},
};

const ISSUER: &str = "https://idp.example.com";
const PATIENCE: Duration = Duration::from_secs(10);
const MONTH: Duration = Duration::from_secs(30 * 86_400);

fn of_keys() -> keys::Settings {
    keys::Settings {
        max_per_user: 5,
        default_duration: MONTH,
        max_duration: MONTH,
        overlap_max: MONTH,
        claims_max_age: MONTH,
        sign_in_within: MONTH,
        admin_roles: Vec::new(),
    }
}

struct World {
    records: Records,
    users: Arc<Users>,
    principals: Principals,
}

impl World {
    fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock)));
        let records = Records::new(store, Arc::new(KeyRing::ephemeral(Arc::clone(&clock))), "");
        let limits = Limits { idle: Duration::from_secs(600), absolute: Duration::from_secs(600) };
        let users = Arc::new(Users::new(records.clone(), Arc::clone(&clock), limits));
        let metrics = Arc::new(Metrics::new());
        let keys = Arc::new(Keys::new(records.clone(), Arc::clone(&clock), Arc::clone(&metrics), of_keys()));
        let settings = Settings { limits, grace: Duration::from_secs(60), entries: 100, claims_max_age: MONTH };
        let sources = Sources { records: records.clone(), users: Arc::clone(&users), keys };
        let principals = Principals::start(sources, clock, metrics, settings);
        Self { records, users, principals }
    }

    async fn person(&self, subject: &str) -> Option<Arc<CachedUser>> {
        self.principals.person(Identity::digest(ISSUER, subject)).await.expect("the store answers")
    }

    async fn sign_in(&self, subject: &str) -> User {
        let identity = IdentityClaims {
            provider: "corp".to_owned(),
            issuer: ISSUER.to_owned(),
            subject: subject.to_owned(),
            id_token: Map::new(),
            access_token: None,
            userinfo: None,
        };
        let (logout, browser) = (Logout::default(), Browser::default());
        let sign_in = SignIn { identity, sid: None, logout, browser, before: Before::Stays };
        match self.users.sign_in(&sign_in, |_| Admission::Admitted { pin: None }).await.expect("the store answers") {
            SignedIn::Admitted { user, .. } => user,
            SignedIn::Refused { .. } => unreachable!("everybody is admitted"),
        }
    }

    async fn until(&self, subject: &str, holds: impl Fn(Option<Arc<CachedUser>>) -> bool) {
        let wait = async {
            while !holds(self.person(subject).await) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("a notice comes at once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_is_nobody_until_its_first_sign_in_and_then_that_user() {
    let world = World::new();
    assert!(world.person("ada").await.is_none());
    assert!(world.person("ada").await.is_none());
    let user = world.sign_in("ada").await;
    world.until("ada", |found| found.is_some_and(|found| found.id == user.id)).await;
    assert!(world.person("bob").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_disabled_is_seen_to_be() {
    let world = World::new();
    let user = world.sign_in("ada").await;
    world.until("ada", |found| found.is_some_and(|found| !found.disabled)).await;
    let (key, shard) = (User::key(&user.id), users::shard_of(&user.id));
    let disabled = User { disabled: true, ..user };
    let change = world.records.change(shard).put(&key, &disabled, Ttl::Forever).drop_user(&disabled.id);
    change.commit().await.expect("the store answers").expect("nothing is expected of the record");
    world.until("ada", |found| found.is_some_and(|found| found.disabled)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_is_not_read_again() {
    let world = World::new();
    world.sign_in("ada").await;
    world.until("ada", |found| found.is_some()).await;
    // A notice that is on its way keeps the first reads from being remembered.
    let last: RefCell<Option<Arc<CachedUser>>> = RefCell::default();
    let same = |found: Option<Arc<CachedUser>>| {
        let before = last.replace(found.clone());
        before.zip(found).is_some_and(|(before, found)| Arc::ptr_eq(&before, &found))
    };
    world.until("ada", same).await;
}
