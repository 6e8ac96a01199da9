//! While the store is unavailable, no page claims that the user is signed out.

use std::time::Duration;

use super::{assert_refused, assert_removes_the_session_cookie, check_status, session_status, sign_out_form};
use crate::support::agent::Agent;
use crate::support::fleet::Fleet;
use crate::support::proxy::FaultProxy;
use crate::support::redis::{Options, Standalone};
use crate::support::steps::{ALICE, session_header};
use crate::support::wait;

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_that_the_store_does_not_confirm_says_so_and_removes_no_cookie() {
    let redis = Standalone::start(Options::default()).await;
    let proxy = FaultProxy::start(redis.node.port()).await;
    let fleet = Fleet::builder()
        .idp()
        .provider_setting("logout: off")
        .config(|pod| pod.store = vec![format!("url: {}", proxy.url())])
        .start()
        .await;
    let agent = fleet.signed_in(ALICE).await;
    assert_sign_out_is_not_confirmed(&fleet, &agent, &proxy, FaultProxy::refuse).await;
    assert_sign_out_is_not_confirmed(&fleet, &agent, &proxy, FaultProxy::stall).await;

    // A request whose answer is lost is repeated.
    let form = sign_out_form(&agent, &fleet.url("")).await;
    proxy.lose_reply_to("EVAL");
    let page = agent.submit(&form, &[]).await;
    assert_eq!(proxy.lost(), 1);
    assert_eq!(page.status, 303, "{}", page.body);
    assert_removes_the_session_cookie(&page);
    assert_eq!(session_status(&agent, &fleet.url("")).await, 401);
}

async fn assert_sign_out_is_not_confirmed(fleet: &Fleet, agent: &Agent, proxy: &FaultProxy, fault: fn(&FaultProxy)) {
    let cookie = session_header(agent);
    let form = sign_out_form(agent, &fleet.url("")).await;
    fault(proxy);
    let (page, took) = wait::timed(agent.submit(&form, &[])).await;
    println!("a sign-out without a store was answered after {took:?}");
    assert_refused(&page, 503);
    assert!(page.body.contains("You may still be signed in"), "{}", page.body);
    assert_eq!(check_status(agent, fleet.pod(0), &cookie).await, 200, "known for a while without the store");

    proxy.resume();
    until_the_store_is_back(fleet, agent).await;
    assert_eq!(session_status(agent, &fleet.url("")).await, 200);
}

async fn until_the_store_is_back(fleet: &Fleet, agent: &Agent) {
    let begins = async || (agent.get(&fleet.pod(0).public("/sso/login?rd=/")).await.status == 302).then_some(());
    wait::until("the store to be used again", PATIENCE, begins).await;
}
