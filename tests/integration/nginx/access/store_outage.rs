//! Public paths do not need the store.

use std::time::Duration;

use super::{FOREIGN, ask, received, role_map};
use crate::support::agent::Agent;
use crate::support::fleet::Fleet;
use crate::support::pod::PodOptions;
use crate::support::steps::ALICE;
use crate::support::wait;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_public_path_is_answered_while_the_store_is_unavailable() {
    let with_access = |pod: &mut PodOptions| pod.role_map = Some(role_map());
    let mut fleet = Fleet::builder().own_cluster().idp().nginx().config(with_access).start().await;
    let cookie = fleet.session_header(ALICE).await;
    for node in &mut fleet.cluster_mut().nodes {
        node.kill9();
    }
    wait::until("the store outage to be detected", PATIENCE, async || {
        let page = Agent::new().get(&fleet.url("/sso/login?rd=/")).await;
        (page.status == 503).then_some(())
    })
    .await;
    for headers in [&[][..], &[("Authorization", FOREIGN)], &[("Cookie", cookie.as_str()), ("X-Api-Key", FOREIGN)]] {
        let seen = received(&ask(&fleet, "GET", "/open/x", headers).await);
        assert!(seen["x-auth-request-user"].as_str().unwrap_or_default().is_empty(), "{seen}");
    }
    assert_eq!(ask(&fleet, "GET", "/closed/x", &[]).await.status, 403);
    assert_eq!(ask(&fleet, "GET", "/admins/x", &[]).await.status, 401, "a request without a credential needs no store");
}
