//! A session that one pod ends is refused by all pods.

use std::time::Duration;

use super::{check_status, origin_of, sign_out};
use crate::support::agent::Agent;
use crate::support::fleet::Fleet;
use crate::support::pod::Pod;
use crate::support::steps::{CAROL, session_header};
use crate::support::wait;

const ROUNDS: usize = 20;
/// The documented bound.
const BOUND: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_on_one_pod_is_effective_on_a_pod_that_cached_the_session() {
    let fleet = Fleet::shared().await;
    let agent = fleet.signed_in(CAROL).await;
    let mut took = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        if round > 0 {
            // The provider still has a session of carol.
            agent.browse(&fleet.url("/ui/")).await;
        }
        let (here, there) = (&fleet.pods[round % 3], &fleet.pods[(round + 1) % 3]);
        took.push(time_to_refusal(&agent, here, there).await);
    }
    took.sort();
    println!(
        "a logout was seen elsewhere after {:?} (least), {:?} (median), {:?} (most)",
        took[0],
        took[ROUNDS / 2],
        took[ROUNDS - 1]
    );
    assert!(took[ROUNDS - 1] < BOUND, "{took:?}");
}

/// The time from the answer of the sign-out on one pod to the first 401 of the other.
async fn time_to_refusal(agent: &Agent, here: &Pod, there: &Pod) -> Duration {
    let cookie = session_header(agent);
    assert_eq!(check_status(agent, there, &cookie).await, 200);
    let hits = async || there.metric("vestibule_cache_lookups_total", &[r#"result="hit""#]).await;
    let before = hits().await;
    assert_eq!(check_status(agent, there, &cookie).await, 200);
    assert!(hits().await > before, "the session was not cached");

    let page = sign_out(agent, &origin_of(here)).await;
    assert_eq!(page.status, 303, "{}", page.body);
    let refused = async || (check_status(agent, there, &cookie).await == 401).then_some(());
    let ((), took) = wait::timed(wait::until("the other pod to refuse the session", PATIENCE, refused)).await;
    assert_eq!(check_status(agent, here, &cookie).await, 401, "the pod that ended it");
    took
}

pub async fn assert_refused_everywhere_soon(fleet: &Fleet, agent: &Agent, cookie: &str) {
    for pod in &fleet.pods {
        let refused = async || (check_status(agent, pod, cookie).await == 401).then_some(());
        wait::until("a pod to refuse the session", PATIENCE, refused).await;
    }
}
