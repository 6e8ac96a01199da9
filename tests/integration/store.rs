//! The store on real servers: the contract on every shape of Redis and in memory, and what an operator is told.

mod contract;
mod faults;
mod leaks;
mod sealing;
mod steps;
mod tampering;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use vestibule::clock::SystemClock;
use vestibule::files::FileWatch;
use vestibule::secret::SecretCell;
use vestibule::secret::read_secret_file;
use vestibule::store::{ConfigurationWarning, Connection, Credentials, Kind, MemoryStore, Shard, Store, Topology};

use crate::support::records::{connection, redis_store, start};
use crate::support::redis::{Cluster, Options, Secured, Sentinel, Standalone, secured};
use crate::support::wait::until;
use crate::support::{install_crypto, repository};
use steps::{DEADLINE, any_shard, fresh, fresh_in, hear, putting, value, within};

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_in_memory() {
    contract::holds(Arc::new(MemoryStore::new(Arc::new(SystemClock)))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_on_one_redis() {
    let redis = Standalone::start(Options::default()).await;
    contract::holds(start(&connection(&redis.url()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_that_the_documentation_lists_are_enough() {
    let page = std::fs::read_to_string(repository("docs/store.md")).expect("the page is there");
    let user = page.lines().find(|line| line.starts_with("user vestibule on ")).expect("the page lists the rights");
    let rights = user.replace("PASSWORD", "the-password");
    let mut arguments = vec!["--user".to_owned()];
    arguments.extend(rights.split_whitespace().skip(1).map(str::to_owned));
    let redis = Standalone::start(Options { arguments, ..Options::default() }).await;
    let password = Some(Arc::new(SecretCell::new("the-password")));
    let credentials = Credentials { username: Some("vestibule".to_owned()), password };
    contract::holds(start(&Connection { credentials, ..connection(&redis.url()) })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_on_a_cluster() {
    let redis = Cluster::start().await;
    contract::holds(start(&connection(&redis.url()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_behind_sentinel() {
    let redis = Sentinel::start().await;
    contract::holds(start(&connection(&redis.url()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_over_tls_and_a_changed_password_file_is_followed() {
    let redis = Secured::start("the-first-password").await;
    let cell = Arc::new(SecretCell::new("the-first-password"));
    let _watch = follow(&redis.password_file(), Arc::clone(&cell));
    let store = start(&secured_connection(&redis, Arc::clone(&cell)));
    contract::holds(Arc::clone(&store)).await;

    // The file first, as an operator does who lets both passwords count for a while.
    redis.write_password_file("the-second-password");
    until("the file to be read again", DEADLINE, async || (cell.expose() == "the-second-password").then_some(())).await;
    redis.change_password("the-second-password");
    works_again(&store).await;

    // The server first: nobody gets in until the file follows.
    redis.change_password("the-third-password");
    until("the old password to be refused", DEADLINE, async || store.get(&fresh(Kind::User)).await.err()).await;
    redis.write_password_file("the-third-password");
    works_again(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_is_warned_of_eviction_and_of_a_redis_that_forgets() {
    let arguments = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    let forgetful = Options { arguments: arguments("--maxmemory-policy allkeys-lru"), ..Options::default() };
    let hazards = hazards_of(forgetful).await;
    assert!(
        hazards.iter().any(|hazard| matches!(hazard, ConfigurationWarning::Eviction { policy, .. } if policy == "allkeys-lru"))
    );
    assert!(hazards.iter().any(|hazard| matches!(hazard, ConfigurationWarning::NotPersistent { .. })), "{hazards:?}");
    assert_eq!(hazards.len(), 2, "{hazards:?}");

    let lasting = Options { arguments: arguments("--maxmemory-policy noeviction --appendonly yes"), ..Options::default() };
    assert_eq!(hazards_of(lasting).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_primary_of_a_cluster_is_looked_at() {
    let redis = Cluster::start().await;
    let third = &redis.nodes[redis.primaries().await[2]];
    third.call(&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]).await;
    let store = redis_store(&connection(&redis.url()));
    within("the store to be ready", store.ready()).await;
    let hazards = store.configuration_warnings().await;
    assert_eq!(hazards.len(), 2, "each kind once: {hazards:?}");
    let evicting = hazards.iter().find_map(|hazard| match hazard {
        ConfigurationWarning::Eviction { servers, .. } => Some(servers),
        _ => None,
    });
    assert_eq!(evicting.expect("one evicts").0, [third.address()]);
    let forgetful =
        hazards.iter().find(|hazard| matches!(hazard, ConfigurationWarning::NotPersistent { .. })).expect("none persists");
    for primary in redis.primaries().await {
        assert!(forgetful.to_string().contains(&redis.nodes[primary].address()), "{forgetful}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_without_config_may_not_see_is_said_to_be_unknown() {
    let redis = Secured::start("the-password").await;
    let store = redis_store(&secured_connection(&redis, Arc::new(SecretCell::new("the-password"))));
    within("the store to be ready", store.ready()).await;
    let hazards = store.configuration_warnings().await;
    assert!(matches!(hazards.as_slice(), [ConfigurationWarning::Unknown { .. }]), "{hazards:?}");
    // With an append-only file nothing is left to know.
    redis.cli(&["CONFIG", "SET", "appendonly", "yes"]);
    assert_eq!(store.configuration_warnings().await, []);
    redis.cli(&["ACL", "SETUSER", secured::USER, "-info"]);
    let hazards = store.configuration_warnings().await;
    assert!(matches!(hazards.as_slice(), [ConfigurationWarning::Unknown { .. }]), "{hazards:?}");
    works_again(&(store as Arc<dyn Store>)).await;
}

#[test]
fn debug_of_a_connection_shows_no_password() {
    let secret = |text: &str| Some(Arc::new(SecretCell::new(text)));
    let mut shown = connection("redis-sentinel://127.0.0.1:1/vestibule");
    shown.credentials = Credentials { username: Some("vestibule".into()), password: secret("hidden-one") };
    shown.topology = Topology::Sentinel {
        service: "main".into(),
        credentials: Credentials { username: None, password: secret("hidden-two") },
    };
    let text = format!("{shown:?} {shown:#?} {:?}", shown.credentials);
    assert!(text.contains("127.0.0.1") && !text.contains("hidden"), "{text}");
}

async fn hazards_of(options: Options) -> Vec<ConfigurationWarning> {
    let redis = Standalone::start(options).await;
    let store = redis_store(&connection(&redis.url()));
    within("the store to be ready", store.ready()).await;
    store.configuration_warnings().await
}

/// Reads, writes and hears of it.
async fn works_again(store: &Arc<dyn Store>) {
    let key = fresh(Kind::User);
    let commit = putting(&key, b"after");
    until("a commit to succeed", DEADLINE, async || store.commit(&commit).await.ok()).await.expect("nothing is expected");
    assert_eq!(value(store, &key).await.as_deref(), Some(&b"after"[..]));
    is_heard(store, any_shard()).await;
}

/// Notices may need a moment longer than commands: a connection of their own brings them.
async fn is_heard(store: &Arc<dyn Store>, shard: Shard) {
    let mut notices = store.invalidation_messages();
    until("a notice", DEADLINE, async || {
        let commit = putting(&fresh_in(shard, Kind::User), b"");
        store.commit(&commit).await.ok()?.expect("nothing is expected");
        tokio::time::timeout(Duration::from_secs(1), hear(&mut notices, &[commit.token])).await.ok()
    })
    .await;
}

/// With the deadline that the process has unless it is told another.
fn hasty_connection(url: &str) -> Connection {
    Connection { command_timeout: Duration::from_millis(300), ..connection(url) }
}

fn secured_connection(redis: &Secured, password: Arc<SecretCell>) -> Connection {
    let mut connection = connection(&redis.url());
    connection.tls = Some(Arc::new(trusting(&redis.ca_file())));
    connection.credentials = Credentials { username: Some(secured::USER.to_owned()), password: Some(password) };
    connection
}

fn trusting(ca_file: &Path) -> rustls::ClientConfig {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    install_crypto();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca_file).expect("a certificate")).expect("a certificate authority");
    rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}

/// As the process follows the file of a secret.
fn follow(file: &Path, cell: Arc<SecretCell>) -> FileWatch {
    use secrecy::ExposeSecret;
    let read = |path: &Path| read_secret_file(path).map(|secret| secret.expose_secret().to_owned());
    FileWatch::start(file, cell.expose(), read, move |text: &String| cell.replace(text))
}
