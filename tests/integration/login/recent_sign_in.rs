//! A recent sign-in is an authentication of the user, not a login that the provider answers from its own session.

use std::time::Duration;

use url::Url;

use super::parameter;
use crate::support::agent::{Agent, Page};
use crate::support::fleet::Fleet;
use crate::support::pod::Pod;
use crate::support::steps::{ALICE, assert_page, assert_signed_in, at, at_provider, login_address};
use crate::support::wait::until;

const PATIENCE: Duration = Duration::from_secs(60);
const SETTINGS: &str = "keys: {sign_in_within: 8s}\n";

/// True if the browser's session may create a key.
pub async fn is_recent(agent: &Agent, pod: &Pod) -> bool {
    let page = agent.get(&pod.public("/vestibule/keys")).await;
    assert_eq!(page.status, 200, "{}", page.body);
    !page.body.contains("Your last sign-in")
}

/// Begins a login that must be recent, and returns the request to the provider.
async fn begin_recent(agent: &Agent, pod: &Pod) -> Url {
    let page = agent.get(&format!("{}&authenticate=recent", login_address(pod, "/vestibule/keys"))).await;
    page.location().unwrap_or_else(|| panic!("no redirect to the provider: {}", page.body))
}

/// The request with another `max_age`, as an attacker at an unlocked browser can change it.
fn tampered(request: &Url, max_age: Option<&str>) -> Url {
    let mut changed = request.clone();
    let kept = request.query_pairs().filter(|(name, _)| name != "max_age" && name != "prompt");
    changed.query_pairs_mut().clear().extend_pairs(kept).extend_pairs(max_age.map(|value| ("max_age", value)));
    changed
}

/// Sends the request to the provider, which answers from its session, and completes the login.
async fn answer_silently(agent: &Agent, fleet: &Fleet, request: &Url) -> Page {
    let issuer = fleet.idp().issuer();
    let page = agent.get(request.as_str()).await;
    let page = agent.follow_until(page, |target| !target.as_str().starts_with(issuer)).await;
    let callback = page.location().unwrap_or_else(|| panic!("the provider asks the user: {}", page.body));
    agent.get(&at(fleet.pod(0), &callback)).await
}

async fn sign_in(agent: &Agent, fleet: &Fleet, page: Page) {
    assert!(page.body.contains("<form") || page.location().is_some(), "{}", page.body);
    let callback = at_provider(fleet.idp(), agent, page, ALICE).await;
    assert_signed_in(&agent.get(&at(fleet.pod(1), &callback)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_the_provider_answers_from_its_session_is_not_recent() {
    let fleet = Fleet::builder().pods(3).cluster().idp().yaml(SETTINGS).start().await;
    let (agent, pod) = (Agent::new(), fleet.pod(0));
    let page = agent.get(&login_address(pod, "/")).await;
    sign_in(&agent, &fleet, page).await;
    assert!(is_recent(&agent, pod).await);
    until("the authentication to be too long ago", PATIENCE, async || (!is_recent(&agent, pod).await).then_some(())).await;

    let request = agent.get(&login_address(pod, "/")).await.location().expect("to the provider");
    assert_signed_in(&answer_silently(&agent, &fleet, &request).await);
    assert!(!is_recent(&agent, pod).await, "a new session of an old authentication");

    // The page's own link leads to a login for which the provider asks the user.
    let keys = agent.get(&pod.public("/vestibule/keys")).await;
    let link = keys.links().into_iter().find(|link| link.path() == "/sso/login").expect("a link to sign in");
    let page = agent.get(link.as_str()).await;
    assert_eq!(parameter(&page.location().expect("to the provider"), "max_age"), "6");
    sign_in(&agent, &fleet, page).await;
    assert!(is_recent(&agent, pod).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_changed_in_the_browser_leads_to_no_recent_sign_in() {
    let fleet = Fleet::builder().pods(3).cluster().idp().yaml(SETTINGS).start().await;
    let (agent, pod) = (Agent::new(), fleet.pod(0));
    let page = agent.get(&login_address(pod, "/")).await;
    sign_in(&agent, &fleet, page).await;
    until("the authentication to be too long ago", PATIENCE, async || (!is_recent(&agent, pod).await).then_some(())).await;
    for (max_age, reason) in [(None, "authentication_time_missing"), (Some("999999"), "authentication_not_recent")] {
        let request = begin_recent(&agent, pod).await;
        let refused = answer_silently(&agent, &fleet, &tampered(&request, max_age)).await;
        assert_page(&refused, 502, "Recent sign-in not confirmed");
        assert!(pod.log().contains(reason), "{reason}: {}", pod.log());
        assert!(!is_recent(&agent, pod).await);
        let link = refused.links().into_iter().find(|link| link.path() == "/sso/login").expect("a link to start again");
        let again = agent.get(link.as_str()).await.location().expect("to the provider");
        assert_eq!((&*parameter(&again, "prompt"), &*parameter(&again, "max_age")), ("login", "6"));
    }
    let again = agent.get(&format!("{}&authenticate=again", login_address(pod, "/"))).await;
    sign_in(&agent, &fleet, again).await;
    assert!(is_recent(&agent, pod).await);
}
