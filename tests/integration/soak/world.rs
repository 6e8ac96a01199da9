//! Three pods behind nginx, the people who use them, and who of them is there before anything breaks.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, stream};
use serde_json::json;

use super::ledger::Ledger;
use super::visitor::{Credential, Visitor};
use crate::keys::{By, make};
use crate::support::deployment::ROLE_MAP;
use crate::support::http_client;
use crate::support::idp::{Account, Idp, IdpOptions, client};
use crate::support::nginx::Nginx;
use crate::support::pod::{Pod, PodOptions, ProviderSection, key_ring, random_key, until_everywhere};
use crate::support::ports;
use crate::support::scratch::Scratch;
use crate::support::upstream::Upstream;
use crate::support::wait::until;

pub const PATIENCE: Duration = Duration::from_secs(60);
/// Enough to have somebody in most of the store's shards, and so on each primary.
pub const PEOPLE: usize = 60;
/// An administrator.
pub const WARDEN: &str = "warden";
const RESIDENTS: usize = 30;
const AT_ONCE: usize = 4;
/// The reasons that the metric knows.
const FLUSHES: [&str; 4] = ["gap", "behind", "replaced", "lagged"];

/// Dropped in this order: what asks before what is asked.
pub struct World {
    nginx: Nginx,
    pub pods: Vec<Pod>,
    _idp: Idp,
    pub site: Arc<Site>,
    pub http: reqwest::Client,
    _upstream: Upstream,
    _key_ring: Scratch,
}

/// What a visitor knows of it.
pub struct Site {
    /// nginx's, without a path.
    pub origin: String,
    pub access_log: PathBuf,
}

/// Somebody with a session and a key that every pod knows.
pub struct Resident {
    pub name: String,
    pub session: Credential,
    pub key: Credential,
}

impl World {
    /// A pod for each of the stores' URLs.
    pub async fn start(stores: &[String], further: &str) -> Self {
        Self::start_with(stores, |pod| pod.further.push_str(further)).await
    }

    /// `adjust` has the last word on a pod's options.
    pub async fn start_with(stores: &[String], adjust: impl Fn(&mut PodOptions)) -> Self {
        Self::start_at(ports::free(), stores, adjust).await
    }

    /// The same with nginx at this port.
    pub async fn start_at(port: u16, stores: &[String], adjust: impl Fn(&mut PodOptions)) -> Self {
        let origin = format!("http://localhost:{port}");
        let secret = random_key();
        let (idp, upstream) = tokio::join!(Idp::start(provider_options(&origin, &secret)), Upstream::start());
        let (ring, key_ring_file) = key_ring();
        let mut pods = Vec::new();
        for (number, store) in stores.iter().enumerate() {
            let mut pod = PodOptions::new();
            pod.name = format!("pod-{number}");
            pod.public_url.clone_from(&origin);
            // Patient, so that no answer is a 503 because the machine is busy.
            pod.store = vec![format!("url: {store}"), "command_timeout: 3s".to_owned()];
            pod.key_ring_file = Some(key_ring_file.clone());
            pod.providers = vec![ProviderSection::corp(idp.issuer(), secret.as_str())];
            pod.role_map = Some(ROLE_MAP.to_owned());
            adjust(&mut pod);
            pods.push(Pod::start(pod).await);
        }
        let ports: Vec<_> = pods.iter().map(|pod| (pod.public_port(), pod.check_port())).collect();
        let nginx = Nginx::start(port, &ports, upstream.port()).await;
        let site = Site { origin, access_log: nginx.access_log_file().to_owned() };
        let site = Arc::new(site);
        let world = Self { nginx, pods, _idp: idp, site, http: http_client(), _upstream: upstream, _key_ring: ring };
        world.until_providers_are_known().await;
        world
    }

    /// Ends a pod in order, and starts it again.
    pub async fn replace(&mut self, pod: usize) {
        let pod = &mut self.pods[pod];
        pod.process().term();
        let status = pod.process().wait_exit(PATIENCE).await;
        assert_eq!(status.code(), Some(0), "{}", pod.log());
        pod.restart().await;
    }

    /// Pods are ready without their provider, and logins are not possible until it is known.
    pub async fn until_providers_are_known(&self) {
        let known = async |pod: &Pod| pod.metric("vestibule_provider_ready", &[]).await >= 1.0;
        until_everywhere(&self.pods, "the provider to be known", PATIENCE, known).await;
    }

    /// Until every pod has lately found that what it remembers is what the store has.
    pub async fn until_proven(&self) -> Duration {
        let proven = async |pod: &Pod| pod.metric("vestibule_cache_proof_age_seconds", &[]).await < 1.5;
        until_everywhere(&self.pods, "every pod to be proven", PATIENCE, proven).await
    }

    /// People who sign in, make a key, and are seen by every pod with both.
    pub async fn residents(&self) -> Arc<[Resident]> {
        let residents = stream::iter(0..RESIDENTS).map(|number| self.resident(number));
        let residents: Vec<Resident> = residents.buffer_unordered(AT_ONCE).collect().await;
        let residents: Arc<[Resident]> = residents.into();
        // What is read while something changes in the shard isn't remembered: the first use of a key is written down.
        until("everybody to be known to every pod", PATIENCE, async || {
            let before = self.misses().await;
            self.see_again(&residents).await;
            (self.misses().await == before).then_some(())
        })
        .await;
        residents
    }

    async fn resident(&self, number: usize) -> Resident {
        let ledger = Ledger::new("arrival");
        let visitor = Visitor::new(&self.site, &ledger);
        let cookie = visitor.sign_in(&name_of(number)).await.expect("nothing is broken yet");
        let made = make(&self.pods[number % self.pods.len()], By::Page(&cookie), json!({})).await;
        Resident { name: name_of(number), session: Credential::Session(cookie), key: Credential::Key(made.key) }
    }

    /// Every pod sees all of them, whatever it has dropped.
    pub async fn see_again(&self, residents: &[Resident]) {
        for resident in residents {
            self.warm(&[&resident.session, &resident.key]).await;
        }
    }

    /// A metric of all pods, by the words that its lines contain.
    pub async fn metric(&self, name: &str, words: &[&str]) -> f64 {
        join_all(self.pods.iter().map(|pod| pod.metric(name, words))).await.iter().fold(0.0, |sum, one| sum + one)
    }

    /// How nginx and the caches fared.
    pub async fn tell(&self) {
        let mut told = Vec::new();
        for reason in FLUSHES {
            let count = self.metric("vestibule_cache_flushes_total", &[&format!("reason=\"{reason}\"")]).await;
            told.push(format!("{count} for {reason}"));
        }
        let hits = self.metric("vestibule_cache_lookups_total", &["result=\"hit\""]).await;
        let again = self.nginx.access_log().lines().filter(|line| line.contains(", ")).count();
        println!("nginx asked another pod {again} times, since the first didn't answer");
        println!("shards flushed: {}; {hits} checks from the cache, {} reads", told.join(", "), self.misses().await);
    }

    async fn misses(&self) -> f64 {
        self.metric("vestibule_cache_lookups_total", &["result=\"miss\""]).await
    }

    /// Every pod has seen each of them.
    pub async fn warm(&self, credentials: &[&Credential]) {
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

/// The provider asks nobody: the login hint says who signs in.
fn provider_options(origin: &str, secret: &str) -> IdpOptions {
    let vestibule = client("vestibule", secret, &[format!("{origin}/sso/callback")], &[format!("{origin}/sso/logout")]);
    IdpOptions {
        clients: vec![vestibule],
        accounts: (0..PEOPLE).map(person).chain([warden()]).collect(),
        auto_login: Some(name_of(0)),
        ..IdpOptions::default()
    }
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
