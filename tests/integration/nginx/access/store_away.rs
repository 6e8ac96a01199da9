//! What is open to anyone asks nobody, the store neither.

use std::time::Duration;

use super::{FOREIGN, ask, cookie_of, received, role_map};
use crate::shared::ALICE;
use crate::support::agent::Agent;
use crate::support::deployment::{Deployment, DeploymentOptions};
use crate::support::wait;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn an_open_path_is_answered_while_the_store_is_away() {
    let adjust = |pod: &mut crate::support::pod::PodOptions| pod.role_map = Some(role_map());
    let mut site = Deployment::start(DeploymentOptions { pods: 1, adjust, ..DeploymentOptions::default() }).await;
    let cookie = cookie_of(&site, ALICE).await;
    for node in &mut site.redis.nodes {
        node.kill9();
    }
    wait::until("the store to be missed", PATIENCE, async || {
        let page = Agent::new().get(&site.url("/sso/login?rd=/")).await;
        (page.status == 503).then_some(())
    })
    .await;
    for headers in [&[][..], &[("Authorization", FOREIGN)], &[("Cookie", cookie.as_str()), ("X-Api-Key", FOREIGN)]] {
        let seen = received(&ask(&site, "GET", "/open/x", headers).await);
        assert!(seen["x-auth-request-user"].as_str().unwrap_or_default().is_empty(), "{seen}");
    }
    assert_eq!(ask(&site, "GET", "/closed/x", &[]).await.status, 403);
    assert_eq!(ask(&site, "GET", "/admins/x", &[]).await.status, 401, "a request without a credential needs no store");
}
