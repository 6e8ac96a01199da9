//! The store on real servers: the contract with every kind of Redis and in memory, and the warnings for operators.

mod contract;
mod encryption;
mod faults;
mod leaks;
mod memory;
mod outage_causes;
mod steps;
mod tampering;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use vestibule::clock::SystemClock;
use vestibule::fetch::FileWatch;
use vestibule::secret::read_secret_file;
use vestibule::secret::{ConfiguredSecret, SecretCell};
use vestibule::store::{ConfigurationWarning, Connection, MemoryStore, RecordKind, Shard, Store, TlsSettings};

use crate::support::fleet::Fleet;
use crate::support::records::{connection, redis_store, start};
use crate::support::redis::{Cluster, Options, SecuredRedis, Sentinel, Standalone, secured_redis};
use crate::support::resp::Reply;
use crate::support::wait::until;
use crate::support::{install_crypto, repository};
use steps::{DEADLINE, any_shard, fresh, fresh_in, putting, receive, value, within};

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
async fn the_documented_permissions_are_sufficient() {
    let page = std::fs::read_to_string(repository("docs/store.md")).expect("the page is there");
    let user = page.lines().find(|line| line.starts_with("user vestibule on ")).expect("the page lists the rights");
    let rights = user.replace("PASSWORD", "the-password");
    let mut arguments = vec!["--user".to_owned()];
    arguments.extend(rights.split_whitespace().skip(1).map(str::to_owned));
    let redis = Standalone::start(Options { arguments, ..Options::default() }).await;
    let mut connection = connection(&redis.url());
    connection.settings.username = Some("vestibule".to_owned());
    connection.password = Some(Arc::new(SecretCell::new("the-password")));
    contract::holds(start(&connection)).await;
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
async fn the_contract_holds_over_tls_and_a_changed_password_file_is_read() {
    let redis = SecuredRedis::start("the-first-password").await;
    let cell = Arc::new(SecretCell::new("the-first-password"));
    let _watch = watch_secret(&redis.password_file(), Arc::clone(&cell));
    let store = start(&secured_connection(&redis, Arc::clone(&cell)));
    contract::holds(Arc::clone(&store)).await;

    // The file first, like an operator who permits both passwords for a while.
    redis.write_password_file("the-second-password");
    until("the file to be read again", DEADLINE, async || (cell.expose() == "the-second-password").then_some(())).await;
    redis.change_password("the-second-password");
    is_usable(&store).await;

    // The server first: nobody can authenticate until the file is changed.
    redis.change_password("the-third-password");
    until("the old password to be refused", DEADLINE, async || store.get(&fresh(RecordKind::User)).await.err()).await;
    redis.write_password_file("the-third-password");
    is_usable(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_are_warned_of_eviction_and_of_a_redis_without_persistence() {
    let arguments = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    let forgetful = Options { arguments: arguments("--maxmemory-policy allkeys-lru"), ..Options::default() };
    let warnings = warnings_of(forgetful).await;
    assert!(
        warnings
            .iter()
            .any(|warning| matches!(warning, ConfigurationWarning::Eviction { policy, .. } if policy == "allkeys-lru"))
    );
    assert!(warnings.iter().any(|warning| matches!(warning, ConfigurationWarning::NotPersistent { .. })), "{warnings:?}");
    assert_eq!(warnings.len(), 2, "{warnings:?}");

    let lasting = Options { arguments: arguments("--maxmemory-policy noeviction --appendonly yes"), ..Options::default() };
    assert_eq!(warnings_of(lasting).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_primary_of_a_cluster_is_inspected() {
    let redis = Cluster::start().await;
    let third = &redis.nodes[redis.primaries().await[2]];
    third.call(&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]).await;
    let store = redis_store(&connection(&redis.url()));
    within("the store to be ready", store.ready()).await;
    let warnings = store.configuration_warnings().await;
    assert_eq!(warnings.len(), 2, "each kind once: {warnings:?}");
    let evicting = warnings.iter().find_map(|warning| match warning {
        ConfigurationWarning::Eviction { servers, .. } => Some(servers),
        _ => None,
    });
    assert_eq!(evicting.expect("one evicts").0, [third.address()]);
    let forgetful =
        warnings.iter().find(|warning| matches!(warning, ConfigurationWarning::NotPersistent { .. })).expect("none persists");
    for primary in redis.primaries().await {
        assert!(forgetful.to_string().contains(&redis.nodes[primary].address()), "{forgetful}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_the_redis_user_cannot_read_are_reported_as_unknown() {
    let redis = SecuredRedis::start("the-password").await;
    let store = redis_store(&secured_connection(&redis, Arc::new(SecretCell::new("the-password"))));
    within("the store to be ready", store.ready()).await;
    let warnings = store.configuration_warnings().await;
    assert!(matches!(warnings.as_slice(), [ConfigurationWarning::Unknown { .. }]), "{warnings:?}");
    // With an append-only file nothing is unknown.
    redis.cli(&["CONFIG", "SET", "appendonly", "yes"]);
    assert_eq!(store.configuration_warnings().await, []);
    redis.cli(&["ACL", "SETUSER", secured_redis::USER, "-info"]);
    let warnings = store.configuration_warnings().await;
    assert!(matches!(warnings.as_slice(), [ConfigurationWarning::Unknown { .. }]), "{warnings:?}");
    is_usable(&(store as Arc<dyn Store>)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_sign_in_with_a_redis_user_that_may_not_call_info() {
    let redis = Standalone::start(Options::default()).await;
    redis.node.call(&["ACL", "SETUSER", "default", "-info"]).await;
    let refused = redis.node.try_call(&["INFO"]).await.expect("an answer");
    assert!(matches!(refused, Reply::Error(_)), "{refused:?}");
    // The memory of a server without INFO is unknown, and a limit of it must not matter.
    redis.node.call(&["CONFIG", "SET", "maxmemory", "1gb"]).await;
    let fleet = Fleet::builder().pods(3).store_at(redis.url()).idp().start().await;
    for pod in 0..3 {
        let session = fleet.sign_in(pod).await.cookie;
        assert_eq!(fleet.passing(&session).await, 3, "pod {pod}");
    }
    let warning = "without INFO, logins are not refused when its memory is nearly full";
    for pod in &fleet.pods {
        until("the warning", DEADLINE, async || pod.log().contains(warning).then_some(())).await;
    }
}

#[test]
fn debug_output_of_a_connection_has_no_password() {
    let secret = |text: &str| Some(Arc::new(SecretCell::new(text)));
    let mut shown = connection("redis-sentinel://127.0.0.1:1/vestibule");
    shown.settings.password = Some(ConfiguredSecret::Inline("hidden-one".into()));
    shown.settings.sentinel_password = Some(ConfiguredSecret::Inline("hidden-two".into()));
    (shown.password, shown.sentinel_password) = (secret("hidden-one"), secret("hidden-two"));
    let text = format!("{shown:?} {shown:#?} {:?} {:?}", shown.credentials(), shown.sentinel_credentials());
    assert!(text.contains("127.0.0.1") && !text.contains("hidden"), "{text}");
}

async fn warnings_of(options: Options) -> Vec<ConfigurationWarning> {
    let redis = Standalone::start(options).await;
    let store = redis_store(&connection(&redis.url()));
    within("the store to be ready", store.ready()).await;
    store.configuration_warnings().await
}

/// Reads, writes and receives invalidation messages.
async fn is_usable(store: &Arc<dyn Store>) {
    let key = fresh(RecordKind::User);
    let commit = putting(&key, b"after");
    until("a commit to succeed", DEADLINE, async || store.commit(&commit).await.ok()).await.expect("nothing is expected");
    assert_eq!(value(store, &key).await.as_deref(), Some(&b"after"[..]));
    receives_messages_of(store, any_shard()).await;
}

/// Messages may take a moment longer than commands: they use another connection.
async fn receives_messages_of(store: &Arc<dyn Store>, shard: Shard) {
    let mut notices = store.invalidation_messages();
    until("an invalidation message", DEADLINE, async || {
        let commit = putting(&fresh_in(shard, RecordKind::User), b"");
        store.commit(&commit).await.ok()?.expect("nothing is expected");
        tokio::time::timeout(Duration::from_secs(1), receive(&mut notices, &[commit.token])).await.ok()
    })
    .await;
}

/// With the default deadline of the process.
fn connection_with_short_deadline(url: &str) -> Connection {
    let mut connection = connection(url);
    connection.settings.command_timeout = Duration::from_millis(300);
    connection
}

fn secured_connection(redis: &SecuredRedis, password: Arc<SecretCell>) -> Connection {
    let mut connection = connection(&redis.url());
    install_crypto();
    let tls = TlsSettings { ca_file: Some(redis.ca_file()), ..TlsSettings::default() };
    connection.tls = Some(Arc::new(tls.build(&mut Vec::new()).expect("the authority is usable")));
    connection.settings.username = Some(secured_redis::USER.to_owned());
    connection.password = Some(password);
    connection
}

/// Watches the file of a secret like the process does.
fn watch_secret(file: &Path, cell: Arc<SecretCell>) -> FileWatch {
    use secrecy::ExposeSecret;
    let read = |path: &Path| read_secret_file(path).map(|secret| secret.expose_secret().to_owned());
    FileWatch::start(file, cell.expose(), read, move |text: &String| cell.replace(text))
}
