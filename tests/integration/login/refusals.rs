//! Failed login flows: the page describes the failure and offers to start again with the same target.

use std::collections::HashMap;

use url::Url;

use crate::support::agent::{Agent, Page};
use crate::support::fleet::Fleet;
use crate::support::pod::PodOptions;
use crate::support::steps::{
    ALICE, BINDING, BOB, DORA, assert_not_signed_in, assert_page, assert_signed_in, at, begin, restart_target, session_of,
    until_callback,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_without_state_or_code_causes_neither_a_store_command_nor_a_token_request() {
    let fleet = Fleet::builder().idp().start().await;
    let before = fleet.commands(0).await;
    for query in ["", "?code=x", "?state=x", "?state=&code=x", "?state=x&code=", "?state=x&code=y&state=z"] {
        let page = Agent::new().get(&fleet.pod(0).public(&format!("/sso/callback{query}"))).await;
        assert_eq!(page.status, 400, "{query}: {}", page.body);
        assert_not_signed_in(&page);
    }
    assert_eq!(fleet.commands(0).await, before);
    assert_eq!(fleet.idp().stats().await["token"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_no_pod_created_is_refused_without_the_store() {
    let fleet = Fleet::builder().idp().start().await;
    let before = fleet.commands(0).await;
    for state in ["x", &"A".repeat(66), &"A".repeat(6000), "%ff%00", "a.b.c", "%0d%0aSet-Cookie:x"] {
        let page = Agent::new().get(&fleet.pod(0).public(&format!("/sso/callback?code=x&state={state}"))).await;
        assert!(page.status == 400, "{state}: {}", page.status);
        assert_not_signed_in(&page);
    }
    assert_eq!(fleet.commands(0).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_login_flow_offers_to_start_again_with_the_same_target() {
    let fleet = Fleet::shared().await;
    let agent = Agent::new();
    let pod = &fleet.pods[0];
    let callback = until_callback(fleet.idp(), &agent, pod, "/ui/late?a=b", ALICE).await;
    let state = parameter(&callback, "state");
    let name = vestibule::secret::Digest::of(state.as_bytes()).to_hex();
    // The flow's record is removed, as after its 600 s.
    for node in fleet.cluster().primaries().await {
        let node = &fleet.cluster().nodes[node];
        for key in node.keys().await {
            let key = String::from_utf8(key).expect("our keys are text");
            if key.ends_with(&name) {
                node.call(&["DEL", &key]).await;
            }
        }
    }
    let page = agent.get(&at(pod, &callback)).await;
    assert_page(&page, 400, "This sign-in has expired");
    assert_eq!(restart_target(&page), "/ui/late?a=b");
    assert_not_signed_in(&page);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_in_another_browser_is_refused_and_the_login_flow_stays_usable() {
    let fleet = Fleet::shared().await;
    let (mine, foreign, bare) = (Agent::new(), Agent::new(), Agent::new());
    let callback = until_callback(fleet.idp(), &mine, &fleet.pods[0], "/ui/mine", BOB).await;
    begin(&foreign, &fleet.pods[1], "/ui/").await;
    for thief in [&foreign, &bare] {
        let page = thief.get(&at(&fleet.pods[1], &callback)).await;
        assert_page(&page, 400, "This sign-in belongs to another browser");
        assert_eq!(restart_target(&page), "/ui/mine");
        assert_not_signed_in(&page);
    }
    assert!(mine.cookie("localhost", BINDING).is_some());
    assert_signed_in(&mine.get(&at(&fleet.pods[2], &callback)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_providers_error_description_is_quoted_and_escaped() {
    let fleet = Fleet::builder().idp().start().await;
    let agent = Agent::new();
    let page = begin(&agent, fleet.pod(0), "/ui/again?x=1").await;
    let answer = fleet.idp().cancel(&agent, page).await;
    let mut callback = answer.location().expect("back to us");
    assert_eq!(parameter(&callback, "error"), "access_denied");
    let kept: Vec<(String, String)> =
        callback.query_pairs().into_owned().filter(|(name, _)| name != "error_description").collect();
    callback.query_pairs_mut().clear().extend_pairs(kept).append_pair("error_description", "<script>alert(1)</script>");
    let page = agent.get(&at(fleet.pod(0), &callback)).await;
    assert_page(&page, 403, "Access denied");
    assert!(page.body.contains("&#60;script&#62;") || page.body.contains("&lt;script&gt;"), "{}", page.body);
    assert!(!page.body.contains("<script>"));
    assert_eq!(restart_target(&page), "/ui/again?x=1");
    assert_eq!(fleet.pod(0).logins("denied_by_provider").await, 1.0);
    assert!(fleet.pod(0).log().contains("login failed") && fleet.pod(0).log().contains("access_denied"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_or_missing_issuer_is_refused() {
    let fleet = Fleet::builder().idp().start().await;
    for iss in [None, Some("https://evil.example.com"), Some("")] {
        let agent = Agent::new();
        let mut callback = until_callback(fleet.idp(), &agent, fleet.pod(0), "/ui/", ALICE).await;
        assert_eq!(parameter(&callback, "iss"), fleet.idp().issuer());
        let kept: Vec<(String, String)> = callback.query_pairs().into_owned().filter(|(name, _)| name != "iss").collect();
        callback.query_pairs_mut().clear().extend_pairs(kept);
        if let Some(iss) = iss {
            callback.query_pairs_mut().append_pair("iss", iss);
        }
        let page = agent.get(&at(fleet.pod(0), &callback)).await;
        assert_page(&page, 400, "Wrong identity provider");
        assert_not_signed_in(&page);
    }
    assert_eq!(fleet.idp().stats().await["token"], 0, "no code was redeemed");
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_that_are_too_large_are_refused_with_an_explanation() {
    let fleet = Fleet::builder().idp().start().await;
    let agent = Agent::new();
    let callback = until_callback(fleet.idp(), &agent, fleet.pod(0), "/ui/", DORA).await;
    let page = agent.get(&at(fleet.pod(0), &callback)).await;
    assert_page(&page, 502, "Too much account data");
    assert_not_signed_in(&page);
    assert!(fleet.pod(0).log().contains("max_claims"), "{}", fleet.pod(0).log());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_role_a_user_sees_whom_to_contact_and_has_no_session() {
    let nobody = |pod: &mut PodOptions| pod.role_map = Some("{version: 1, default_role: none}".to_owned());
    let fleet = Fleet::builder().idp().config(nobody).start().await;
    let agent = Agent::new();
    let callback = until_callback(fleet.idp(), &agent, fleet.pod(0), "/ui/", BOB).await;
    let page = agent.get(&at(fleet.pod(0), &callback)).await;
    assert_page(&page, 403, "You have no access yet");
    assert_not_signed_in(&page);
    assert_eq!(fleet.pod(0).logins("no_role").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_on_another_host_is_an_error_page_and_never_a_redirect() {
    let fleet = Fleet::builder().idp().start().await;
    for target in [
        "//evil.example.com",
        "/\\evil.example.com",
        "https:evil.example.com",
        "https://evil.example.com/",
        "http://localhost@evil.example.com/",
        "http://localhost.evil.example.com/",
        "javascript:alert(1)",
        "https:///evil.example.com",
        "\\\\evil.example.com",
        "/\t/evil.example.com",
        "http://localhost./x",
        "",
    ] {
        let page = Agent::new().get(&crate::support::steps::login_address(fleet.pod(0), target)).await;
        assert_page(&page, 400, "Invalid sign-in link");
        assert!(page.location().is_none() && page.set_cookies().is_empty(), "{target}");
    }
    assert_eq!(fleet.idp().stats().await["authorization"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_user_can_start_again_and_succeed() {
    let fleet = Fleet::builder().idp().start().await;
    let agent = Agent::new();
    let page = begin(&agent, fleet.pod(0), "/ui/?n=1").await;
    let denied: Page = {
        let answer = fleet.idp().cancel(&agent, page).await;
        agent.get(&at(fleet.pod(0), &answer.location().expect("back to us"))).await
    };
    let callback = until_callback(fleet.idp(), &agent, fleet.pod(0), &restart_target(&denied), BOB).await;
    let page = agent.get(&at(fleet.pod(0), &callback)).await;
    assert_signed_in(&page);
    assert!(page.location().is_some_and(|to| to.as_str().ends_with("/ui/?n=1")));
    assert!(!session_of(&agent).is_empty());
}

fn parameter(url: &Url, name: &str) -> String {
    let parameters: HashMap<_, _> = url.query_pairs().into_owned().collect();
    parameters.get(name).cloned().unwrap_or_default()
}
