//! One deployment for every test that stops none of it, and what those tests do with it.

use std::time::Duration;

use crate::support::agent::Agent;
use crate::support::deployment::Deployment;
use crate::support::pod::Pod;
use crate::support::wait;

const PATIENCE: Duration = Duration::from_secs(30);

pub const ALICE: (&str, &str) = ("alice", "alice-in-wonderland");
pub const BOB: (&str, &str) = ("bob", "bob-the-builder");
pub const CAROL: (&str, &str) = ("carol", "carol-sings-well");

pub async fn deployment() -> &'static Deployment {
    crate::support::deployment::shared().await
}

/// A pod is ready without its providers: one that is down must not keep a pod from starting.
pub async fn providers_reached(pod: &Pod, count: u32) {
    let reached = async || (pod.metric("vestibule_provider_ready", &[]).await >= f64::from(count)).then_some(());
    wait::until("the pod to know its providers", PATIENCE, reached).await;
}

/// A browser in which this person has just signed in through nginx.
pub async fn signed_in(deployment: &Deployment, (user, password): (&str, &str)) -> Agent {
    let agent = Agent::new();
    let page = deployment.sign_in(&agent, "/", user, password).await;
    assert_eq!(page.status, 200, "{user}: {}", page.body);
    agent
}

/// The browser's session cookie, as a line of `Cookie`.
pub fn session_line(agent: &Agent) -> String {
    let session = agent.cookie("localhost", "vestibule").expect("who is signed in has a session cookie");
    format!("vestibule={}", session.value)
}
