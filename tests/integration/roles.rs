//! The role map through real login flows: claims, grants, and edits of the file.

mod claims;
mod edits;
mod expired_identities;
mod login_reports;
mod pinned_grants;
mod sources;
mod unchanged_claims;

use std::path::Path;
use std::time::Duration;

use crate::support::agent::{Agent, Page};
use crate::support::fleet::Fleet;
use crate::support::idp::IdpOptions;
use crate::support::pod::{Pod, PodOptions};
use crate::support::steps::{TestUser, at, check, sign_in, until_callback};
use crate::support::wait;

const PATIENCE: Duration = Duration::from_secs(20);

/// A pod with this role map, and its provider.
async fn with_map(document: &str, idp: impl FnOnce(&mut IdpOptions)) -> Fleet {
    Fleet::builder().idp_with(idp).config(|pod: &mut PodOptions| pod.role_map = Some(document.to_owned())).start().await
}

/// The current role of a session, and its teams in alphabetical order.
async fn granted(pod: &Pod, session: &str) -> (String, String) {
    let page = check(&Agent::new(), pod, session).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let header = |name: &str| page.header(name).expect("every identity header is always there").to_owned();
    let (role, groups) = (header("x-auth-request-role"), header("x-auth-request-groups"));
    let mut teams: Vec<&str> = groups.split(',').collect();
    teams.sort_unstable();
    (role, teams.join(","))
}

/// The grant of a user after a new login flow.
async fn grant_after_login(fleet: &Fleet, user: TestUser) -> (String, String) {
    let session = sign_in(fleet.idp(), &Agent::new(), fleet.pod(0), user).await;
    granted(fleet.pod(0), &session).await
}

/// The final page of a login flow.
async fn final_page_of_login(fleet: &Fleet, user: TestUser) -> Page {
    let agent = Agent::new();
    let callback = until_callback(fleet.idp(), &agent, fleet.pod(0), "/ui/", user).await;
    agent.get(&at(fleet.pod(0), &callback)).await
}

/// Replaces the pod's role map as editors do.
fn edit(pod: &Pod, document: &str) {
    let file = pod.config_file().with_file_name("roles.yaml");
    let beside = Path::new(&file).with_extension("new");
    std::fs::write(&beside, document).expect("the pod's directory is writable");
    std::fs::rename(&beside, &file).expect("the pod's directory is writable");
}

async fn version(pod: &Pod) -> f64 {
    pod.metric("vestibule_role_map_version", &[]).await
}

/// Replaces the pod's role map and waits until it applies.
async fn edit_and_wait(pod: &Pod, document: &str) {
    let before = version(pod).await;
    edit(pod, document);
    wait::until("the edited map to be active", PATIENCE, async || (version(pod).await > before).then_some(())).await;
}

/// The lines of the log that contain all of these words.
fn log_lines(pod: &Pod, words: &[&str]) -> Vec<String> {
    let log = pod.log();
    log.lines().filter(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned).collect()
}
