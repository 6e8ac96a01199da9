//! What doesn't work out is told to the application; what is wrong with its request itself leads nowhere.

use super::{EDITOR, address, assert_sealed, fields, for_redirect};
use crate::login::one_pod::OnePod;
use crate::support::agent::Agent;
use crate::support::pod::PodOptions;
use crate::support::steps::{ALICE, BOB, at, at_provider, sign_in};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_not_allowed_is_400_and_leads_nowhere() {
    let site = OnePod::start(|_| (), |_| ()).await;
    let agent = Agent::new();
    sign_in(&site.idp, &agent, &site.pod, ALICE).await;
    let token = ("response_type", "oauth_token");
    let cases: [(&[(&str, &str)], &str); 7] = [
        (&[token, ("redirect_uri", "https://evil.example/cb")], "invalid_request"),
        (&[token, ("redirect_uri", "javascript:alert(1)")], "invalid_request"),
        (&[token, ("redirect_uri", "http://localhost\r\n:1/")], "invalid_request"),
        (&[("response_type", "code"), ("redirect_uri", EDITOR)], "unsupported_response_type"),
        (&[("redirect_uri", "https://evil.example/cb")], "invalid_request"),
        (&[token, token], "invalid_request"),
        (&[token, ("response_mode", "form_post")], "invalid_request"),
    ];
    for browser in [&agent, &Agent::new()] {
        for (given, code) in cases {
            let answer = browser.get(&site.pod.public(&address(given))).await;
            assert_eq!((answer.status, answer.location()), (400, None), "{given:?}: {}", answer.body);
            assert_eq!(answer.json()["error"], code, "{given:?}");
            assert_sealed(&answer);
        }
    }
    let page = agent.get(&site.pod.public("/sso/key/generate")).await;
    assert_eq!(page.location().unwrap().path(), "/vestibule/keys");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_providers_refusal_goes_to_the_application() {
    let site = OnePod::start(|_| (), |_| ()).await;
    let agent = Agent::new();
    let page = agent.browse_until_away(&site.pod.public(&for_redirect(EDITOR))).await;
    let callback = site.idp.cancel(&agent, page).await.location().expect("back to us");
    let answer = agent.get(&at(&site.pod, &callback)).await;
    let target = answer.location().unwrap_or_else(|| panic!("{}", answer.body));
    assert!(target.as_str().starts_with("vscode://publisher.ext/callback?window=1&error=access_denied&"), "{target}");
    assert_eq!(fields(&target)["state"], "s t&1");
    assert_sealed(&answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn that_no_role_is_granted_and_that_a_sign_in_failed_go_there_too() {
    let nobody = |pod: &mut PodOptions| pod.role_map = Some("{version: 1, default_role: none}".to_owned());
    let site = OnePod::start(|_| (), nobody).await;
    let agent = Agent::new();
    let page = agent.browse_until_away(&site.pod.public(&for_redirect(EDITOR))).await;
    let callback = at_provider(&site.idp, &agent, page, BOB).await;
    let target = agent.get(&at(&site.pod, &callback)).await.location().expect("to the application");
    assert_eq!(fields(&target)["error"], "access_denied");

    let page = agent.browse_until_away(&site.pod.public(&address(&[("response_type", "oauth_token")]))).await;
    let callback = page.location().filter(|to| to.path() == "/sso/callback");
    let callback = match callback {
        Some(callback) => callback,
        None => at_provider(&site.idp, &agent, page, BOB).await,
    };
    site.idp.fail().await;
    let answer = agent.get(&at(&site.pod, &callback)).await;
    assert_eq!((answer.status, answer.json()["error"].as_str()), (400, Some("server_error")), "{}", answer.body);
    site.idp.resume().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_browsers_callback_is_the_persons_to_mend_and_tells_the_application_nothing() {
    let site = OnePod::start(|_| (), |_| ()).await;
    let (mine, thief) = (Agent::new(), Agent::new());
    let page = mine.browse_until_away(&site.pod.public(&for_redirect(EDITOR))).await;
    let callback = at_provider(&site.idp, &mine, page, ALICE).await;
    let answer = thief.get(&at(&site.pod, &callback)).await;
    assert_eq!((answer.status, answer.location()), (400, None));
    assert!(answer.body.contains("another browser"), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_survives_the_choice_of_a_provider() {
    let site = OnePod::with_a_choice().await;
    let agent = Agent::new();
    let choice = agent.browse(&site.pod.public(&for_redirect(EDITOR))).await;
    let link = choice.links().into_iter().find(|link| link.as_str().contains("provider=partner")).expect("a choice");
    let page = agent.get(link.as_str()).await;
    let callback = at_provider(site.other_idp.as_ref().unwrap(), &agent, page, ALICE).await;
    let page = agent.follow(agent.get(&at(&site.pod, &callback)).await).await;
    let target = super::decide(&agent, &page, "allow").await.location().expect("to the application");
    assert_eq!(fields(&target)["state"], "s t&1");
    assert!(target.as_str().starts_with("vscode://publisher.ext/callback?window=1&access_token=sk-"), "{target}");
}
