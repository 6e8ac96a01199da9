//! An identity provider that is down, slow or faulty, and abandoned login flows: other users are not affected.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, stream};
use reqwest::header::LOCATION;
use serde_json::{Value, json};

use super::Size;
use super::ledger::Ledger;
use super::load::Load;
use super::users::{PATIENCE, builder, name_of};
use crate::support::agent::{Agent, Page};
use crate::support::faulty_idp::FaultyIdp;
use crate::support::fleet::Fleet;
use crate::support::http_client_at;
use crate::support::idp::{Account, Idp, IdpOptions, client};
use crate::support::pod::{Pod, ProviderSection, random_key, until_everywhere};
use crate::support::ports;
use crate::support::proxy::FaultProxy;
use crate::support::redis::Cluster;
use crate::support::wait::{timed, until};

const LOGINS: usize = 600;
const ABANDONED: usize = 10_000;
const AT_ONCE: usize = 8;
/// Active login flows at the faulty provider when it fails.
const ACTIVE_LOGIN_FLOWS: usize = 6;
const MIB: f64 = 1_048_576.0;
/// The memory of a login flow's record in Redis.
const STORE_BYTES_PER_FLOW: f64 = 3072.0;
/// The memory that the load itself takes there: sessions, and the replication backlog.
const STORE_BYTES_OF_LOAD: f64 = 8.0 * MIB;
/// Buffers of three pods' connections, and memory that their allocators keep. Pods keep nothing of a login flow.
const POD_BYTES: f64 = 12.0 * MIB;

/// A provider behind a network with faults.
struct FaultyProvider {
    idp: Idp,
    proxy: FaultProxy,
}

/// The route to the provider.
struct ProviderRoute {
    id: &'static str,
    /// nginx's.
    origin: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_provider_does_not_affect_logins_at_other_providers() {
    let share = Size::from_environment().of(LOGINS) / 12;
    let redis = Cluster::start().await;
    let port = ports::free();
    let [way, way_to_faulty] = ["sick", "faulty"].map(|id| ProviderRoute { id, origin: format!("http://localhost:{port}") });
    let (sick, section) = FaultyProvider::start(&way).await;
    let faulty = FaultyIdp::start().await;
    let fleet = builder()
        .pods(3)
        .store_at(redis.url())
        .nginx_at(port)
        .config(|pod| {
            pod.providers.extend([section.clone(), way_to_faulty.section(faulty.issuer(), random_key())]);
        })
        .start()
        .await;
    let known = async |pod: &Pod| pod.metric("vestibule_provider_ready", &[]).await == 3.0;
    until_everywhere(&fleet.pods, "all providers to be known", PATIENCE, known).await;
    let ledger = Arc::new(Ledger::new("a provider that fails, beside one that doesn't"));
    let cached_users = fleet.cached_users().await;
    let load = Load::start(&fleet, &ledger, &cached_users);
    load.wait_for_logins(share).await;

    for (what, fault) in [
        ("down", FaultProxy::refuse as fn(&FaultProxy)),
        ("half-open", FaultProxy::stall),
        ("stopping half-way through its answers", FaultProxy::halve_next_replies),
        ("slower than it is waited for", |proxy| proxy.delay(Duration::from_secs(12))),
    ] {
        ledger.phase(&format!("the other provider {what}"));
        let active_login_flows = way.active_login_flows().await;
        fault(&sick.proxy);
        assert_error_pages(what, active_login_flows).await;
        load.wait_for_logins(share).await;
        sick.proxy.resume();
        way.assert_works_again().await;
    }
    ledger.phase("the other provider answers 503");
    let active_login_flows = way.active_login_flows().await;
    sick.idp.fail().await;
    assert_error_pages("answers 503", active_login_flows).await;
    load.wait_for_logins(share).await;
    sick.idp.resume().await;

    for (what, path, fault) in wrong_answers() {
        ledger.phase(&format!("the third provider: {what}"));
        let active_login_flows = way_to_faulty.active_login_flows().await;
        faulty.spoil(path, &fault).await;
        assert_error_pages(what, active_login_flows).await;
        load.wait_for_logins(share).await;
        faulty.spoil(path, &Value::Null).await;
        way_to_faulty.assert_works_again().await;
    }

    ledger.phase("the other provider has replaced its keys");
    let active_login_flows = way.active_login_flows().await;
    sick.idp.replace_keys().await;
    for (agent, callback) in active_login_flows {
        assert_eq!(agent.get(&callback).await.status, 303, "keys that were replaced on the way");
    }
    load.wait_for_logins(share).await;
    load.end().await;
    fleet.print_statistics().await;
    ledger.print_and_assert();
}

#[tokio::test(flavor = "multi_thread")]
async fn abandoned_login_flows_take_bounded_memory_and_affect_nobody() {
    let (size, started) = (Size::from_environment(), Size::from_environment().of(ABANDONED));
    let redis = Cluster::start().await;
    let fleet = builder().pods(3).store_at(redis.url()).start().await;
    let ledger = Arc::new(Ledger::new(&format!("{started} logins that nobody finishes")));
    let cached_users = fleet.cached_users().await;
    let load = Load::start(&fleet, &ledger, &cached_users);
    load.wait_for_logins(size.of(LOGINS) / 4).await;
    let (memory, store) = (pod_memory(&fleet).await, redis_memory(&redis).await);

    ledger.phase("logins started and abandoned");
    let begin = format!("{}/sso/login?provider=corp&rd=%2Fui%2F", fleet.nginx().info().origin);
    // nginx limits the logins of a client address.
    let clients: Vec<_> = (1..=250).map(|address| http_client_at(Ipv4Addr::new(127, 0, 3, address))).collect();
    let all = stream::iter(0..started).for_each_concurrent(AT_ONCE, async |number| {
        let answer = clients[number % clients.len()].get(&begin).send().await.expect("nginx answers");
        assert!(answer.status() == 302 && answer.headers().contains_key(LOCATION), "{}", answer.status());
    });
    let ((), took) = timed(all).await;
    load.wait_for_logins(size.of(LOGINS) / 4).await;

    let (memory, store) = (pod_memory(&fleet).await - memory, redis_memory(&redis).await - store);
    println!("{started} begun in {took:.1?}; pods grew by {:.1} MiB, Redis by {:.1} MiB", memory / MIB, store / MIB);
    load.end().await;
    fleet.print_statistics().await;
    ledger.print_and_assert();
    let many = f64::from(u32::try_from(started).expect("not that many"));
    assert!(memory < POD_BYTES, "{memory} bytes more");
    assert!(store < many * STORE_BYTES_PER_FLOW + STORE_BYTES_OF_LOAD, "{store} bytes more");
    let lives = flow_lifetimes(&redis).await;
    assert!(lives.len() >= started, "{} records of logins", lives.len());
    assert!(lives.iter().all(|life| (1..=600_000).contains(life)), "a login flow has no expiry, or a long one");
}

fn wrong_answers() -> [(&'static str, &'static str, Value); 5] {
    let (html, refusal) = ("<h1>Hello</h1>", json!({"error": "invalid_grant"}).to_string());
    [
        ("500 from the token endpoint", "/token", json!({"status": 500, "body": "{}"})),
        ("garbage from the token endpoint", "/token", json!({"type": "text/html", "body": html})),
        ("an error of the token endpoint", "/token", json!({"status": 400, "body": refusal})),
        ("500 from userinfo", "/userinfo", json!({"status": 500, "body": "{}"})),
        ("garbage from userinfo", "/userinfo", json!({"body": html})),
    ]
}

impl FaultyProvider {
    /// The section names the address that the pods use.
    async fn start(way: &ProviderRoute) -> (Self, ProviderSection) {
        let (port, secret) = (ports::free(), random_key());
        let proxy = FaultProxy::start(port).await;
        let idp = Idp::start(IdpOptions {
            port: Some(port),
            clients: vec![client("vestibule", &secret, &[format!("{}/sso/callback/{}", way.origin, way.id)], &[])],
            accounts: vec![Account {
                username: "person-0",
                password: "",
                claims: json!({"preferred_username": "somebody-else"}),
                access_token_claims: json!({}),
            }],
            auto_login: Some(name_of(0)),
            further: json!({"issuer": format!("http://127.0.0.1:{}/realms/sick", proxy.port())}),
            ..IdpOptions::default()
        })
        .await;
        let section = way.section(idp.issuer(), secret);
        (Self { idp, proxy }, section)
    }
}

impl ProviderRoute {
    fn section(&self, issuer: &str, client_secret: String) -> ProviderSection {
        ProviderSection { id: self.id.to_owned(), name: self.id.to_owned(), ..ProviderSection::corp(issuer, client_secret) }
    }

    /// Browsers that are about to return from the provider.
    async fn active_login_flows(&self) -> Vec<(Agent, String)> {
        let mut active_login_flows = Vec::new();
        for _ in 0..ACTIVE_LOGIN_FLOWS {
            let agent = Agent::new();
            let back = self.until_callback(&agent).await;
            let callback = back.location().unwrap_or_else(|| panic!("{}: {}", back.status, back.body)).to_string();
            active_login_flows.push((agent, callback));
        }
        active_login_flows
    }

    async fn until_callback(&self, agent: &Agent) -> Page {
        let page = agent.get(&format!("{}/sso/login?provider={}&rd=%2Fui%2F", self.origin, self.id)).await;
        agent.follow_until(page, |to| to.path().starts_with("/sso/callback")).await
    }

    /// Works again without a restart.
    async fn assert_works_again(&self) {
        until("the provider to work again", PATIENCE, async || {
            let agent = Agent::new();
            let callback = self.until_callback(&agent).await.location()?;
            (agent.get(callback.as_str()).await.status == 303).then_some(())
        })
        .await;
    }
}

/// The users receive an error page before they would give up, and are not signed in.
async fn assert_error_pages(what: &str, active_login_flows: Vec<(Agent, String)>) {
    let answers = join_all(active_login_flows.iter().map(|(agent, callback)| timed(agent.get(callback)))).await;
    for (page, _) in &answers {
        assert!([502, 503].contains(&page.status), "{what}: {}: {}", page.status, page.body);
        assert!(!page.set_cookies().iter().any(|line| line.starts_with("vestibule=")), "{what}: signed in");
    }
    println!("a provider {what}: error pages after {:.1?} at most", answers.iter().map(|(_, took)| *took).max().expect("some"));
}

/// The memory of all pods in bytes.
async fn pod_memory(fleet: &Fleet) -> f64 {
    fleet.metric("process_resident_memory_bytes", &[]).await
}

async fn redis_memory(redis: &Cluster) -> f64 {
    let mut used = 0.0;
    for index in redis.primaries().await {
        let bytes = redis.nodes[index].info("used_memory").await.expect("INFO has the field");
        used += bytes.parse::<f64>().expect("a number");
    }
    used
}

/// The remaining lifetimes of the login flows' records in milliseconds.
async fn flow_lifetimes(redis: &Cluster) -> Vec<i64> {
    let mut lives = Vec::new();
    for index in redis.primaries().await {
        let node = &redis.nodes[index];
        for key in node.keys().await.iter().filter(|key| key.windows(6).any(|part| part == b":flow:")) {
            lives.push(node.call_bytes(&[b"PTTL", key]).await.text().parse().expect("a number"));
        }
    }
    lives
}
