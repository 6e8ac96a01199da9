//! A login while the store is away: told so, and never a dead end.

use std::time::Duration;

use super::one_pod::OnePod;
use crate::support::agent::Agent;
use crate::support::pod::key_ring;
use crate::support::proxy::FaultProxy;
use crate::support::redis::{Options, Standalone};
use crate::support::steps::{ALICE, assert_not_signed_in, assert_page, assert_signed_in, at, until_callback};
use crate::support::wait;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_without_the_store_says_so_and_succeeds_when_tried_again() {
    for fault in [FaultProxy::refuse, FaultProxy::stall] {
        let redis = Standalone::start(Options::default()).await;
        let proxy = FaultProxy::start(redis.node.port()).await;
        let (_ring, ring) = key_ring();
        let with_redis = |pod: &mut crate::support::pod::PodOptions| {
            pod.store = vec![format!("url: {}", proxy.url())];
            pod.key_ring_file = Some(ring);
        };
        let site = OnePod::start(|_| (), with_redis).await;
        let agent = Agent::new();
        let callback = at(&site.pod, &until_callback(&site.idp, &agent, &site.pod, "/ui/?a=b", ALICE).await);
        fault(&proxy);
        let page = agent.get(&callback).await;
        assert_page(&page, 503, "Not possible right now");
        assert_not_signed_in(&page);
        assert!(page.set_cookies().is_empty(), "no cookie is cleared");
        assert_eq!(site.idp.stats().await["token"], 0, "the code is not used up");
        let begin = agent.get(&site.pod.public("/sso/login?rd=/ui/")).await;
        assert_eq!(begin.status, 503);

        proxy.resume();
        let page = wait::until("the login to succeed when it is tried again", PATIENCE, async || {
            let page = agent.get(&callback).await;
            (page.status != 503).then_some(page)
        })
        .await;
        assert_signed_in(&page);
        assert!(page.location().is_some_and(|to| to.as_str().ends_with("/ui/?a=b")));
    }
}
