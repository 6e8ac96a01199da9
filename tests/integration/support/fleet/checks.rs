//! Sends auth requests to the pods of a fleet, as a gateway does, and reads their counters.

use std::time::Duration;

use tokio::time::Instant;

use super::super::auth_request::SECRET_HEADER;
use super::super::http_client;
use super::super::pod::Pod;
use super::super::steps::SESSION;
use super::super::wait::until;
use super::{DEADLINE, Fleet};

/// A pod's answer to an auth request.
pub struct Answer {
    pub status: u16,
    pub sets_cookie: bool,
    pub closes: bool,
    pub began: Instant,
    pub ended: Instant,
}

/// The end of a session on one pod, as measured by checks.
pub struct Refusal {
    /// The time from the event to the start of the last check that passed.
    pub last_passed: Duration,
    /// The time from the event to the first refusal.
    pub refused: Duration,
}

impl Fleet {
    /// Sends an auth request with a session cookie.
    pub async fn check(&self, pod: usize, cookie: &str) -> Answer {
        self.check_with(pod, ("cookie", &format!("{SESSION}={cookie}"))).await
    }

    /// Sends an auth request with any header.
    pub async fn check_with(&self, pod: usize, (name, value): (&str, &str)) -> Answer {
        let began = Instant::now();
        let request = self.http.get(self.pods[pod].check("/auth/nginx")).header(name, value);
        let request = request.header(SECRET_HEADER.0, SECRET_HEADER.1);
        let answer = request.header("x-original-url", "http://localhost/app").header("x-original-method", "GET").send().await;
        let answer = answer.unwrap_or_else(|error| panic!("pod {pod}: {error:?}"));
        let sets_cookie = answer.headers().contains_key("set-cookie");
        let closes = answer.headers().get("connection").is_some_and(|value| value == "close");
        Answer { status: answer.status().as_u16(), sets_cookie, closes, began, ended: Instant::now() }
    }

    pub async fn status(&self, pod: usize, cookie: &str) -> u16 {
        self.check(pod, cookie).await.status
    }

    /// The number of pods that serve the session.
    pub async fn passing(&self, cookie: &str) -> usize {
        let mut passing = 0;
        for pod in 0..self.pods.len() {
            passing += usize::from(self.status(pod, cookie).await == 200);
        }
        passing
    }

    /// Sends checks without pause until one is refused. All checks before it must pass.
    pub async fn refused(&self, pod: usize, cookie: &str, since: Instant) -> Refusal {
        let mut last_passed = Duration::ZERO;
        loop {
            let answer = self.check(pod, cookie).await;
            match answer.status {
                200 => last_passed = answer.began.saturating_duration_since(since),
                401 => return Refusal { last_passed, refused: answer.ended.saturating_duration_since(since) },
                other => panic!("unexpected status {other} of pod {pod}"),
            }
            assert!(since.elapsed() < DEADLINE, "a session that has ended is still served");
        }
    }

    /// Sends checks until the pod answers from its cache: it does not cache a value that it read while the shard changed.
    pub async fn warm(&self, pod: usize, cookie: &str) {
        until("the session to be cached", DEADLINE, async || {
            let hits = self.lookups(pod, "hit").await;
            assert_eq!(self.status(pod, cookie).await, 200);
            (self.lookups(pod, "hit").await > hits).then_some(())
        })
        .await;
    }

    /// The counter of [`Pod::store_commands`].
    pub async fn commands(&self, pod: usize) -> f64 {
        self.pods[pod].store_commands().await
    }

    pub async fn lookups(&self, pod: usize, result: &str) -> f64 {
        self.pods[pod].metric("vestibule_cache_lookups_total", &[&format!("result=\"{result}\"")]).await
    }

    /// The number of invalidation messages that the pod received.
    pub async fn invalidation_messages(&self, pod: usize, outcome: &str) -> f64 {
        self.pods[pod].metric("vestibule_notices_total", &[&format!("outcome=\"{outcome}\"")]).await
    }
}

impl Refusal {
    /// Asserts the documented bound on stale answers while the store is available.
    pub fn assert_within_bound(&self, what: &str) {
        eprintln!("{what}: refused after {:?}; the last one passed after {:?}", self.refused, self.last_passed);
        assert!(self.last_passed <= vestibule::principal_cache::CONSISTENCY_BOUND, "{what}: {:?}", self.last_passed);
    }
}

/// The answer of the admin listener; `None` while it is not reachable.
pub async fn admin(pod: &Pod, path: &str) -> Option<(u16, String)> {
    let answer = http_client().get(pod.admin(path)).send().await.ok()?;
    Some((answer.status().as_u16(), answer.text().await.ok()?))
}
