//! Repeated, forged and altered callbacks, and targets in the formats of gateways.

use super::parameter;
use crate::support::agent::{Agent, Page};
use crate::support::fleet::Fleet;
use crate::support::steps::{
    ALICE, BOB, SESSION, assert_not_signed_in, assert_page, assert_signed_in, at, restart_target, session_of, until_callback,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_callback_continues_if_it_opened_the_live_session_of_the_browser() {
    let fleet = Fleet::builder().pods(3).cluster().idp().start().await;
    let agent = Agent::new();
    let callback = until_callback(fleet.idp(), &agent, &fleet.pods[0], "/ui/keys?tab=a%2Fb&x=1", ALICE).await;
    assert_signed_in(&agent.get(&at(&fleet.pods[0], &callback)).await);
    let (session, logins) = (session_of(&agent), successes(&fleet).await);
    fleet.idp().reset_stats().await;
    for pod in &fleet.pods {
        let page = agent.get(&at(pod, &callback)).await;
        assert_eq!((page.status, page.set_cookies().len()), (303, 0), "{}", page.body);
        assert_eq!(page.location().map(String::from), Some(fleet.url("/ui/keys?tab=a%2Fb&x=1")));
    }
    let without_code = callback.as_str().replace("code=", "other=");
    assert_not_signed_in(&agent.get(&at(&fleet.pods[1], &without_code.parse().expect("an address"))).await);
    assert_eq!(fleet.idp().stats().await["token"], 0, "nothing is redeemed");
    assert_eq!((session_of(&agent), successes(&fleet).await), (session.clone(), logins));

    // A browser with another session, with none, or with that session after its end.
    let other = fleet.signed_in(BOB).await;
    for browser in [&other, &Agent::new()] {
        assert_finished(&browser.get(&at(&fleet.pods[2], &callback)).await);
    }
    let next = until_callback(fleet.idp(), &agent, &fleet.pods[1], "/ui/next", ALICE).await;
    assert_signed_in(&agent.get(&at(&fleet.pods[1], &next)).await);
    assert_finished(&agent.get(&at(&fleet.pods[0], &callback)).await);
    agent.set_cookie("localhost", &format!("{SESSION}={session}; Path=/"));
    assert_finished(&agent.get(&at(&fleet.pods[0], &callback)).await);
}

async fn successes(fleet: &Fleet) -> f64 {
    fleet.metric("vestibule_logins_total", &["outcome=\"success\""]).await
}

#[track_caller]
fn assert_finished(page: &Page) {
    assert_page(page, 400, "This sign-in is already complete");
    assert_not_signed_in(page);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_callback_of_another_session_offers_to_continue_and_to_start_again() {
    let fleet = Fleet::shared().await;
    let agent = Agent::new();
    let callback = until_callback(fleet.idp(), &agent, &fleet.pods[0], "/ui/keys?tab=a%2Fb&x=1", ALICE).await;
    assert_signed_in(&agent.get(&at(&fleet.pods[0], &callback)).await);
    agent.clear_cookies();
    let page = agent.get(&at(&fleet.pods[1], &callback)).await;
    assert_page(&page, 400, "This sign-in is already complete");
    assert_not_signed_in(&page);
    assert_eq!(restart_target(&page), "/ui/keys?tab=a%2Fb&x=1");
    let on: Vec<_> = page.links().iter().map(|link| (link.path().to_owned(), link.query().map(str::to_owned))).collect();
    assert!(on.contains(&("/ui/keys".to_owned(), Some("tab=a%2Fb&x=1".to_owned()))), "{on:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_code_and_another_users_code_sign_nobody_in() {
    let fleet = Fleet::shared().await;
    let stolen = until_callback(fleet.idp(), &Agent::new(), &fleet.pods[0], "/", BOB).await;
    // The first is refused by the provider as unknown, the second by its PKCE.
    for code in ["no-code-of-that-provider".to_owned(), parameter(&stolen, "code")] {
        let agent = Agent::new();
        let mut callback = until_callback(fleet.idp(), &agent, &fleet.pods[0], "/ui/mine", ALICE).await;
        let kept: Vec<(String, String)> = callback.query_pairs().into_owned().filter(|(name, _)| name != "code").collect();
        callback.query_pairs_mut().clear().extend_pairs(kept).append_pair("code", &code);
        let page = agent.get(&at(&fleet.pods[1], &callback)).await;
        assert_page(&page, 502, "Sign-in could not be confirmed");
        assert_not_signed_in(&page);
        assert_eq!(restart_target(&page), "/ui/mine");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_parameter_is_refused_and_the_login_flow_stays_usable() {
    let fleet = Fleet::shared().await;
    let agent = Agent::new();
    let callback = until_callback(fleet.idp(), &agent, &fleet.pods[0], "/ui/", BOB).await;
    for name in ["state", "code", "iss"] {
        let mut twice = callback.clone();
        twice.query_pairs_mut().append_pair(name, &parameter(&callback, name));
        let page = agent.get(&at(&fleet.pods[1], &twice)).await;
        assert_page(&page, 400, "This address is malformed");
        assert_not_signed_in(&page);
    }
    assert_signed_in(&agent.get(&at(&fleet.pods[1], &callback)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_target_on_our_host_path_and_query_are_used_with_any_scheme_and_port() {
    let fleet = Fleet::shared().await;
    for target in ["http://localhost:81/ui/x?y=z", "https://localhost/ui/x?y=z", "/ui/x?y=z"] {
        let agent = Agent::new();
        let callback = until_callback(fleet.idp(), &agent, &fleet.pods[0], target, BOB).await;
        let page = agent.get(&at(&fleet.pods[1], &callback)).await;
        assert_eq!(page.location().map(String::from), Some(fleet.url("/ui/x?y=z")), "{target}");
    }
}
