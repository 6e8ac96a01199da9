//! Role maps in ConfigMaps on a real API server, with three pods and a signed-in user.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::support::api_server::{ApiServer, MayWriteEvents};
use crate::support::auth_request::auth_request;
use crate::support::fleet::Fleet;
use crate::support::pod::{self, Pod, PodOptions, Readiness};
use crate::support::proxy::FaultProxy;
use crate::support::steps::BOB;
use crate::support::wait;

/// The documented bound is one second; the rest is for the load of the machine.
const BOUND: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(60);
/// A token file is read each minute, and by then the watch retries every half minute.
const NEW_TOKEN: Duration = Duration::from_secs(180);

const BASE: &str = "
version: 1
default_role: customer
delegate: [internal_user]
rules:
  - {claim: preferred_username, match: nobody, role: proxy_admin}
";

fn with_role(role: &str) -> String {
    BASE.replace("match: nobody, role: proxy_admin", &format!("match: bob, role: {role}"))
}

/// The options of additional pods of the shared fleet, whose users are signed in on them too.
fn pod_options(fleet: &Fleet, server: &ApiServer, number: usize) -> PodOptions {
    pod_options_by(fleet, &server.pod_kubeconfig(), number)
}

fn pod_options_by(fleet: &Fleet, kubeconfig: &Path, number: usize) -> PodOptions {
    let mut options = fleet.further_pod(&format!("watching-{number}"));
    options.role_map = None;
    options.further += "role_map:\n  config_map: {name: roles}\n  fragments: {selector: vestibule/role-map=fragment}\n";
    options.environment.push(("KUBECONFIG".to_owned(), kubeconfig.to_string_lossy().into_owned()));
    options
}

async fn pods(fleet: &Fleet, server: &ApiServer, count: usize) -> Vec<Pod> {
    futures::future::join_all((0..count).map(|number| Pod::start(pod_options(fleet, server, number)))).await
}

async fn bob(fleet: &Fleet) -> String {
    fleet.session_header(BOB).await
}

/// The role of an allowed check, or the status of a refused one.
async fn role(pod: &Pod, cookie: &str) -> String {
    let answer = auth_request(pod, &[("cookie", cookie)]).await;
    if answer.status == 200 { answer.one("x-auth-request-role").to_owned() } else { answer.status.to_string() }
}

async fn until_everywhere(pods: &[Pod], cookie: &str, expected: &str) -> Duration {
    let what = format!("{expected} on every pod");
    pod::until_everywhere(pods, &what, PATIENCE, async |pod| role(pod, cookie).await == expected).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_role_map_without_access_rules_causes_a_warning_about_static_credentials() {
    let fleet = Fleet::shared().await;
    let server = ApiServer::start(MayWriteEvents::Yes).await;
    server.apply("roles", json!({}), BASE).await;
    let mut options = pod_options(fleet, &server, 0);
    options.further += "upstream_credential: {static: [{name: litellm, authorization: sk-of-the-upstream}]}\n";
    let pod = Pod::start(options).await;
    let warnings = || {
        let log = pod.log();
        let is_warning = |line: &&str| line.contains("configuration warning") && line.contains("upstream_credential.static");
        log.lines().filter(is_warning).map(str::to_owned).collect::<Vec<_>>()
    };
    let found = wait::until("the warning", PATIENCE, async || warnings().pop()).await;
    assert!(found.contains("(litellm)") && found.contains("`access`") && !found.contains("sk-of"), "{found}");
    server.apply("roles", json!({}), &format!("{BASE}access: [{{paths: [/**]}}]\n")).await;
    let updated = async || (pod.log().matches("role map updated").count() >= 2).then_some(());
    wait::until("the edited role map", PATIENCE, updated).await;
    assert_eq!(warnings().len(), 1, "with access rules there is no warning");
}

fn fragment() -> serde_json::Value {
    json!({"vestibule/role-map": "fragment"})
}

#[tokio::test(flavor = "multi_thread")]
async fn valid_edits_and_fragments_apply_on_three_pods_and_invalid_ones_do_not() {
    let fleet = Fleet::shared().await;
    let server = ApiServer::start(MayWriteEvents::Yes).await;
    server.apply("roles", json!({}), BASE).await;
    let pods = pods(fleet, &server, 3).await;
    let cookie = bob(fleet).await;
    until_everywhere(&pods, &cookie, "customer").await;

    server.apply("roles", json!({}), &with_role("org_admin")).await;
    let took = until_everywhere(&pods, &cookie, "org_admin").await;
    println!("an edited ConfigMap is active on three pods after {took:?}");
    assert!(took < BOUND, "{took:?}");

    server.apply("roles", json!({}), &with_role("king")).await;
    for pod in &pods {
        wait::until("a refused edit", PATIENCE, async || (pod.rejected_role_maps().await >= 1.0).then_some(())).await;
        assert_eq!(role(pod, &cookie).await, "org_admin");
        assert!(pod.log().contains("rules[0].role (line 6): role `king` is not in the list"), "{}", pod.log());
    }
    server.apply("roles", json!({}), BASE).await;
    until_everywhere(&pods, &cookie, "customer").await;
    let events = events(&server, "roles", 2).await;
    let reasons: Vec<_> = events.iter().map(|(reason, _)| reason.as_str()).collect();
    assert_eq!(reasons, ["RoleMapRefused", "RoleMapAccepted"], "one Event each, though three pods saw it");
    assert!(events[0].1.contains("line 6"), "{events:?}");

    server.apply("team-b", fragment(), "rules: [{claim: preferred_username, match: bob, role: internal_user}]").await;
    until_everywhere(&pods, &cookie, "internal_user").await;
    server.apply("team-c", fragment(), "rules: [{claim: preferred_username, match: bob, role: proxy_admin}]").await;
    for pod in &pods {
        wait::until("a refused fragment", PATIENCE, async || (pod.rejected_role_maps().await >= 2.0).then_some(())).await;
        assert_eq!(role(pod, &cookie).await, "internal_user");
    }
    assert!(self::events(&server, "team-c", 1).await[0].1.contains("not delegated"));

    server.delete("team-b").await;
    let took = until_everywhere(&pods, &cookie, "customer").await;
    println!("a deleted fragment is gone from three pods after {took:?}");
    assert!(took < BOUND, "{took:?}");

    server.delete("roles").await;
    until_everywhere(&pods, &cookie, "403").await;
    server.apply("roles", json!({}), &with_role("team")).await;
    until_everywhere(&pods, &cookie, "team").await;
}

async fn events(server: &ApiServer, name: &str, count: usize) -> Vec<(String, String)> {
    wait::until("the Events", PATIENCE, async || {
        let events = server.events_about(name).await;
        (events.len() >= count).then_some(events)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_api_server_changes_nothing_and_the_watch_resumes_when_it_is_back() {
    let fleet = Fleet::shared().await;
    let mut server = ApiServer::start(MayWriteEvents::No).await;
    server.apply("roles", json!({}), &with_role("org_admin")).await;
    let pods = pods(fleet, &server, 1).await;
    let cookie = bob(fleet).await;
    until_everywhere(&pods, &cookie, "org_admin").await;
    let up = async || pods[0].metric("vestibule_role_map_watch_up", &[]).await;
    assert_eq!(up().await, 1.0);

    server.kill();
    wait::until("the loss to be seen", PATIENCE, async || (up().await == 0.0).then_some(())).await;
    assert_eq!(role(&pods[0], &cookie).await, "org_admin");
    server.restart().await;
    wait::until("the watch to go on", PATIENCE, async || (up().await == 1.0).then_some(())).await;
    server.apply("roles", json!({}), &with_role("team")).await;
    until_everywhere(&pods, &cookie, "team").await;

    // Missing permission to write Events is logged once and has no other effect.
    server.apply("roles", json!({}), "version: 2").await;
    wait::until("a refused edit", PATIENCE, async || (pods[0].rejected_role_maps().await >= 1.0).then_some(())).await;
    server.apply("roles", json!({}), "version: 3").await;
    let warnings = || pods[0].log().matches("not permitted to create Events").count();
    wait::until("the warning", PATIENCE, async || (warnings() > 0).then_some(())).await;
    wait::until("another refused edit", PATIENCE, async || (pods[0].rejected_role_maps().await >= 2.0).then_some(())).await;
    server.apply("roles", json!({}), &with_role("org_admin")).await;
    until_everywhere(&pods, &cookie, "org_admin").await;
    assert_eq!(warnings(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_that_etcd_has_compacted_apply_when_the_watch_resumes() {
    let fleet = Fleet::shared().await;
    let mut server = ApiServer::start(MayWriteEvents::Yes).await;
    server.apply("roles", json!({}), BASE).await;
    let bobs = |role: &str| format!("rules: [{{claim: preferred_username, match: bob, role: {role}}}]");
    server.apply("team-b", fragment(), &bobs("internal_user")).await;
    let way = FaultProxy::start(server.port()).await;
    let pod = Pod::start(pod_options_by(fleet, &server.pod_kubeconfig_by(way.port()), 7)).await;
    let pods = std::slice::from_ref(&pod);
    let cookie = bob(fleet).await;
    until_everywhere(pods, &cookie, "internal_user").await;

    way.refuse();
    wait::until("both watches to be cut", PATIENCE, async || way.is_idle().then_some(())).await;
    let last_heard = server.version().await;
    server.delete("team-b").await;
    server.apply("team-c", fragment(), &bobs("internal_user_viewer")).await;
    server.apply("roles", json!({}), &BASE.replace("[internal_user]", "[internal_user_viewer]")).await;
    server.restart_compacted().await;
    assert_eq!(server.refusal_of_watch_from(&last_heard).await, Some(410), "the pod's own watch can't go on either");
    assert_eq!(role(&pod, &cookie).await, "internal_user");

    way.resume();
    until_everywhere(pods, &cookie, "internal_user_viewer").await;
    server.apply("roles", json!({}), &with_role("org_admin")).await;
    until_everywhere(pods, &cookie, "org_admin").await;
    // The last base map delegates nothing that team-c needs, so its fragment is refused; no other is.
    wait::until("its fragment", PATIENCE, async || (pod.rejected_role_maps().await == 1.0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watch_resumes_with_a_rotated_token() {
    let fleet = Fleet::shared().await;
    let mut server = ApiServer::start(MayWriteEvents::Yes).await;
    server.apply("roles", json!({}), BASE).await;
    let pods = pods(fleet, &server, 1).await;
    let cookie = bob(fleet).await;
    until_everywhere(&pods, &cookie, "customer").await;

    let old = server.rotate_token().await;
    // The API server caches accepted tokens for a while; a restarted one has no cache.
    server.kill();
    server.restart().await;
    assert!(!server.is_token_accepted(&old).await, "the old token is no longer accepted");
    server.apply("roles", json!({}), &with_role("team")).await;
    let what = "the edit, by the new token";
    pod::until_everywhere(&pods, what, NEW_TOKEN, async |pod| role(pod, &cookie).await == "team").await;
    assert_eq!(pods[0].rejected_role_maps().await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_list_checks_are_503_and_without_a_base_map_everybody_is_refused() {
    let fleet = Fleet::shared().await;
    let mut server = ApiServer::start(MayWriteEvents::Yes).await;
    let cookie = bob(fleet).await;
    server.kill();
    let pod = Pod::start(PodOptions { ready: Readiness::DontWait, ..pod_options(fleet, &server, 8) }).await;
    wait::until("the pod to have tried", PATIENCE, async || {
        let log = pod.log();
        (log.contains("role map not loaded") && log.contains("listening")).then_some(())
    })
    .await;
    for headers in [vec![], vec![("cookie", cookie.as_str())]] {
        let answer = auth_request(&pod, &headers).await;
        assert_eq!((answer.status, &answer.json()["error"]), (503, &json!("temporarily_unavailable")), "{answer:?}");
    }
    assert!(!pod.is_ready().await);

    server.restart().await;
    wait::until("a list without a base", PATIENCE, async || (role(&pod, &cookie).await == "403").then_some(())).await;
    server.apply("roles", json!({}), &with_role("team")).await;
    wait::until("the base map", PATIENCE, async || (role(&pod, &cookie).await == "team").then_some(())).await;
    server.delete("roles").await;
    wait::until("its deletion", PATIENCE, async || (role(&pod, &cookie).await == "403").then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_ready_only_with_a_valid_role_map() {
    let fleet = Fleet::shared().await;
    let server = ApiServer::start(MayWriteEvents::Yes).await;
    let mut options = pod_options(fleet, &server, 9);
    options.ready = Readiness::DontWait;
    let mut pod = Pod::start(options).await;
    server.apply("roles", json!({}), "version: 2").await;
    let is_rejected = async || pod.log().contains("version (line 1): `2` is unknown").then_some(());
    wait::until("a refused role map", PATIENCE, is_rejected).await;
    assert!(!pod.is_ready().await);
    server.apply("roles", json!({}), BASE).await;
    pod.wait_ready().await;
}
