//! The role map's file is edited while users are signed in.

use std::time::Duration;

use crate::support::auth_request::auth_request;
use crate::support::fleet::{Fleet, ROLE_MAP};
use crate::support::pod::{self, Pod};
use crate::support::steps::BOB;
use crate::support::wait;

/// The documented bound is one second; the rest is for the load of the machine.
const BOUND: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(20);

/// Replaces the file as editors do. Only bob's role changes: other tests use the map.
fn edit(fleet: &Fleet, document: &str) {
    fleet.pods.iter().for_each(|pod| pod.edit_role_map(document));
}

fn with_rule(rule: &str) -> String {
    ROLE_MAP.replace("rules:\n", &format!("rules:\n  - {rule}\n"))
}

async fn role(pod: &Pod, cookie: &str) -> String {
    auth_request(pod, &[("cookie", cookie)]).await.one("x-auth-request-role").to_owned()
}

async fn until_everywhere(fleet: &Fleet, cookie: &str, expected: &str) -> Duration {
    let what = format!("the role {expected} on every pod");
    pod::until_everywhere(&fleet.pods, &what, PATIENCE, async |pod| role(pod, cookie).await == expected).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_edit_applies_to_existing_sessions_and_an_invalid_one_does_not() {
    let fleet = Fleet::shared().await;
    let cookie = fleet.session_header(BOB).await;
    until_everywhere(fleet, &cookie, "internal_user").await;

    let promoted = with_rule("{claim: preferred_username, match: bob, role: proxy_admin}");
    edit(fleet, &promoted);
    let took = until_everywhere(fleet, &cookie, "proxy_admin").await;
    println!("promoted on three pods after {took:?}");
    assert!(took < BOUND, "{took:?}");

    for bad in
        ["", "version: 2", "{", &with_rule("{claim: groups, match: x, role: king}"), &promoted.replace("match:", "matches:")]
    {
        refused_everywhere(fleet, bad).await;
        for pod in &fleet.pods {
            assert_eq!(role(pod, &cookie).await, "proxy_admin", "{bad:?}");
        }
    }

    edit(fleet, ROLE_MAP);
    let took = until_everywhere(fleet, &cookie, "internal_user").await;
    println!("demoted on three pods after {took:?}");
    assert!(took < BOUND, "{took:?}");
}

async fn refused_everywhere(fleet: &Fleet, bad: &str) {
    let mut before = Vec::new();
    for pod in &fleet.pods {
        before.push(pod.rejected_role_maps().await);
    }
    edit(fleet, bad);
    for (pod, before) in fleet.pods.iter().zip(before) {
        let refused = async || (pod.rejected_role_maps().await > before).then_some(());
        wait::until(&format!("a refusal of {bad:?}"), PATIENCE, refused).await;
    }
}
