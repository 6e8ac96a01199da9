//! A user has a limited number of sessions: the next sign-in ends the oldest, on every pod.

use std::time::Duration;

use futures::future::join_all;

use crate::support::api::{Auth, get};
use crate::support::fleet::{Browser, Fleet};
use crate::support::wait::until;

const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_beyond_the_limit_ends_the_oldest_session_on_every_pod() {
    let fleet = Fleet::builder().pods(3).cluster().idp().yaml("sessions: {max_per_user: 3}\n").start().await;
    let mut browsers: Vec<Browser> = Vec::new();
    for number in 0..3 {
        browsers.push(fleet.sign_in(number).await);
    }
    for browser in &browsers {
        assert_eq!(fleet.passing(&browser.cookie).await, 3);
    }
    for number in 0..3 {
        browsers.push(fleet.sign_in((number + 1) % 3).await);
        let oldest = browsers.remove(0);
        until("the oldest session to end", DEADLINE, async || (fleet.passing(&oldest.cookie).await == 0).then_some(())).await;
        for browser in &browsers {
            assert_eq!(fleet.passing(&browser.cookie).await, 3);
        }
    }
    // Concurrent sign-ins at the limit may end the same session. The next sign-in ends all in excess.
    join_all((0..3).map(|pod| fleet.sign_in(pod))).await;
    let last = fleet.sign_in(0).await;
    for browser in &browsers {
        until("the session to end", DEADLINE, async || (fleet.passing(&browser.cookie).await == 0).then_some(())).await;
    }
    let listed = get(fleet.pod(0), Auth::Session(&last.cookie), "/vestibule/api/sessions").await;
    assert_eq!(listed["sessions"].as_array().map(Vec::len), Some(3), "{listed:#}");
}
