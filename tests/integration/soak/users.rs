//! Three pods behind nginx, their users, and the users whom all pods have cached before a fault.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::json;

use super::ledger::Ledger;
use super::visitor::{Credential, Visitor};
use crate::support::api::{Auth, create_key};
use crate::support::fleet::{Fleet, FleetBuilder};
use crate::support::idp::{Account, IdpOptions};
use crate::support::pod::{Pod, until_everywhere};
use crate::support::wait::until;

pub const PATIENCE: Duration = Duration::from_secs(60);
/// Enough for users in most shards of the store, and so on each primary.
pub const USERS: usize = 60;
/// An administrator.
pub const ADMIN: &str = "warden";
const CACHED_USERS: usize = 30;
const AT_ONCE: usize = 4;
/// The reasons of the metric.
const FLUSHES: [&str; 4] = ["gap", "behind", "replaced", "lagged"];

/// A user with a session and a key that every pod has cached.
pub struct CachedUser {
    pub name: String,
    pub session: Credential,
    pub key: Credential,
}

/// A fleet with nginx, and a provider that signs in the user of the login hint without a form.
pub fn builder<'a>() -> FleetBuilder<'a> {
    let accounts = |idp: &mut IdpOptions| {
        idp.accounts = (0..USERS).map(user_account).chain([warden()]).collect();
        idp.auto_login = Some(name_of(0));
    };
    Fleet::builder().heavy().idp_with(accounts).nginx()
}

impl Fleet {
    /// Waits until every pod has recently compared its cache with the store.
    pub async fn until_cache_verified(&self) -> Duration {
        let proven = async |pod: &Pod| pod.metric("vestibule_cache_proof_age_seconds", &[]).await < 1.5;
        until_everywhere(&self.pods, "every pod to verify its cache", PATIENCE, proven).await
    }

    /// Users who sign in, create a key, and are cached by every pod with both.
    pub async fn cached_users(&self) -> Arc<[CachedUser]> {
        let cached_users = stream::iter(0..CACHED_USERS).map(|number| self.user(number));
        let cached_users: Vec<CachedUser> = cached_users.buffer_unordered(AT_ONCE).collect().await;
        let cached_users: Arc<[CachedUser]> = cached_users.into();
        // Values that are read during a change of the shard are not cached, and the first use of a key is recorded.
        until("every pod to cache all users", PATIENCE, async || {
            let before = self.misses().await;
            self.check_everywhere(&cached_users).await;
            (self.misses().await == before).then_some(())
        })
        .await;
        cached_users
    }

    async fn user(&self, number: usize) -> CachedUser {
        let ledger = Ledger::new("arrival");
        let visitor = Visitor::new(self.nginx().info(), &ledger);
        let cookie = visitor.sign_in(&name_of(number)).await.expect("nothing is broken yet");
        let created_key = create_key(&self.pods[number % self.pods.len()], Auth::Session(&cookie), json!({})).await;
        CachedUser { name: name_of(number), session: Credential::Session(cookie), key: Credential::ApiKey(created_key.key) }
    }

    /// Checks every user on every pod, also after its cache was flushed.
    pub async fn check_everywhere(&self, cached_users: &[CachedUser]) {
        for user in cached_users {
            self.cache_everywhere(&[&user.session, &user.key]).await;
        }
    }

    /// Prints statistics of nginx and of the caches.
    pub async fn print_statistics(&self) {
        let mut counts = Vec::new();
        for reason in FLUSHES {
            let count = self.metric("vestibule_cache_flushes_total", &[&format!("reason=\"{reason}\"")]).await;
            counts.push(format!("{count} for {reason}"));
        }
        let hits = self.metric("vestibule_cache_lookups_total", &["result=\"hit\""]).await;
        let again = self.nginx().access_log().lines().filter(|line| line.contains(", ")).count();
        println!("nginx retried {again} requests on another pod");
        println!("shards flushed: {}; {hits} checks from the cache, {} reads", counts.join(", "), self.misses().await);
    }

    async fn misses(&self) -> f64 {
        self.metric("vestibule_cache_lookups_total", &["result=\"miss\""]).await
    }

    /// Checks each credential on every pod.
    pub async fn cache_everywhere(&self, credentials: &[&Credential]) {
        for pod in &self.pods {
            for credential in credentials {
                assert_eq!(credential.status_on(&self.http, pod).await, 200, "{}", pod.log());
            }
        }
    }
}

pub fn name_of(user: usize) -> String {
    format!("person-{}", user % USERS)
}

fn user_account(number: usize) -> Account {
    let name = name_of(number);
    Account {
        claims: json!({"preferred_username": name, "email": format!("{name}@example.com"), "groups": ["/engineering/load"]}),
        username: name.leak(),
        password: "",
        access_token_claims: json!({}),
    }
}

fn warden() -> Account {
    Account {
        username: ADMIN,
        password: "",
        claims: json!({"preferred_username": ADMIN}),
        access_token_claims: json!({"resource_access": {"litellm": {"roles": ["llm-admins"]}}}),
    }
}
