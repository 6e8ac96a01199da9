//! While the store is unavailable, cached users are served for the grace period, other checks are 503, and no session ends.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;
use vestibule::principal_cache::CONSISTENCY_BOUND;

use super::DEADLINE;
use crate::support::fleet::{Answer, Browser, Fleet};
use crate::support::proxy::FaultProxy;
use crate::support::redis::{Options, Standalone};
use crate::support::wait::{pass, until};

const GRACE: Duration = Duration::from_secs(6);
const CONFIG: &str = "cache: {revocation_grace: 6s}\n";

/// The failover time of a cluster's client. The grace period must be longer.
const COVERED: Duration = Duration::from_millis(3500);

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_redis_ends_no_session() {
    let arguments = ["--appendonly", "yes"].map(str::to_owned).to_vec();
    let mut redis = Standalone::start(Options { arguments, ..Options::default() }).await;
    let cached = CachedSession::start(&redis.url()).await;
    redis.node.kill9();
    cached.assert_served_within_grace_period("killed Redis").await;
    redis.node.restart().await;
    cached.assert_served_again().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_redis_ends_no_session() {
    let mut redis = Standalone::start(Options::default()).await;
    let cached = CachedSession::start(&redis.url()).await;
    redis.node.stop();
    cached.assert_served_within_grace_period("silent Redis").await;
    redis.node.cont();
    cached.assert_served_again().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_without_network_ends_no_session() {
    let redis = Standalone::start(Options::default()).await;
    let proxy = FaultProxy::start(redis.node.port()).await;
    let cached = CachedSession::start(&proxy.url()).await;
    proxy.refuse();
    cached.assert_served_within_grace_period("refused connections").await;
    proxy.resume();
    cached.assert_served_again().await;
}

/// The maximum of the setting, and longer than any gateway should wait for a check.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_store_timeout_beyond_the_gateways_timeout_does_not_delay_checks_that_long() {
    let redis = Standalone::start(Options::default()).await;
    let proxy = FaultProxy::start(redis.node.port()).await;
    let fleet = Fleet::builder()
        .stores([redis.url(), proxy.url()])
        .idp()
        .config(|pod| {
            pod.store.retain(|line| !line.starts_with("command_timeout"));
            pod.store.push(format!("command_timeout: {}s", COMMAND_TIMEOUT.as_secs()));
        })
        .start()
        .await;
    let (known, unknown) = (fleet.sign_in(0).await, fleet.sign_in(0).await);
    fleet.warm(1, &known.cookie).await;
    proxy.stall();
    pass(CONSISTENCY_BOUND + Duration::from_secs(1)).await;
    let (known, unknown) = tokio::join!(fleet.check(1, &known.cookie), fleet.check(1, &unknown.cookie));
    assert_eq!((known.status, unknown.status), (200, 503));
    let took = unknown.ended - unknown.began;
    println!("503 after {took:.1?}");
    assert!(took < COMMAND_TIMEOUT, "it waited for the store all the same: {took:?}");
    assert!(known.ended < unknown.ended, "a cached session waits as long as an unknown one");
    proxy.resume();
}

/// Two pods; the second one has cached one of two sessions.
struct CachedSession {
    fleet: Fleet,
    known: Browser,
    /// Valid, but not cached by the second pod.
    unknown: Browser,
}

impl CachedSession {
    async fn start(url: &str) -> Self {
        let fleet = Fleet::builder()
            .pods(2)
            .store_at(url.to_owned())
            .idp()
            .config(|pod| {
                pod.further.push_str(CONFIG);
                pod.store = vec![format!("url: {url}")];
            })
            .start()
            .await;
        let (known, unknown) = (fleet.sign_in(0).await, fleet.sign_in(0).await);
        fleet.warm(1, &known.cookie).await;
        Self { fleet, known, unknown }
    }

    /// Called when the outage begins.
    async fn assert_served_within_grace_period(&self, what: &str) {
        let since = Instant::now();
        let (known, unknown) = tokio::join!(
            self.check_until_grace_period_ends(&self.known, since),
            self.check_until_grace_period_ends(&self.unknown, since)
        );
        let passed = known.iter().filter(|answer| answer.status == 200).map(|answer| answer.began - since).max();
        let slowest = known.iter().chain(&unknown).map(|answer| answer.ended - answer.began).max();
        eprintln!("{what}: {} checks, the last one passed after {passed:?}, the slowest took {slowest:?}", known.len());
        for answer in &known {
            assert!([200, 503].contains(&answer.status), "{}", answer.status);
            assert!(answer.ended - since > COVERED || answer.status == 200, "{:?} after it began", answer.ended - since);
            assert!(answer.began - since <= GRACE || answer.status == 503, "{:?} after it began", answer.began - since);
        }
        assert!(unknown.iter().all(|answer| answer.status == 503), "unknown is not unauthenticated");
        assert!(known.iter().chain(&unknown).all(|answer| !answer.sets_cookie), "a cookie was changed");
        assert!(self.fleet.lookups(1, "stale").await > 0.0);
        assert!(self.fleet.pods[1].is_ready().await, "readiness followed the store");
        assert!(self.fleet.pods[1].log().contains("store not responding"));
        self.assert_metrics().await;
        self.assert_pages().await;
    }

    /// Sends checks until well after the grace period.
    async fn check_until_grace_period_ends(&self, browser: &Browser, since: Instant) -> Vec<Answer> {
        let mut answers = Vec::new();
        while since.elapsed() < GRACE + Duration::from_secs(1) {
            answers.push(self.fleet.check(1, &browser.cookie).await);
        }
        answers
    }

    async fn assert_metrics(&self) {
        let pod = &self.fleet.pods[1];
        assert!(pod.metric("vestibule_checks_total", &["outcome=\"unavailable\""]).await > 0.0);
        assert!(
            pod.metric("vestibule_store_commands_total", &["operation=\"sequences\"", "outcome=\"unavailable\""]).await > 0.0
        );
        let age = pod.metric("vestibule_cache_proof_age_seconds", &[]).await;
        assert!(age > GRACE.as_secs_f64(), "{age}");
    }

    async fn assert_pages(&self) {
        for browser in [&self.known, &self.unknown] {
            for path in ["/sso/session", "/sso/logout", "/vestibule/", "/sso/login"] {
                let page = browser.agent.get(&self.fleet.pods[1].public(path)).await;
                assert_eq!(page.status, 503, "{path}: {}", page.body);
                let cleared = page.set_cookies().iter().any(|line| line.starts_with("vestibule="));
                assert!(!cleared, "{path} changed the session's cookie");
            }
        }
    }

    async fn assert_served_again(&self) {
        let since = Instant::now();
        until("both to be served again", DEADLINE, async || {
            let statuses = join_all([&self.known, &self.unknown].map(|browser| self.fleet.status(1, &browser.cookie))).await;
            assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
            (statuses == [200, 200]).then_some(())
        })
        .await;
        eprintln!("served again after {:?}", since.elapsed());
        let page = || async { self.known.agent.get(&self.fleet.pods[0].public("/sso/login")).await.status };
        until("logins to begin again", DEADLINE, async || (page().await == 302).then_some(())).await;
        let newcomer = self.fleet.sign_in(0).await;
        assert_eq!(self.fleet.status(1, &newcomer.cookie).await, 200);
        self.fleet.sign_out(0, &newcomer).await;
        let refusal = self.fleet.refused(1, &newcomer.cookie, Instant::now()).await;
        refusal.assert_within_bound("after the outage");
    }
}
