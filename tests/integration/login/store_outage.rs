//! Login flows while the store is unavailable: the page says so and offers a way to continue.

use std::time::Duration;

use crate::support::agent::{Agent, Page};
use crate::support::fleet::Fleet;
use crate::support::pod::PodOptions;
use crate::support::proxy::FaultProxy;
use crate::support::redis::{Options, Standalone};
use crate::support::steps::{
    ALICE, assert_not_signed_in, assert_page, assert_signed_in, at, at_provider, restart_target, until_callback,
};
use crate::support::wait;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_without_the_store_is_503_and_succeeds_when_repeated() {
    for fault in [FaultProxy::refuse, FaultProxy::stall] {
        let redis = Standalone::start(Options::default()).await;
        let proxy = FaultProxy::start(redis.node.port()).await;
        let with_redis = |pod: &mut PodOptions| pod.store = vec![format!("url: {}", proxy.url())];
        let fleet = Fleet::builder().idp().config(with_redis).start().await;
        let agent = Agent::new();
        let callback = at(fleet.pod(0), &until_callback(fleet.idp(), &agent, fleet.pod(0), "/ui/?a=b", ALICE).await);
        fault(&proxy);
        let page = agent.get(&callback).await;
        assert_page(&page, 503, "Temporarily unavailable");
        assert_not_signed_in(&page);
        assert!(page.set_cookies().is_empty(), "no cookie is cleared");
        assert_eq!(fleet.idp().stats().await["token"], 0, "the code is not used up");
        let begin = agent.get(&fleet.pod(0).public("/sso/login?rd=/ui/")).await;
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

const PLACE: &str = "/ui/place?x=1";

/// A pod whose Redis can be stopped.
struct StoppableStore {
    fleet: Fleet,
    redis: Standalone,
}

impl StoppableStore {
    async fn start() -> Self {
        let redis = Standalone::start(Options::default()).await;
        let with_redis = |pod: &mut PodOptions| pod.store = vec![format!("url: {}", redis.url())];
        let fleet = Fleet::builder().idp().config(with_redis).start().await;
        Self { fleet, redis }
    }

    async fn commits(&self) -> f64 {
        self.fleet.pod(0).metric("vestibule_store_commands_total", &["operation=\"commit\""]).await
    }

    /// Repeats the callback until the pod is connected to its store again.
    async fn callback_when_the_store_is_back(&self, agent: &Agent, callback: &str) -> Page {
        wait::until("the store to be connected again", PATIENCE, async || {
            let page = agent.get(callback).await;
            (page.status != 503).then_some(page)
        })
        .await
    }

    /// Follows the page's link to start again; the provider may still have a session of the user.
    async fn start_again_from(&self, page: &Page, agent: &Agent) {
        assert_eq!(restart_target(page), PLACE);
        let link = page.links().into_iter().find(|link| link.path() == "/sso/login").expect("asserted above");
        let to_provider = agent.get(link.as_str()).await;
        let callback = at_provider(self.fleet.idp(), agent, to_provider, ALICE).await;
        let page = agent.get(&at(self.fleet.pod(0), &callback)).await;
        assert_signed_in(&page);
        assert_eq!(page.location().map(String::from), Some(self.fleet.pod(0).public(PLACE)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_store_restarts_the_login_flow_with_the_same_target() {
    let mut fragile = StoppableStore::start().await;
    let agent = Agent::new();
    let callback = until_callback(fragile.fleet.idp(), &agent, fragile.fleet.pod(0), PLACE, ALICE).await;
    fragile.redis.node.kill9();
    let page = agent.get(&at(fragile.fleet.pod(0), &callback)).await;
    assert_page(&page, 503, "Temporarily unavailable");
    let links = page.links();
    assert!(links.iter().any(|link| link.query() == callback.query()), "a link to the very same: {links:?}");
    fragile.redis.node.restart().await;
    let page = fragile.callback_when_the_store_is_back(&agent, &at(fragile.fleet.pod(0), &callback)).await;
    assert_page(&page, 400, "This sign-in has expired");
    fragile.start_again_from(&page, &agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_lost_after_the_flow_was_consumed_restarts_the_login_flow() {
    let mut fragile = StoppableStore::start().await;
    let agent = Agent::new();
    let callback = until_callback(fragile.fleet.idp(), &agent, fragile.fleet.pod(0), PLACE, ALICE).await;
    let callback = at(fragile.fleet.pod(0), &callback);
    let before = fragile.commits().await;
    // The code is redeemed when the provider resumes; Redis does not answer by then.
    fragile.fleet.idp().pause().await;
    let page = {
        let coming_back = agent.get(&callback);
        tokio::pin!(coming_back);
        let taken =
            wait::until("the login flow to be consumed", PATIENCE, async || (fragile.commits().await > before).then_some(()));
        tokio::select! {
            page = &mut coming_back => panic!("answered without the provider: {}", page.body),
            () = taken => (),
        }
        fragile.redis.node.stop();
        fragile.fleet.idp().resume().await;
        coming_back.await
    };
    assert_page(&page, 503, "Sign-in not completed");
    assert_not_signed_in(&page);
    assert_eq!(fragile.fleet.idp().stats().await["token"], 1);
    fragile.redis.node.cont();
    let again = fragile.callback_when_the_store_is_back(&agent, &callback).await;
    assert_page(&again, 400, "This sign-in is already complete");
    fragile.start_again_from(&page, &agent).await;
}
