//! The start of a pod without its store, its graceful shutdown, and the rotation of the key ring at run time.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use vestibule::clock::SystemClock;
use vestibule::secret::{KeyRing, OpaqueToken, RingKeys, TokenKind};

use super::DEADLINE;
use crate::support::agent::{Agent, Page};
use crate::support::fleet::{Fleet, admin};
use crate::support::pod::{Pod, PodOptions, Readiness, key_ring, random_key};
use crate::support::ports;
use crate::support::process::Child;
use crate::support::redis::{Options, Standalone};
use crate::support::wait::{timed, until};

/// Longer than these tests wait.
const LONG_DELAY: &str = "shutdown: {delay: 100s, deadline: 120s}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_without_its_store_starts_and_becomes_ready_when_the_store_is_available() {
    let port = ports::free();
    let url = format!("redis://127.0.0.1:{port}");
    let mut fleet =
        Fleet::builder().store_at(url).idp().config(|pod: &mut PodOptions| pod.ready = Readiness::DontWait).start().await;
    assert_eq!(admin(&fleet.pods[0], "/livez").await.map(|(status, _)| status), Some(200));
    let (status, text) = admin(&fleet.pods[0], "/readyz").await.expect("it lives");
    assert!(status == 503 && text.contains("store"), "{status} {text}");
    assert_eq!(fleet.check_with(0, ("accept", "text/html")).await.status, 401, "without a credential no store is needed");
    assert_eq!(fleet.status(0, &"A".repeat(66)).await, 401, "nor for a forged one");
    let genuine = valid_session_token(&fleet);
    assert_eq!(fleet.status(0, &genuine).await, 503, "a valid session token cannot be looked up yet");

    let mut redis = Standalone::start(Options { port: Some(port), ..Options::default() }).await;
    let ((), took) = timed(fleet.pods[0].wait_ready()).await;
    eprintln!("ready {took:?} after Redis");
    until("the session token to be refused", DEADLINE, async || (fleet.status(0, &genuine).await == 401).then_some(())).await;
    let browser = fleet.sign_in(0).await;
    assert_eq!(fleet.status(0, &browser.cookie).await, 200);

    redis.node.kill9();
    until("the outage to be noticed", DEADLINE, async || {
        let failed = fleet.pods[0].metric("vestibule_store_commands_total", &["sequences", "unavailable"]).await;
        (failed >= 3.0).then_some(())
    })
    .await;
    assert_eq!(admin(&fleet.pods[0], "/readyz").await.map(|(status, _)| status), Some(200), "readiness followed Redis");
    assert_eq!(admin(&fleet.pods[0], "/livez").await.map(|(status, _)| status), Some(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_pod_is_unready_first_then_drains_and_exits_successfully() {
    let mut fleet = Fleet::builder().standalone().idp().yaml("shutdown: {delay: 2s, deadline: 25s}\n").start().await;
    let browser = fleet.sign_in(0).await;
    let login = start_pending_callback(&fleet).await;
    fleet.pods[0].process().term();
    until("readiness to fail", DEADLINE, async || (admin(&fleet.pods[0], "/readyz").await?.0 == 503).then_some(())).await;
    assert_eq!(fleet.status(0, &browser.cookie).await, 200, "new requests are served");
    assert!(fleet.pods[0].process().has_exited().is_none());
    until("connections to be closed", DEADLINE, async || fleet.check(0, &browser.cookie).await.closes.then_some(())).await;
    assert!(fleet.pods[0].process().has_exited().is_none(), "a login flow is active");
    fleet.idp().resume().await;
    let page = login.await.expect("the answer arrives");
    assert_eq!(page.status, 303, "{}", page.body);
    assert!(page.set_cookies().iter().any(|line| line.starts_with("vestibule=")));
    let status = fleet.pods[0].process().wait_exit(DEADLINE).await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shutdown_deadline_ends_a_pod_despite_active_requests() {
    let mut fleet = Fleet::builder().standalone().idp().yaml("shutdown: {delay: 500ms, deadline: 2s}\n").start().await;
    let login = start_pending_callback(&fleet).await;
    let began = Instant::now();
    fleet.pods[0].process().term();
    let status = fleet.pods[0].process().wait_exit(DEADLINE).await;
    eprintln!("ended {:?} after SIGTERM", began.elapsed());
    // The login alone would have taken the provider timeout of ten seconds.
    assert!(began.elapsed() < Duration::from_secs(7));
    assert_eq!(status.code(), Some(0));
    login.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_a_pod_without_the_delay() {
    let mut pod = Pod::start(PodOptions { further: LONG_DELAY.to_owned(), ..PodOptions::new() }).await;
    pod.process().interrupt();
    let status = pod.process().wait_exit(DEADLINE).await;
    assert_eq!(status.code(), Some(0));
    assert!(!pod.log().contains("closing open connections"), "{}", pod.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_pod_at_once() {
    for second in [Child::term, Child::interrupt] {
        let mut pod = Pod::start(PodOptions { further: LONG_DELAY.to_owned(), ..PodOptions::new() }).await;
        pod.process().term();
        until("readiness to fail", DEADLINE, async || (admin(&pod, "/readyz").await?.0 == 503).then_some(())).await;
        assert!(pod.process().has_exited().is_none());
        second(pod.process());
        let status = pod.process().wait_exit(DEADLINE).await;
        assert_eq!(status.code(), Some(0));
        assert!(pod.log().contains("second stop signal received"), "{}", pod.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_ring_rotation_ends_no_session() {
    let (other_ring, other_file) = key_ring();
    let old = random_key();
    std::fs::write(&other_file, format!("{old}\n")).expect("the file is ours");
    let mut fleet = Fleet::builder()
        .pods(2)
        .standalone()
        .idp()
        .config(|pod| {
            let file = pod.key_ring_file.get_or_insert_default();
            std::fs::write(file, format!("{old}\n")).expect("the file is ours");
            if pod.name == "pod-1" {
                pod.key_ring_file = Some(other_file.clone());
            }
        })
        .start()
        .await;
    let before = fleet.sign_in(0).await;
    assert_eq!(fleet.status(1, &before.cookie).await, 200);

    let rotated = format!("{}\n{old}\n", random_key());
    std::fs::write(&fleet.key_ring_file, &rotated).expect("the file is ours");
    until("pod 0 to read it", DEADLINE, async || fleet.pods[0].log().contains("key ring reloaded").then_some(())).await;
    let during = fleet.sign_in(0).await;
    for (pod, browser) in [(0, &before), (1, &before), (0, &during), (1, &during)] {
        assert_eq!(fleet.status(pod, &browser.cookie).await, 200, "pod {pod}, which may not have the new key yet");
    }
    // A new pod has an empty cache: it decrypts records of the old key.
    fleet.restart(0).await;
    for browser in [&before, &during] {
        assert_eq!(fleet.status(0, &browser.cookie).await, 200);
    }
    // An invalid file does not change the key ring.
    std::fs::write(other_ring.path().join("keyring"), "not a key\n").expect("the file is ours");
    until("pod 1 to refuse it", DEADLINE, async || fleet.pods[1].log().contains("key ring rejected").then_some(())).await;
    assert!(!fleet.pods[1].log().contains("not a key\n"));
    let after = fleet.sign_in(0).await;
    assert_eq!(fleet.status(1, &after.cookie).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_a_removed_key_is_refused() {
    let fleet = Fleet::builder().standalone().idp().start().await;
    let browser = fleet.sign_in(0).await;
    fleet.warm(0, &browser.cookie).await;
    let old = std::fs::read_to_string(&fleet.key_ring_file).expect("the file is ours");
    let new = random_key();
    let ring_of = |text: String| std::fs::write(&fleet.key_ring_file, text).expect("the file is ours");
    let flushes = async || fleet.pods[0].metric("vestibule_cache_flushes_total", &["reason=\"key_ring\""]).await;

    ring_of(format!("{new}\n{old}"));
    until("it to be read", DEADLINE, async || fleet.pods[0].log().contains("key ring reloaded").then_some(())).await;
    assert_eq!((fleet.status(0, &browser.cookie).await, flushes().await), (200, 0.0), "adding a key flushes nothing");

    ring_of(format!("{new}\n"));
    until("the session to end", DEADLINE, async || (fleet.status(0, &browser.cookie).await == 401).then_some(())).await;
    // The session's token is refused at once; a task flushes the cache.
    until("one flush", DEADLINE, async || (flushes().await == 1.0).then_some(())).await;
    ring_of(format!("{new}\n{old}"));
    until("the session to be accepted again", DEADLINE, async || (fleet.status(0, &browser.cookie).await == 200).then_some(()))
        .await;
}

/// A callback that waits for the provider's token endpoint.
async fn start_pending_callback(fleet: &Fleet) -> JoinHandle<Page> {
    let agent = Agent::new();
    let callback = fleet.callback(0, &agent).await;
    fleet.idp().pause().await;
    let before = fleet.commands(0).await;
    let login = tokio::spawn(async move { agent.get(&callback).await });
    // The callback reads and consumes the login flow, and then connects to the provider.
    until("the login flow to be consumed", DEADLINE, async || (fleet.commands(0).await >= before + 2.0).then_some(())).await;
    login
}

fn valid_session_token(fleet: &Fleet) -> String {
    let text = std::fs::read_to_string(&fleet.key_ring_file).expect("the key ring is there");
    let ring = KeyRing::new(RingKeys::parse(&text).expect("a key ring"), Arc::new(SystemClock));
    OpaqueToken::mint(&ring, TokenKind::Session, 5).expose().to_owned()
}
