//! The idle timeout and the maximum lifetime of sessions across pods.

use std::time::Duration;

use tokio::time::Instant;

use super::DEADLINE;
use crate::support::fleet::Fleet;
use crate::support::records::session_key;
use crate::support::redis::{Options, Standalone};
use crate::support::resp::Reply;
use crate::support::wait::until;

const IDLE: Duration = Duration::from_secs(3);
const ABSOLUTE: Duration = Duration::from_secs(9);
/// The time of verification is rounded down to a second, and it is not updated for a tenth of the lifetime.
const VERIFICATION_PRECISION: Duration = Duration::from_millis(1900);
const LIMITS: &str = "sessions: {idle: 3s, absolute: 9s}\n";

#[tokio::test(flavor = "multi_thread")]
async fn use_on_one_pod_keeps_a_session_alive_on_another_until_its_maximum_lifetime() {
    let fleet = Fleet::builder().pods(2).standalone().idp().yaml(LIMITS).start().await;
    let before_login = Instant::now();
    let browser = fleet.sign_in(0).await;
    let after_login = Instant::now();
    fleet.warm(1, &browser.cookie).await;

    // The second pod's copy becomes idle, while the user sends requests to the first.
    let used_until = after_login + IDLE + IDLE / 3;
    while Instant::now() < used_until {
        assert_eq!(fleet.status(0, &browser.cookie).await, 200);
    }
    let answer = fleet.check(1, &browser.cookie).await;
    if answer.ended < before_login + ABSOLUTE {
        assert_eq!(answer.status, 200, "idle by its own copy, seen on the other pod");
    }

    let (mut last_passed, mut first_refused) = (after_login, None);
    until("the absolute limit", DEADLINE, async || {
        let answer = fleet.check(0, &browser.cookie).await;
        match answer.status {
            200 => last_passed = answer.began,
            401 => first_refused = Some(answer.ended),
            other => panic!("{other}"),
        }
        first_refused
    })
    .await;
    let refused = first_refused.expect("`until` has seen a refusal");
    eprintln!("refused {:?} after the login, the last one passed after {:?}", refused - before_login, last_passed - after_login);
    assert!(refused + VERIFICATION_PRECISION >= before_login + ABSOLUTE);
    assert!(last_passed <= after_login + ABSOLUTE);
    assert_eq!(fleet.status(1, &browser.cookie).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unused_session_ends() {
    let redis = Standalone::start(Options::default()).await;
    let fleet = Fleet::builder().pods(2).store_at(redis.url()).idp().yaml(LIMITS).start().await;
    let browser = fleet.sign_in(0).await;
    fleet.warm(1, &browser.cookie).await;
    let key = session_key(&browser.cookie);
    let unused = Instant::now();
    until("the record to expire", DEADLINE, async || (redis.node.call(&["EXISTS", &key]).await == Reply::Int(0)).then_some(()))
        .await;
    eprintln!("the record was gone {:?} after the last use", unused.elapsed());
    // The cached copy may be younger than the record by the touch that was not due yet.
    until("the cached copy to be idle", DEADLINE, async || (unused.elapsed() >= IDLE).then_some(())).await;
    for pod in [1, 0] {
        assert_eq!(fleet.status(pod, &browser.cookie).await, 401);
    }
}
