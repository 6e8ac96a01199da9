//! Logout tokens that arrive at the same time.

use futures::future::join_all;
use serde_json::json;

use super::{PATH, log_out, send};
use crate::logout::scripted_fleet::{ScriptedFleet, answer};

const ROUNDS: usize = 10;
const CONCURRENT: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn of_concurrent_requests_with_one_token_on_three_pods_exactly_one_is_accepted() {
    let fixture = ScriptedFleet::start().await;
    for round in 0..ROUNDS {
        let sid = format!("s{round}");
        let session = fixture.sign_in(json!({"sub": "ada", "sid": sid})).await;
        let token = fixture.token(json!({"claims": {"sid": sid}})).await;
        let requests = (0..CONCURRENT).map(async |number| answer(send(fixture.fleet.pod(number), PATH, &token).await).await.0);
        let mut statuses = join_all(requests).await;
        statuses.sort_unstable();
        let expected: Vec<u16> = std::iter::once(200).chain(std::iter::repeat_n(400, CONCURRENT - 1)).collect();
        assert_eq!(statuses, expected, "round {round}");
        assert_eq!(fixture.fleet.status(0, &session).await, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_tokens_for_one_session_are_all_accepted() {
    let fixture = ScriptedFleet::start().await;
    let session = fixture.sign_in(json!({"sub": "ada", "sid": "s1"})).await;
    let logouts = (0..CONCURRENT).map(|number| log_out(&fixture, number, json!({"sid": "s1", "sub": "ada"})));
    for (status, _) in join_all(logouts).await {
        assert_eq!(status, 200);
    }
    assert_eq!(fixture.fleet.passing(&session).await, 0);
}
