//! Three pods behind nginx, the people who use them, and who of them is there before anything breaks.

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
/// Enough to have somebody in most of the store's shards, and so on each primary.
pub const PEOPLE: usize = 60;
/// An administrator.
pub const WARDEN: &str = "warden";
const CACHED_USERS: usize = 30;
const AT_ONCE: usize = 4;
/// The reasons that the metric knows.
const FLUSHES: [&str; 4] = ["gap", "behind", "replaced", "lagged"];

/// A user with a session and a key that every pod has cached.
pub struct CachedUser {
    pub name: String,
    pub session: Credential,
    pub key: Credential,
}

/// nginx before the pods, and a provider that signs in whomever the login hint names, without a form.
pub fn builder<'a>() -> FleetBuilder<'a> {
    let accounts = |idp: &mut IdpOptions| {
        idp.accounts = (0..PEOPLE).map(person).chain([warden()]).collect();
        idp.auto_login = Some(name_of(0));
    };
    Fleet::builder().heavy().idp_with(accounts).nginx()
}

impl Fleet {
    /// Until every pod has lately found that what it remembers is what the store has.
    pub async fn until_proven(&self) -> Duration {
        let proven = async |pod: &Pod| pod.metric("vestibule_cache_proof_age_seconds", &[]).await < 1.5;
        until_everywhere(&self.pods, "every pod to be proven", PATIENCE, proven).await
    }

    /// People who sign in, make a key, and are seen by every pod with both.
    pub async fn cached_users(&self) -> Arc<[CachedUser]> {
        let cached_users = stream::iter(0..CACHED_USERS).map(|number| self.user(number));
        let cached_users: Vec<CachedUser> = cached_users.buffer_unordered(AT_ONCE).collect().await;
        let cached_users: Arc<[CachedUser]> = cached_users.into();
        // What is read while something changes in the shard isn't remembered: the first use of a key is written down.
        until("everybody to be known to every pod", PATIENCE, async || {
            let before = self.misses().await;
            self.see_again(&cached_users).await;
            (self.misses().await == before).then_some(())
        })
        .await;
        cached_users
    }

    async fn user(&self, number: usize) -> CachedUser {
        let ledger = Ledger::new("arrival");
        let visitor = Visitor::new(self.nginx().info(), &ledger);
        let cookie = visitor.sign_in(&name_of(number)).await.expect("nothing is broken yet");
        let made = create_key(&self.pods[number % self.pods.len()], Auth::Session(&cookie), json!({})).await;
        CachedUser { name: name_of(number), session: Credential::Session(cookie), key: Credential::Key(made.key) }
    }

    /// Every pod sees all of them, whatever it has dropped.
    pub async fn see_again(&self, cached_users: &[CachedUser]) {
        for user in cached_users {
            self.cache_everywhere(&[&user.session, &user.key]).await;
        }
    }

    /// How nginx and the caches fared.
    pub async fn tell(&self) {
        let mut told = Vec::new();
        for reason in FLUSHES {
            let count = self.metric("vestibule_cache_flushes_total", &[&format!("reason=\"{reason}\"")]).await;
            told.push(format!("{count} for {reason}"));
        }
        let hits = self.metric("vestibule_cache_lookups_total", &["result=\"hit\""]).await;
        let again = self.nginx().access_log().lines().filter(|line| line.contains(", ")).count();
        println!("nginx asked another pod {again} times, since the first didn't answer");
        println!("shards flushed: {}; {hits} checks from the cache, {} reads", told.join(", "), self.misses().await);
    }

    async fn misses(&self) -> f64 {
        self.metric("vestibule_cache_lookups_total", &["result=\"miss\""]).await
    }

    /// Every pod has seen each of them.
    pub async fn cache_everywhere(&self, credentials: &[&Credential]) {
        for pod in &self.pods {
            for credential in credentials {
                assert_eq!(credential.status_on(&self.http, pod).await, 200, "{}", pod.log());
            }
        }
    }
}

pub fn name_of(person: usize) -> String {
    format!("person-{}", person % PEOPLE)
}

fn person(number: usize) -> Account {
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
        username: WARDEN,
        password: "",
        claims: json!({"preferred_username": WARDEN}),
        access_token_claims: json!({"resource_access": {"litellm": {"roles": ["llm-admins"]}}}),
    }
}
