//! A commit invalidates the cache of the pod that made it, also while the invalidation channel is cut.

use serde_json::json;

use super::DEADLINE;
use crate::support::agent::Agent;
use crate::support::api::{Auth, get};
use crate::support::fleet::Fleet;
use crate::support::local_accounts::{
    OTHER_PASSWORD, PASSWORD, accept_invitation, accept_with_token, claims_of, get_token, invitation_link, link_callback,
};
use crate::support::proxy::{CutTime, FaultProxy};
use crate::support::redis::{Options, Standalone};
use crate::support::steps::{SESSION, at};
use crate::support::wait::until;

const ADA: &str = "ada@example.com";

/// One pod that receives no invalidation message.
struct DisconnectedPod {
    fleet: Fleet,
    proxy: FaultProxy,
    _redis: Standalone,
}

impl DisconnectedPod {
    async fn start() -> Self {
        let redis = Standalone::start(Options::default()).await;
        let proxy = FaultProxy::start(redis.node.port()).await;
        let fleet = Fleet::builder().store_at(proxy.url()).idp().local_accounts().start().await;
        proxy.cut_channel_to_client();
        Self { fleet, proxy, _redis: redis }
    }

    /// The session of a local user who has accepted an invitation.
    async fn ada(&self) -> String {
        let pod = &self.fleet.pods[0];
        let accepted = accept_invitation(pod, &invitation_link(pod, ADA, "internal_user"), PASSWORD).await;
        assert_eq!(accepted.status(), 200, "{accepted:?}");
        accepted.cookie(SESSION).expect("accepting an invitation signs in")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_ends_the_session_that_it_replaces_at_once() {
    let DisconnectedPod { fleet, .. } = &DisconnectedPod::start().await;
    let browser = fleet.sign_in(0).await;
    let callback = fleet.callback(0, &browser.agent).await;
    fleet.warm(0, &browser.cookie).await;
    let page = browser.agent.get(&callback).await;
    assert_eq!(page.status, 303, "{}", page.body);
    assert_eq!(fleet.status(0, &browser.cookie).await, 401);
    let new = browser.agent.cookie("localhost", SESSION).expect("a session's cookie").value;
    assert_eq!(fleet.status(0, &new).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_invitation_ends_earlier_sessions_at_once() {
    let cut_off = DisconnectedPod::start().await;
    let (fleet, pod) = (&cut_off.fleet, &cut_off.fleet.pods[0]);
    let before = cut_off.ada().await;
    let link = invitation_link(pod, ADA, "internal_user");
    let token = get_token(pod, &link).await.json()["token"].as_str().expect("a token").to_owned();
    let body = json!({"invitation_link": link, "user_id": claims_of(&token)["user_id"], "password": OTHER_PASSWORD});
    fleet.warm(0, &before).await;
    let accepted = accept_with_token(pod, &token, body).await;
    assert_eq!(accepted.status(), 200, "{accepted:?}");
    assert_eq!(fleet.status(0, &before).await, 401);
    assert_eq!(fleet.status(0, &accepted.cookie(SESSION).expect("a session")).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_linked_identity_grants_its_role_at_once() {
    let cut_off = DisconnectedPod::start().await;
    let (fleet, pod) = (&cut_off.fleet, &cut_off.fleet.pods[0]);
    let ada = cut_off.ada().await;
    let role = async || get(pod, Auth::Session(&ada), "/sso/session").await["user_role"].clone();
    let agent = Agent::new();
    agent.set_cookie("localhost", &format!("{SESSION}={ada}; Path=/"));
    let callback = link_callback(fleet, &agent).await;
    fleet.warm(0, &ada).await;
    assert_eq!(role().await, "internal_user");
    let linked = agent.get(&at(pod, &callback)).await;
    assert_eq!(linked.status, 303, "{}", linked.body);
    assert_eq!(role().await, "proxy_admin");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_not_served_from_the_cache_after_a_logout_of_unknown_outcome() {
    let DisconnectedPod { fleet, proxy, .. } = &DisconnectedPod::start().await;
    let browser = fleet.sign_in(0).await;
    let form = fleet.logout_form(0, &browser).await;
    fleet.warm(0, &browser.cookie).await;
    // Only the commit names this index.
    proxy.end_at("index:sessions:", 0, CutTime::After);
    let page = fleet.confirm_logout(0, &browser, &form).await;
    assert_eq!(page.status, 503, "{}", page.body);
    assert!(proxy.has_ended());
    assert_eq!(fleet.status(0, &browser.cookie).await, 503);
    proxy.resume();
    let refused = async || (fleet.status(0, &browser.cookie).await == 401).then_some(());
    until("the store to be reached", DEADLINE, refused).await;
}
