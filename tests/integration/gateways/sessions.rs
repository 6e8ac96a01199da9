//! Sign-in and sign-out through every gateway, for browsers.

use super::GatewayFleet;
use crate::support::gateway::RunningGateway;
use crate::support::steps::{BOB, SESSION};

const TARGET: &str = "/ui/?tab=keys&sort=a%2Fb&x=%26+y";

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_signs_in_and_out_through_every_gateway() {
    let shared = GatewayFleet::shared().await;
    shared.gateways.each(async |to| sign_in_and_out(shared, to).await).await;
}

async fn sign_in_and_out(shared: &GatewayFleet, to: &RunningGateway) {
    let (fleet, agent, gateway) = (&shared.fleet, to.agent(), to.gateway);
    let page = fleet.open(&agent, TARGET, BOB).await;
    assert_eq!(page.url.as_str(), fleet.url(TARGET), "{gateway:?}");
    assert!(page.body.contains("You reached the upstream"), "{gateway:?}: {}", page.body);
    let received = agent.get_with(&fleet.url(TARGET), &[("accept", "application/json")]).await.json();
    let session = agent.get(&fleet.url("/sso/session")).await.json();
    assert_eq!(received["headers"]["x-auth-request-user"], session["user_id"], "{gateway:?}: {received}");

    let cookie = agent.cookie("localhost", SESSION).expect("a session cookie");
    assert!(!cookie.line.to_ascii_lowercase().contains("domain="), "{gateway:?}: {}", cookie.line);
    let form = agent.get(&fleet.url("/sso/logout")).await.form();
    let page = agent.submit(&form, &[]).await;
    assert_eq!(page.status, 303, "{gateway:?}: {}", page.body);
    let page = agent.get(&fleet.url(TARGET)).await;
    let location = page.location().unwrap_or_else(|| panic!("{gateway:?}: {} {}", page.status, page.body));
    assert_eq!((page.status, location.path()), (302, "/sso/login"), "{gateway:?}");
    // No gateway accepts a copy of the cookie.
    agent.set_cookie("localhost", &cookie.line);
    assert_eq!(agent.get(&fleet.url(TARGET)).await.status, 302, "{gateway:?}");
}
