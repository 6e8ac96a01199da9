//! Floods of anonymous logins: they fill a bounded part of the store, and do not prevent signing out, ending sessions or
//! disabling users.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use futures::{StreamExt, stream};
use reqwest::Method;
use serde_json::json;
use vestibule::secret::Digest;
use vestibule::store::Shard;

use crate::support::agent::Agent;
use crate::support::api::{
    Auth, KEYS, call, check_key_at, create_key, key_status, post, revoke_key, rotate_key, until_key_status,
};
use crate::support::fleet::{Browser, Fleet};
use crate::support::http_client_at;
use crate::support::local_accounts::{PASSWORD, sign_in_with_json};
use crate::support::pod::Pod;
use crate::support::redis::{Node, Options, Standalone};
use crate::support::resp::Reply;
use crate::support::steps::{ALICE, BOB, assert_page, assert_signed_in, at, until_callback};
use crate::support::wait::until;

const DEADLINE: Duration = Duration::from_secs(60);
const MAX_PENDING: usize = 1000;
/// The share of a shard, rounded up.
const PER_SHARD: usize = 16;
const LONGEST_RECORD: i64 = 512;
/// nginx limits each client address.
const ADDRESSES: u8 = 24;
const PER_ADDRESS: usize = 100;
const AT_ONCE: usize = 24;

#[tokio::test(flavor = "multi_thread")]
async fn anonymous_logins_fill_their_share_of_the_store_and_delay_no_other_request() {
    let limits = format!("logins: {{max_pending: {MAX_PENDING}}}\n");
    let fleet = Fleet::builder().pods(3).standalone().idp().nginx().heavy().yaml(limits).start().await;
    let (bob, alice) = (fleet.session_header(BOB).await, Agent::new());
    let callback = until_callback(fleet.idp(), &alice, fleet.pod(0), "/ui/?a=b", ALICE).await;
    let before = Announcements::of(&fleet).await;

    let flooded = flood(&fleet).await;

    assert_eq!(Announcements::of(&fleet).await, before, "a login flow advances no sequence and is not announced");
    let refused = flooded.iter().filter(|page| page.status == 503).count();
    eprintln!("{} logins, {refused} refused", flooded.len());
    assert!(refused > 0 && flooded.iter().all(|page| [302, 503].contains(&page.status)), "{:?}", statuses(&flooded));
    assert!(flooded.iter().filter(|page| page.status == 503).all(|page| page.says_when_to_retry), "no Retry-After");
    assert_flows_are_bounded(&fleet.redis().node).await;
    assert!(fleet.metric("vestibule_logins_limited_total", &["limit=\"max_pending\""]).await >= refused as f64);
    assert!(fleet.pods.iter().any(|pod| pod.log().contains("pending_logins_limit")), "the refusal is in the log");

    let page = alice.get(&at(fleet.pod(1), &callback)).await;
    assert_signed_in(&page);
    assert!(page.location().is_some_and(|to| to.as_str().ends_with("/ui/?a=b")), "{page:?}");
    let served = Agent::new().get_with(&fleet.url("/ui/"), &[("cookie", &bob), ("accept", "application/json")]).await;
    assert_eq!(served.status, 200, "{}", served.body);

    expire_flows(&fleet.redis().node).await;
    let callback = until_callback(fleet.idp(), &Agent::new(), fleet.pod(2), "/ui/", ALICE).await;
    assert!(callback.query().is_some_and(|query| query.contains("code=")), "logins start again");
}

#[tokio::test(flavor = "multi_thread")]
async fn above_90_percent_of_memory_only_logins_are_refused_and_a_full_store_still_revokes() {
    let arguments = ["--maxmemory", "48mb", "--maxmemory-policy", "noeviction"].map(str::to_owned).to_vec();
    let redis = Standalone::start(Options { arguments, ..Options::default() }).await;
    let fleet = Fleet::builder().pods(3).store_at(redis.url()).idp().nginx().local_accounts().heavy().start().await;
    let victims = Victims::prepare(&fleet).await;
    let pending = Agent::new();
    let callback = fleet.callback(1, &pending).await;

    fill_above(&redis.node, 91).await;
    for pod in &fleet.pods {
        until("the login to be refused", DEADLINE, async || {
            let page = Agent::new().get(&login_at(pod)).await;
            (page.status == 503).then(|| {
                assert_page(&page, 503, "Too many sign-ins");
                assert_eq!(page.header("retry-after"), Some("30"));
            })
        })
        .await;
    }
    assert!(fleet.metric("vestibule_logins_limited_total", &["limit=\"store_memory\""]).await >= 3.0);
    assert_signed_in(&pending.get(&callback).await);
    // An attempt at a password writes too.
    let before = redis.node.keys().await;
    for pod in &fleet.pods {
        let refused = sign_in_with_json(pod, ADA, PASSWORD, &[]).await;
        assert_eq!(refused.headers()["retry-after"], "30");
        refused.assert(503, "temporarily_unavailable");
    }
    assert!(redis.node.keys().await.iter().all(|key| before.contains(key)), "nothing is written");

    fill_completely(&redis.node).await;
    sign_in_with_json(fleet.pod(0), ADA, PASSWORD, &[]).await.assert(503, "temporarily_unavailable");
    victims.are_revoked(&fleet).await;
    assert!(matches!(set(&redis.node, "foreign:last", 8).await, Reply::Error(_)), "Redis was full all the time");

    redis.node.call(&["FLUSHALL"]).await;
    let begins = async || (Agent::new().get(&login_at(fleet.pod(2))).await.status == 302).then_some(());
    until("logins to start again", DEADLINE, begins).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_cluster_disables_a_user_on_every_pod() {
    let fleet = Fleet::builder().pods(3).own_cluster().idp().local_accounts().start().await;
    let (admin, ada) = (fleet.create_user(ADMIN, "proxy_admin").await, fleet.create_user(ADA, "internal_user").await);
    assert_eq!(fleet.passing(&ada.cookie).await, 3);
    for node in &fleet.cluster().nodes {
        node.call(&["CONFIG", "SET", "maxmemory", "1mb"]).await;
    }
    let refused = async || (Agent::new().get(&login_at(fleet.pod(1))).await.status == 503).then_some(());
    until("logins to be refused", DEADLINE, refused).await;
    let disabled = post(fleet.pod(0), admin.auth(), &format!("/vestibule/api/people/{}/disable", ada.id), json!({})).await;
    assert_eq!(disabled.status(), 200, "{disabled:?}");
    until("her session to end", DEADLINE, async || (fleet.passing(&ada.cookie).await == 0).then_some(())).await;
    post(fleet.pod(0), admin.auth(), &format!("/vestibule/api/people/{}/enable", ada.id), json!({}))
        .await
        .assert(503, "temporarily_unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_limits_the_logins_of_one_address_and_no_other_path() {
    let fleet = Fleet::shared().await;
    let port = fleet.nginx().port();
    let client = client_at(200);
    // A refused return target costs the pods little.
    let answers = stream::iter(0..600).map(|_| get_from(&client, port, "/sso/login?rd=//x")).buffer_unordered(AT_ONCE);
    let answers: Vec<reqwest::Response> = answers.collect().await;
    let (limited, others): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status() == 429);
    assert!(!limited.is_empty() && others.len() >= 250, "{} of 600 are limited", limited.len());
    assert!(others.iter().all(|answer| answer.status() == 400));
    for answer in limited {
        assert_eq!(answer.headers().get("retry-after").map(|value| value.as_bytes()), Some(&b"5"[..]));
        let body: serde_json::Value = answer.json().await.expect("an error in JSON");
        assert_eq!(body["error"], "slow_down");
    }
    assert_eq!(get_from(&client, port, "/sso/session").await.status(), 401);
    assert_eq!(get_from(&client_at(201), port, "/sso/login?rd=//x").await.status(), 400, "another address");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_target_survives_a_login_through_nginx() {
    let fleet = Fleet::shared().await;
    for length in [200, 1000, 2000, 4096] {
        let target = format!("/ui/?q={}", "a".repeat(length - 7));
        let agent = Agent::new();
        let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("rd", &target).finish();
        let page = agent.get(&fleet.url(&format!("/sso/login?{query}"))).await;
        assert_eq!(page.status, 302, "{length}: {}", page.body);
        let page = fleet.idp().sign_in(&agent, page, ALICE.name, ALICE.password).await;
        let page = agent.get(page.location().expect("a callback").as_str()).await;
        assert_signed_in(&page);
        assert_eq!(page.location().map(String::from), Some(fleet.url(&target)), "{length}");
        let left: Vec<String> = agent.cookies("localhost").into_iter().map(|cookie| cookie.name).collect();
        assert!(!left.iter().any(|name| name.starts_with("vestibule-target")), "{left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tabs_with_long_targets_return_to_their_own_and_cookies_stay_within_header_limits() {
    let fleet = Fleet::shared().await;
    let agent = Agent::new();
    let mut tabs = Vec::new();
    for tab in 0..4 {
        let target = format!("/ui/tab/{tab}?q={}", "b".repeat(700));
        tabs.push((until_callback(fleet.idp(), &agent, fleet.pod(tab), &target, ALICE).await, target));
    }
    // The oldest targets make room for this one.
    let long = format!("/ui/?q={}", "c".repeat(3500));
    tabs.push((until_callback(fleet.idp(), &agent, fleet.pod(0), &long, ALICE).await, long));
    let sent: usize =
        agent.cookies("localhost").iter().filter(|cookie| cookie.path == "/sso").map(|cookie| cookie.value.len()).sum();
    assert!((1..=6000).contains(&sent), "{sent}");
    for (number, (callback, target)) in tabs.iter().enumerate().rev() {
        let page = agent.get(&at(fleet.pod(1), callback)).await;
        assert_signed_in(&page);
        let expected = if number >= 3 { target.clone() } else { "/".to_owned() };
        assert_eq!(page.location().map(String::from), Some(fleet.url(&expected)), "tab {number}");
    }
}

const ADMIN: &str = "admin@example.com";
const ADA: &str = "ada@example.com";
const CARL: &str = "carl@example.com";

/// Starts a login at the provider. Without its name there is a page, since there are local accounts.
fn login_at(pod: &Pod) -> String {
    pod.public("/sso/login?provider=corp")
}

/// An answer to an anonymous login.
struct FloodAnswer {
    status: u16,
    says_when_to_retry: bool,
}

/// Starts logins with long targets through nginx, from many addresses.
async fn flood(fleet: &Fleet) -> Vec<FloodAnswer> {
    let port = fleet.nginx().port();
    let path = format!("/sso/login?rd=/{}", "x".repeat(4000));
    let clients: Vec<reqwest::Client> = (1..=ADDRESSES).map(client_at).collect();
    let logins = stream::iter(0..clients.len() * PER_ADDRESS).map(|number| {
        let (client, path) = (&clients[number % clients.len()], path.as_str());
        async move {
            let answer = get_from(client, port, path).await;
            FloodAnswer {
                status: answer.status().as_u16(),
                says_when_to_retry: answer.headers().get("retry-after").is_some_and(|value| value == "30"),
            }
        }
    });
    logins.buffer_unordered(AT_ONCE).collect().await
}

async fn get_from(client: &reqwest::Client, port: u16, path: &str) -> reqwest::Response {
    let request = client.get(format!("http://127.0.0.1:{port}{path}")).header("host", format!("localhost:{port}"));
    request.send().await.expect("nginx answers")
}

fn client_at(address: u8) -> reqwest::Client {
    http_client_at(Ipv4Addr::new(127, 0, 1, address))
}

fn statuses(answers: &[FloodAnswer]) -> BTreeMap<u16, usize> {
    answers.iter().fold(BTreeMap::new(), |mut counts, answer| {
        *counts.entry(answer.status).or_default() += 1;
        counts
    })
}

/// The sequences and messages by which commits reach other pods.
#[derive(Debug, PartialEq)]
struct Announcements {
    sequences: Vec<String>,
    published: Option<String>,
    received: f64,
}

impl Announcements {
    async fn of(fleet: &Fleet) -> Self {
        let node = &fleet.redis().node;
        let mut sequences = Vec::new();
        for shard in Shard::all() {
            let key = format!("{}{{{}}}:sequence", fleet.key_prefix(), shard.number());
            sequences.push(format!("{:?}", node.call(&["GET", &key]).await));
        }
        let statistics = node.call(&["INFO", "commandstats"]).await.text();
        let published = statistics.lines().find(|line| line.starts_with("cmdstat_publish:"));
        let published = published.and_then(|line| line.split([':', ',']).nth(1)).map(str::to_owned);
        assert!(published.is_some(), "{statistics}");
        Self { sequences, published, received: fleet.metric("vestibule_notices_total", &[]).await }
    }
}

async fn assert_flows_are_bounded(node: &Node) {
    let mut by_shard: BTreeMap<String, usize> = BTreeMap::new();
    for key in node.keys().await {
        let name = String::from_utf8(key).expect("our keys are text");
        let Some((shard, _)) = name.split_once(":flow:") else { continue };
        *by_shard.entry(shard.to_owned()).or_default() += 1;
        let Reply::Int(length) = node.call(&["STRLEN", &name]).await else { panic!("{name}") };
        assert!((1..=LONGEST_RECORD).contains(&length), "{name}: {length}");
    }
    let total: usize = by_shard.values().sum();
    // The tombstone of bob's login is not a pending flow.
    assert!(total > MAX_PENDING / 2 && by_shard.values().all(|flows| *flows <= PER_SHARD + 1), "{by_shard:?}");
}

/// Advances the time until all login flows and their counts have expired.
async fn expire_flows(node: &Node) {
    for key in node.keys().await {
        let name = String::from_utf8(key).expect("our keys are text");
        if name.contains(":flow:") || name.contains(":counter:flows:") {
            let Reply::Int(left) = node.call(&["PTTL", &name]).await else { panic!("{name}") };
            assert!(left > 0, "{name} does not expire");
            node.call(&["PEXPIRE", &name, "1"]).await;
        }
    }
}

/// Users, sessions and keys to revoke.
struct Victims {
    admin: crate::support::local_accounts::LocalUser,
    ada: crate::support::local_accounts::LocalUser,
    carl: crate::support::local_accounts::LocalUser,
    alice: Browser,
    /// Alice's session, which is ended by its id.
    ended: String,
    keys: [crate::support::api::ApiKey; 3],
    invitation: String,
}

impl Victims {
    async fn prepare(fleet: &Fleet) -> Self {
        let (admin, ada) = (fleet.create_user(ADMIN, "proxy_admin").await, fleet.create_user(ADA, "internal_user").await);
        let carl = fleet.create_user(CARL, "internal_user").await;
        let (ended, alice) = (fleet.sign_in(1).await.cookie, fleet.sign_in(0).await);
        let mut keys = Vec::new();
        for _ in 0..3 {
            keys.push(create_key(fleet.pod(0), Auth::Session(&alice.cookie), json!({})).await);
        }
        let invited = json!({"user_email": "dora@example.com", "user_role": "internal_user"});
        let invited = post(fleet.pod(0), admin.auth(), "/vestibule/api/invitations", invited).await.json();
        let invitation = invited["id"].as_str().unwrap_or_else(|| panic!("no id: {invited}")).to_owned();
        for cookie in [&ada.cookie, &carl.cookie, &ended, &alice.cookie] {
            assert_eq!(fleet.passing(cookie).await, 3);
        }
        Self { admin, ada, carl, alice, ended, keys: keys.try_into().expect("three"), invitation }
    }

    async fn are_revoked(&self, fleet: &Fleet) {
        let alice = Auth::Session(&self.alice.cookie);
        let [revoked, restricted, rotated] = &self.keys;
        assert_eq!(revoke_key(fleet.pod(0), alice, &revoked.id).await.status(), 200);
        until_everywhere(fleet, &revoked.key, 401).await;
        let narrow = json!({"paths": ["/other/**"]});
        assert_eq!(
            call(fleet.pod(1), alice, Method::PATCH, &format!("{KEYS}/{}", restricted.id), Some(narrow)).await.status(),
            200
        );
        for pod in &fleet.pods {
            let refused = async || (check_key_at(pod, &restricted.key, "/ui/").await.status == 403).then_some(());
            until("the restriction to apply", DEADLINE, refused).await;
        }
        let again = rotate_key(fleet.pod(2), alice, &rotated.id, json!({})).await.into_key();
        until_everywhere(fleet, &rotated.key, 401).await;
        assert_eq!(key_status(fleet.pod(0), &again.key).await, 200);

        let id = Digest::of(self.ended.as_bytes()).to_hex();
        assert_eq!(call(fleet.pod(1), alice, Method::DELETE, &format!("/vestibule/api/sessions/{id}"), None).await.status(), 200);
        until("the session to end", DEADLINE, async || (fleet.passing(&self.ended).await == 0).then_some(())).await;
        fleet.sign_out(0, &self.alice).await;
        until("the session to end", DEADLINE, async || (fleet.passing(&self.alice.cookie).await == 0).then_some(())).await;

        let admin = self.admin.auth();
        let invitation = format!("/vestibule/api/invitations/{}", self.invitation);
        assert_eq!(call(fleet.pod(0), admin, Method::DELETE, &invitation, None).await.status(), 200);
        let disable = format!("/vestibule/api/people/{}/disable", self.ada.id);
        assert_eq!(post(fleet.pod(0), admin, &disable, json!({})).await.status(), 200);
        until("her session to end", DEADLINE, async || (fleet.passing(&self.ada.cookie).await == 0).then_some(())).await;
        let carl = format!("/vestibule/api/people/{}", self.carl.id);
        assert_eq!(call(fleet.pod(2), admin, Method::DELETE, &carl, None).await.status(), 200);
        until("his session to end", DEADLINE, async || (fleet.passing(&self.carl.cookie).await == 0).then_some(())).await;
    }
}

async fn until_everywhere(fleet: &Fleet, key: &str, status: u16) {
    for pod in &fleet.pods {
        until_key_status(pod, key, status).await;
    }
}

/// Fills the server with data of other programs.
async fn fill_above(node: &Node, percent: u64) {
    let number = async |field: &str| node.info(field).await.and_then(|text| text.trim().parse::<u64>().ok()).expect("a number");
    for key in 0.. {
        if number("used_memory").await * 100 > number("maxmemory").await * percent {
            return;
        }
        node.call(&["SET", &format!("foreign:{key}"), &"z".repeat(100_000)]).await;
    }
}

/// Fills the server until not even a small value has room, also when some of its own memory becomes free.
async fn fill_completely(node: &Node) {
    for size in [100_000, 1000, 8] {
        for key in 0.. {
            if matches!(set(node, &format!("foreign:{size}:{key}"), size).await, Reply::Error(_)) {
                break;
            }
        }
    }
    let used: u64 = node.info("used_memory").await.and_then(|text| text.trim().parse().ok()).expect("a number");
    node.call(&["CONFIG", "SET", "maxmemory", &(used - 1_000_000).to_string()]).await;
}

async fn set(node: &Node, key: &str, size: usize) -> Reply {
    node.try_call(&["SET", key, &"z".repeat(size)]).await.expect("Redis answers")
}
