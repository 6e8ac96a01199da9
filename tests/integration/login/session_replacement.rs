//! A second sign-in in the same browser replaces its session.

use std::time::Duration;

use crate::support::agent::Agent;
use crate::support::fleet::Fleet;
use crate::support::steps::{ALICE, BOB, CAROL, assert_signed_in, at, check, session_of, sign_in, until_callback};
use crate::support::wait;

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sign_in_ends_the_first_session_of_the_browser_and_no_other() {
    let fleet = Fleet::shared().await;
    let (first, second) = (&fleet.pods[0], &fleet.pods[1]);
    let other_session = fleet.session_header(ALICE).await;
    // The same user, whose sessions share a shard, and other users, whose sessions may not.
    for user in [ALICE, BOB, CAROL] {
        let agent = Agent::new();
        let old = sign_in(fleet.idp(), &agent, first, ALICE).await;
        assert_eq!(check(&agent, second, &old).await.status, 200);
        forget_the_provider(&agent);
        let new = sign_in(fleet.idp(), &agent, second, user).await;
        for pod in [first, second] {
            let ended = async || (check(&agent, pod, &old).await.status == 401).then_some(());
            wait::until("the old session to end", PATIENCE, ended).await;
            assert_eq!(check(&agent, pod, &new).await.status, 200);
        }
    }
    let other = other_session.strip_prefix("vestibule=").expect("the cookie's name");
    assert_eq!(check(&Agent::new(), first, other).await.status, 200, "another browser's session stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sign_in_ends_no_session_and_a_forged_cookie_prevents_no_sign_in() {
    let fleet = Fleet::builder().idp().start().await;
    let agent = Agent::new();
    let old = sign_in(fleet.idp(), &agent, fleet.pod(0), ALICE).await;
    let callback = at(fleet.pod(0), &until_callback(fleet.idp(), &agent, fleet.pod(0), "/ui/", ALICE).await);
    fleet.idp().fail().await;
    assert_eq!(agent.get(&callback).await.status, 502);
    assert_eq!(check(&agent, fleet.pod(0), &old).await.status, 200);
    fleet.idp().resume().await;
    let forged = "A".repeat(old.len());
    agent.set_cookie("localhost", &format!("vestibule={forged}; Path=/"));
    let callback = at(fleet.pod(0), &until_callback(fleet.idp(), &agent, fleet.pod(0), "/ui/", ALICE).await);
    assert_signed_in(&agent.get(&callback).await);
    assert_ne!(session_of(&agent), forged);
    assert_eq!(check(&agent, fleet.pod(0), &old).await.status, 200, "this browser did not send its cookie");
}

/// Removes the provider's cookies, so that it shows its form.
fn forget_the_provider(agent: &Agent) {
    let kept = agent.cookies("localhost");
    agent.clear_cookies();
    kept.iter().for_each(|cookie| agent.set_cookie("localhost", &cookie.line));
}
