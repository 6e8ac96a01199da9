//! The role map's file is edited while people are signed in.

use std::time::Duration;

use super::{BOB, check, cookie_of, deployment};
use crate::support::deployment::{Deployment, ROLE_MAP};
use crate::support::pod::{self, Pod};
use crate::support::wait;

/// One second is promised; what is more is this machine's load.
const BOUND: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(20);

/// Replaces the file as editors do. The map stays the same for everybody but bob: other tests use it.
fn edit(deployment: &Deployment, document: &str) {
    deployment.pods.iter().for_each(|pod| pod.edit_role_map(document));
}

fn with_rule(rule: &str) -> String {
    ROLE_MAP.replace("rules:\n", &format!("rules:\n  - {rule}\n"))
}

async fn role(pod: &Pod, cookie: &str) -> String {
    check(pod, &[("cookie", cookie)]).await.one("x-auth-request-role").to_owned()
}

async fn until_everywhere(deployment: &Deployment, cookie: &str, expected: &str) -> Duration {
    let what = format!("the role {expected} on every pod");
    pod::until_everywhere(&deployment.pods, &what, PATIENCE, async |pod| role(pod, cookie).await == expected).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_in_force_for_living_sessions_and_a_bad_one_is_not() {
    let deployment = deployment().await;
    let cookie = cookie_of(deployment, BOB).await;
    until_everywhere(deployment, &cookie, "internal_user").await;

    let promoted = with_rule("{claim: preferred_username, match: bob, role: proxy_admin}");
    edit(deployment, &promoted);
    let took = until_everywhere(deployment, &cookie, "proxy_admin").await;
    println!("promoted on three pods after {took:?}");
    assert!(took < BOUND, "{took:?}");

    for bad in
        ["", "version: 2", "{", &with_rule("{claim: groups, match: x, role: king}"), &promoted.replace("match:", "matches:")]
    {
        refused_everywhere(deployment, bad).await;
        for pod in &deployment.pods {
            assert_eq!(role(pod, &cookie).await, "proxy_admin", "{bad:?}");
        }
    }

    edit(deployment, ROLE_MAP);
    let took = until_everywhere(deployment, &cookie, "internal_user").await;
    println!("demoted on three pods after {took:?}");
    assert!(took < BOUND, "{took:?}");
}

async fn refused_everywhere(deployment: &Deployment, bad: &str) {
    let mut before = Vec::new();
    for pod in &deployment.pods {
        before.push(pod.refused_role_maps().await);
    }
    edit(deployment, bad);
    for (pod, before) in deployment.pods.iter().zip(before) {
        let refused = async || (pod.refused_role_maps().await > before).then_some(());
        wait::until(&format!("a refusal of {bad:?}"), PATIENCE, refused).await;
    }
}
