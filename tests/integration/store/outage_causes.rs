//! The log names the reason for which Redis cannot be used, once, and a pod becomes ready when the reason is gone.

use crate::support::fleet::Fleet;
use crate::support::pod::{Pod, PodOptions, Readiness, key_ring};
use crate::support::ports;
use crate::support::redis::{Cluster, Options, SecuredOptions, SecuredRedis, Sentinel, Standalone, secured_redis};
use crate::support::scratch::Scratch;
use crate::support::wait::until;

use super::steps::DEADLINE;

const PASSWORD: &str = "the-password";
/// The name in the certificates of servers that announce their addresses.
const NAME: &str = "redis.example.com";
const NAMES: &str = "DNS:redis.example.com";

/// A pod that uses this store, and its key ring.
async fn start_pod(store: Vec<String>) -> (Pod, Scratch) {
    let (ring, file) = key_ring();
    let mut options = PodOptions { store, ready: Readiness::DontWait, ..PodOptions::new() };
    options.key_ring_file = Some(file);
    (Pod::start(options).await, ring)
}

/// The fields of `store` for this server.
fn fields(redis: &SecuredRedis, further: &[&str]) -> Vec<String> {
    let mut fields = vec![
        format!("url: {}", redis.url()),
        format!("username: {}", secured_redis::USER),
        format!("password_file: {}", redis.password_file().display()),
        format!("ca_file: {}", redis.ca_file().display()),
    ];
    fields.extend(further.iter().map(|line| (*line).to_owned()));
    fields
}

async fn assert_reason(pod: &Pod, reason: &str) {
    let is_logged = |line: &&str| line.contains("redis server not usable");
    let line = until(&format!("{reason} in the log"), DEADLINE, async || {
        let log = pod.log();
        log.lines().find(is_logged).map(str::to_owned)
    })
    .await;
    assert!(line.contains(&format!("reason=\"{reason}\"")), "{reason}: {line}");
    assert!(!pod.log().contains(PASSWORD), "{reason}");
    assert!(!pod.is_ready().await, "{reason}");
}

/// Starts a pod with this store, and expects this reason.
async fn expect(store: Vec<String>, reason: &str) {
    let (pod, _ring) = start_pod(store).await;
    assert_reason(&pod, reason).await;
}

async fn expect_url(url: String, reason: &str) {
    expect(vec![format!("url: {url}")], reason).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reason_of_each_wrong_url_is_logged() {
    let (redis, cluster, sentinel) =
        (Standalone::start(Options::default()).await, Cluster::start().await, Sentinel::start().await);
    let (port, node) = (redis.node.port(), cluster.nodes[0].port());
    tokio::join!(
        expect_url(format!("redis://127.0.0.1:{}", ports::free()), "connection_refused"),
        expect_url("redis://redis.invalid:6379".to_owned(), "host_unknown"),
        expect_url(format!("rediss://127.0.0.1:{port}"), "tls_not_supported"),
        expect_url(format!("redis-cluster://127.0.0.1:{port}"), "not_a_cluster"),
        expect_url(format!("redis-sentinel://127.0.0.1:{port}/main"), "not_a_sentinel"),
        expect_url(sentinel.url().replace(sentinel_service(), "another"), "unknown_master"),
        expect_url(format!("redis://127.0.0.1:{node}"), "is_a_cluster"),
    );
}

fn sentinel_service() -> &'static str {
    crate::support::redis::sentinel::SERVICE
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reason_of_each_rejected_certificate_is_logged() {
    let redis = SecuredRedis::start(PASSWORD).await;
    let misnamed = SecuredRedis::start_with(PASSWORD, SecuredOptions { names: NAMES, ..SecuredOptions::default() }).await;
    let required = SecuredOptions { requires_client_certificate: true, ..SecuredOptions::default() };
    let strict = SecuredRedis::start_with(PASSWORD, required).await;
    let foreign = strict.foreign_client_files();
    let [certificate, key] = [&foreign.certificate, &foreign.key].map(|file| file.display().to_string());
    let (certificate, key) = (format!("cert_file: {certificate}"), format!("key_file: {key}"));
    let of_another = fields(&redis, &[]).into_iter().map(|line| match line.starts_with("ca_file") {
        true => format!("ca_file: {}", misnamed.ca_file().display()),
        false => line,
    });
    tokio::join!(
        expect(of_another.collect(), "tls_unknown_ca"),
        expect(fields(&misnamed, &[]), "tls_name_mismatch"),
        expect(fields(&strict, &[]), "tls_client_certificate_required"),
        expect(fields(&strict, &[&certificate, &key]), "tls_client_certificate_rejected"),
        expect_url(redis.url().replace("rediss", "redis"), "no_redis_reply"),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reason_of_each_refused_user_is_logged() {
    let redis = SecuredRedis::start(PASSWORD).await;
    let without_user =
        fields(&redis, &[]).into_iter().filter(|line| !line.starts_with("username") && !line.starts_with("password"));
    expect(without_user.collect(), "no_credentials").await;
    redis.write_password_file("another");
    expect(fields(&redis, &[]), "wrong_password").await;
    redis.write_password_file(PASSWORD);
    for right in ["-get", "resetchannels", "-subscribe"] {
        redis.cli(&["ACL", "SETUSER", secured_redis::USER, right]);
        expect(fields(&redis, &[]), "no_permission").await;
        redis.cli(&["ACL", "SETUSER", secured_redis::USER, "+@all", "allchannels"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_repeats_the_password_in_its_error_puts_it_into_no_log() {
    let arguments = ["--requirepass", PASSWORD, "--rename-command", "HELLO", "HIDDEN"].map(str::to_owned).to_vec();
    let redis = Standalone::start(Options { arguments, ..Options::default() }).await;
    expect(vec![format!("url: {}", redis.url()), format!("password: {PASSWORD}")], "hello_refused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_client_certificate_is_used_and_the_recovery_is_logged() {
    let required = SecuredOptions { requires_client_certificate: true, ..SecuredOptions::default() };
    let redis = SecuredRedis::start_with(PASSWORD, required).await;
    let (accepted, configured) = (redis.client_files(), redis.foreign_client_files());
    let [certificate, key] = [&configured.certificate, &configured.key].map(|file| file.display().to_string());
    let (mut pod, _ring) = start_pod(fields(&redis, &[&format!("cert_file: {certificate}"), &format!("key_file: {key}")])).await;
    assert_reason(&pod, "tls_client_certificate_rejected").await;

    std::fs::copy(&accepted.key, &configured.key).expect("the directory is writable");
    std::fs::copy(&accepted.certificate, &configured.certificate).expect("the directory is writable");
    pod.wait_ready().await;
    until("the recovery in the log", DEADLINE, async || pod.log().contains("redis server usable again").then_some(())).await;
    assert_eq!(pod.log().matches("redis server not usable").count(), 1, "{}", pod.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_announces_addresses_is_used_with_the_name_in_its_certificates() {
    let options = SecuredOptions { names: NAMES, is_cluster: true, ..SecuredOptions::default() };
    let redis = SecuredRedis::start_with(PASSWORD, options).await;
    expect(fields(&redis, &[]), "tls_name_mismatch").await;
    expect(fields(&redis, &["tls_server_name: other.example.com"]), "tls_name_mismatch").await;
    let (mut pod, _ring) = start_pod(fields(&redis, &[&format!("tls_server_name: {NAME}")])).await;
    pod.wait_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_behind_sentinel_holds_all_records() {
    let redis = Sentinel::start().await;
    let fleet = Fleet::builder().pods(2).store_at(format!("{}/3", redis.url())).idp().start().await;
    let session = fleet.sign_in(0).await.cookie;
    assert_eq!(fleet.passing(&session).await, 2);
    let keyspace = redis.nodes[redis.primary().await].cli(&["INFO", "keyspace"]);
    let databases: Vec<&str> = keyspace.lines().filter(|line| line.starts_with("db")).collect();
    assert!(databases.len() == 1 && databases[0].starts_with("db3:"), "{keyspace}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_logged_once_with_its_reason_while_pods_run() {
    let mut redis = Standalone::start(Options::default()).await;
    let (mut pod, _ring) = start_pod(vec![format!("url: {}", redis.url())]).await;
    pod.wait_ready().await;
    assert!(!pod.log().contains("redis server not usable"), "{}", pod.log());
    redis.node.kill9();
    until("the reason in the log", DEADLINE, async || pod.log().contains("reason=\"connection_refused\"").then_some(())).await;
    redis.node.restart().await;
    until("the recovery in the log", DEADLINE, async || pod.log().contains("redis server usable again").then_some(())).await;
    assert_eq!(pod.log().matches("redis server not usable").count(), 1, "{}", pod.log());
}
