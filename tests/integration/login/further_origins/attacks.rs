//! Attacks on a handover: codes of other browsers, for other hosts, used twice, late, or by scripts.

use url::Url;

use super::{CHAT, HOSTS, MCP, check_on, on, open, session_on, shared, until_code};
use crate::support::agent::{Agent, Page};
use crate::support::fleet::Fleet;
use crate::support::steps::{ALICE, BINDING, BOB, assert_page};

const OTHER_BROWSER: &str = "This sign-in belongs to another browser";
const EXPIRED: &str = "This sign-in has expired";
const USED: &str = "This sign-in is already complete";

/// Asserts that the browser did not get a session.
#[track_caller]
fn assert_refused(page: &Page, title: &str) {
    assert_page(page, 400, title);
    assert!(page.set_cookies().is_empty(), "{:?}", page.set_cookies());
    assert!(!page.body.contains("start="), "the page does not repeat the address");
}

/// A browser that has begun to sign in on the other host, and so has a binding there.
async fn visitor(fleet: &Fleet, host: &str) -> Agent {
    let agent = Agent::new();
    agent.follow_until(agent.get(&on(fleet, host, "/app")).await, |to| to.path() == "/sso/handover").await;
    assert!(agent.cookie(host, BINDING).is_some());
    agent
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_of_another_browser_is_refused_and_used_up() {
    let fleet = shared().await;
    let attacker = fleet.signed_in(BOB).await;
    for victim in [Agent::new(), visitor(fleet, CHAT).await, fleet.signed_in(ALICE).await] {
        let code = until_code(fleet, &attacker, CHAT).await;
        assert_refused(&victim.get(code.as_str()).await, OTHER_BROWSER);
        assert_eq!(session_on(&victim, CHAT), None);
        assert_refused(&attacker.get(code.as_str()).await, USED);
    }
}

/// The case of a script on the host, which sets the cookie of the attacker's browser.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_of_a_browser_whose_cookie_was_copied_does_not_replace_the_session() {
    let fleet = shared().await;
    let (attacker, victim) = (fleet.signed_in(BOB).await, fleet.signed_in(ALICE).await);
    victim.follow(victim.get(&on(fleet, CHAT, "/app")).await).await;
    let session = session_on(&victim, CHAT).expect("signed in");
    let code = until_code(fleet, &attacker, CHAT).await;
    victim.set_cookie(CHAT, &attacker.cookie(CHAT, BINDING).unwrap().line);
    let page = victim.get(code.as_str()).await;
    assert_eq!((page.status, page.set_cookies().len()), (303, 0), "{}", page.body);
    assert_eq!(page.location().unwrap().as_str(), on(fleet, CHAT, "/app?x=1"));
    assert_eq!(session_on(&victim, CHAT), Some(session));
    assert_refused(&attacker.get(code.as_str()).await, USED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_an_attacker_gets_no_code_that_the_attacker_can_use() {
    let fleet = shared().await;
    let (attacker, victim) = (Agent::new(), fleet.signed_in(ALICE).await);
    let page = attacker.follow_until(attacker.get(&on(fleet, CHAT, "/app")).await, |to| to.path() == "/sso/handover").await;
    let start = page.location().unwrap();
    // The victim follows the attacker's link. The code is for the attacker's browser, but only the victim's has it.
    let page = victim.get(start.as_str()).await;
    let code = page.location().unwrap();
    assert_refused(&victim.get(code.as_str()).await, OTHER_BROWSER);
    assert_refused(&attacker.get(code.as_str()).await, USED);
    assert_eq!((session_on(&victim, CHAT), session_on(&attacker, CHAT)), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_refused_on_every_other_host() {
    let fleet = shared().await;
    let agent = fleet.signed_in(ALICE).await;
    agent.follow_until(agent.get(&on(fleet, MCP, "/app")).await, |to| to.path() == "/sso/handover").await;
    let code = until_code(fleet, &agent, CHAT).await;
    let at = |host: &str| {
        let mut url = code.clone();
        url.set_host(Some(host)).unwrap();
        url
    };
    assert_refused(&agent.get(at(MCP).as_str()).await, EXPIRED);
    assert_eq!(session_on(&agent, MCP), None);
    assert_refused(&agent.get(code.as_str()).await, USED);
    // On public_url the code is ignored, and the request continues with a new code.
    let page = agent.get(at("localhost").as_str()).await;
    assert!(page.location().is_some_and(|to| to.host_str() == Some(CHAT) && to != code), "{}", page.body);
    assert_eq!(agent.get(&format!("http://127.0.0.1:{}/sso/handover", fleet.nginx().port())).await.status, 421);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_used_once() {
    let fleet = shared().await;
    let agent = fleet.signed_in(ALICE).await;
    let code = until_code(fleet, &agent, CHAT).await;
    let first = agent.get(code.as_str()).await;
    assert_eq!((first.status, session_on(&agent, CHAT).is_some()), (303, true));
    // The back button of the same browser.
    let again = agent.get(code.as_str()).await;
    assert_eq!((again.status, again.set_cookies().len()), (303, 0), "{}", again.body);
    let thief = Agent::new();
    let binding = agent.cookie(CHAT, BINDING).unwrap();
    thief.set_cookie(CHAT, &binding.line);
    assert_refused(&thief.get(code.as_str()).await, USED);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_concurrent_attempts_over_all_pods_one_gets_the_session() {
    let fleet = shared().await;
    let agent = fleet.signed_in(ALICE).await;
    let code = until_code(fleet, &agent, CHAT).await;
    let cookie = format!("{BINDING}={}", agent.cookie(CHAT, BINDING).unwrap().value);
    let attempts = (0..12).map(async |_| Agent::new().get_with(code.as_str(), &[("cookie", &cookie)]).await);
    let pages = futures::future::join_all(attempts).await;
    let granted = pages.iter().filter(|page| !page.set_cookies().is_empty()).count();
    assert_eq!(granted, 1, "{:?}", pages.iter().map(|page| page.status).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_refused_after_the_sign_out() {
    let fleet = shared().await;
    let agent = fleet.signed_in(ALICE).await;
    let code = until_code(fleet, &agent, CHAT).await;
    let page = agent.get(&fleet.url("/sso/logout")).await;
    assert_eq!(agent.submit(&page.form(), &[]).await.status, 303);
    assert_refused(&agent.get(code.as_str()).await, EXPIRED);
    assert_eq!(session_on(&agent, CHAT), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn altered_and_invented_parameters_are_refused() {
    let fleet = shared().await;
    let agent = fleet.signed_in(ALICE).await;
    let mut altered = until_code(fleet, &agent, CHAT).await;
    let pairs: Vec<(String, String)> = altered.query_pairs().into_owned().collect();
    altered.query_pairs_mut().clear().extend_pairs(pairs.iter().map(|(name, value)| (name, format!("{value}A"))));
    for query in
        ["", "?code=x", "?start=x", "?code=&start=", altered.query().map(|query| format!("?{query}")).as_deref().unwrap()]
    {
        assert_refused(&agent.get(&on(fleet, CHAT, &format!("/sso/handover{query}"))).await, EXPIRED);
        let page = agent.get(&fleet.url(&format!("/sso/handover{query}"))).await;
        assert_refused(&page, EXPIRED);
    }
    let repeated = agent.get(&on(fleet, CHAT, "/sso/handover?code=a&code=b")).await;
    assert_eq!((repeated.status, repeated.set_cookies().len()), (400, 0));
    let code = until_code(fleet, &agent, CHAT).await;
    let posted = agent.post(code.as_str(), &[]).await;
    assert!([404, 405].contains(&posted.status) && posted.set_cookies().is_empty(), "{}", posted.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_and_frames_get_neither_a_code_nor_a_session() {
    let fleet = shared().await;
    let agent = fleet.signed_in(ALICE).await;
    let page = agent.follow_until(agent.get(&on(fleet, CHAT, "/app")).await, |to| to.path() == "/sso/handover").await;
    let start = page.location().unwrap();
    let code = until_code(fleet, &agent, CHAT).await;
    for headers in [
        &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")][..],
        &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
        &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")],
    ] {
        for url in [&start, &code, &Url::parse(&on(fleet, CHAT, "/sso/login")).unwrap()] {
            let page = agent.get_with(url.as_str(), headers).await;
            assert_eq!((page.status, page.location(), page.set_cookies().len()), (403, None, 0), "{url}: {headers:?}");
        }
    }
    assert_eq!(agent.get(code.as_str()).await.status, 303, "not used up by them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_cookie_is_valid_on_its_own_host_alone() {
    let (fleet, agent) = (shared().await, Agent::new());
    for host in HOSTS {
        open(fleet, &agent, &on(fleet, host, "/app"), ALICE).await;
    }
    for cookie_host in HOSTS {
        let token = session_on(&agent, cookie_host).unwrap();
        for host in HOSTS {
            let expected = if host == cookie_host { 200 } else { 401 };
            for pod in &fleet.pods {
                assert_eq!(check_on(pod, host, &token).await, expected, "the cookie of {cookie_host} on {host}");
            }
            let cookie = format!("vestibule={token}");
            let headers = [("cookie", cookie.as_str()), ("accept", "application/json"), ("sec-fetch-mode", "cors")];
            for path in ["/app", "/sso/session"] {
                let page = Agent::new().get_with(&on(fleet, host, path), &headers).await;
                assert_eq!(page.status, expected, "the cookie of {cookie_host} on {host}{path}: {}", page.body);
            }
            let api = Agent::new().get_with(&on(fleet, host, "/vestibule/api/sessions"), &headers).await;
            let expected = if host == cookie_host && host == "localhost" { 200 } else { 401 };
            assert_eq!(api.status, expected, "the cookie of {cookie_host} at the API of {host}: {}", api.body);
        }
    }
}
