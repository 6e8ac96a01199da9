//! Pods that are killed or stopped while claims are refreshed.

use super::*;

const REFRESHES: &str = "vestibule_claims_refreshes_total";

/// The provider has rotated the token, and the pod that received the new one is killed before it stores it. The next use sends the
/// old token, and the provider ends the grant: the user signs in once, without a loop.
pub(super) async fn a_pod_that_is_killed_after_the_rotation_costs_one_sign_in(refreshed: &mut RefreshFleet) {
    let (lost, other) = (refreshed.sign_in("corp", ALICE).await, refreshed.sign_in("corp", ALICE).await);
    let (before, errors) = (refreshed.refreshes("corp").await, refreshed.token_errors("corp").await);
    refreshed.fleet.idp().hold_next_answer().await;
    refreshed.age("corp", &lost, DUE).await;
    let rotated = async || {
        assert_eq!(auth_request(refreshed.fleet.pod(1), &[("cookie", &lost.cookie)]).await.status, 200);
        (refreshed.refreshes("corp").await > before).then_some(())
    };
    wait::until("the rotation of the token", PATIENCE, rotated).await;
    refreshed.fleet.pods[1].kill9();
    refreshed.fleet.idp().resume().await;
    refreshed.end_lease(&lost).await;
    assert_eq!(auth_request(refreshed.fleet.pod(0), &[("cookie", &lost.cookie)]).await.status, 200);
    refreshed.fleet.restart(1).await;
    refreshed.until_status(&lost.cookie, 401).await;
    let mut expected = errors.as_array().expect("a list").clone();
    expected.push(json!("invalid_grant"));
    assert_eq!(refreshed.token_errors("corp").await, Value::Array(expected), "the old token was sent once");
    refreshed.until_status(&other.cookie, 200).await;
    let again = refreshed.sign_in("corp", ALICE).await;
    refreshed.until_status(&again.cookie, 200).await;
    refreshed.until_status(&lost.cookie, 401).await;
}

pub(super) async fn a_stopping_pod_starts_no_refresh_in_the_background(refreshed: &mut RefreshFleet) {
    let alice = refreshed.sign_in("corp", ALICE).await;
    refreshed.until_status(&alice.cookie, 200).await;
    let stopping = &refreshed.fleet.pods[2];
    let (refreshes, before) = (stopping.metric(REFRESHES, &[]).await, refreshed.refreshes("corp").await);
    refreshed.fleet.pods[2].process().term();
    let stopping = &refreshed.fleet.pods[2];
    wait::until("the pod to stop", PATIENCE, async || (!stopping.is_ready().await).then_some(())).await;
    let messages = refreshed.fleet.invalidation_messages(2, "applied").await;
    refreshed.age("corp", &alice, DUE).await;
    let received = async || (refreshed.fleet.invalidation_messages(2, "applied").await > messages).then_some(());
    wait::until("the pod to know that the claims are due", PATIENCE, received).await;
    for _ in 0..3 {
        assert_eq!(auth_request(stopping, &[("cookie", &alice.cookie)]).await.status, 200, "the claims are served");
    }
    assert_eq!(refreshed.refreshes("corp").await, before);
    assert_eq!(auth_request(refreshed.fleet.pod(0), &[("cookie", &alice.cookie)]).await.status, 200);
    refreshed.until_refreshes("corp", before + 1).await;
    assert_eq!(stopping.metric(REFRESHES, &[]).await, refreshes, "another pod has refreshed them");
}
