//! Local accounts in Chromium in four ways: with a mouse, without JavaScript, by touch in a window of 360 pixels, and with the
//! keyboard alone.

use rstest::rstest;

use super::assert_views;
use crate::support::fleet::Fleet;
use crate::support::local_accounts::link_in;
use crate::support::pod::{Pod, PodOptions};
use crate::support::steps::{ALICE, BOB};
use crate::support::{artifacts, browser};

/// The number of views in each scenario, in light and in dark.
const ACCOUNT_PAGES: usize = 48;
const LINKING_PAGES: usize = 11;
const STATES: usize = 11;

/// A role map with long explanations: near misses, overridden rules, a dropped team, a refused request.
const ROLE_MAP_WITH_LONG_EXPLANATIONS: &str = r#"
version: 1
default_role: internal_user_viewer
rules:
  - {claim: groups, match: "/platform-admin", role: org_admin}
  - {claim: groups, match: "/platform-admins", role: proxy_admin}
  - {claim: groups, match: "/engineering/*", role: internal_user}
teams:
  - {claim: groups, match: "/teams/*", strip: /teams/}
access:
  - {paths: [/ui/**], roles: [internal_user], allow: signed_in}
  - {paths: [/v1/**], allow: signed_in}
"#;

#[rstest]
#[case::by_mouse("mouse")]
#[case::without_javascript("no-script")]
#[case::at_360_pixels("phone")]
#[case::with_the_keyboard_alone("keyboard")]
#[tokio::test(flavor = "multi_thread")]
async fn a_small_team_is_set_up_from_the_bootstrap_link(#[case] mode: &str) {
    let pod = Pod::start(PodOptions::new()).await;
    let link = bootstrap_link(&pod);
    run_scenario("accounts", &pod, &[&link], mode, ACCOUNT_PAGES).await;
}

#[rstest]
#[case::by_mouse("mouse")]
#[case::without_javascript("no-script")]
#[case::at_360_pixels("phone")]
#[case::with_the_keyboard_alone("keyboard")]
#[tokio::test(flavor = "multi_thread")]
async fn an_identity_is_linked_after_both_sign_ins_and_signs_in_until_it_is_unlinked(#[case] mode: &str) {
    let fleet = Fleet::builder().idp().yaml("local_accounts: {enabled: true}\n").provider_setting("logout: off").start().await;
    let (pod, name) = (fleet.pod(0), &fleet.pod(0).options().providers[0].name);
    run_scenario("linking", pod, &[name, ALICE.name, ALICE.password, BOB.name, BOB.password], mode, LINKING_PAGES).await;
}

#[rstest]
#[case::by_mouse("mouse")]
#[case::without_javascript("no-script")]
#[case::at_360_pixels("phone")]
#[case::with_the_keyboard_alone("keyboard")]
#[tokio::test(flavor = "multi_thread")]
async fn rare_states_of_pages_are_accessible(#[case] mode: &str) {
    let mut options = PodOptions::new();
    options.role_map = Some(ROLE_MAP_WITH_LONG_EXPLANATIONS.to_owned());
    options.further = "admin_roles: [proxy_admin, org_admin]\nkeys: {sign_in_within: 12s}\n".to_owned();
    let pod = Pod::start(options).await;
    let (link, role_map) = (bootstrap_link(&pod), pod.config_file().with_file_name("roles.yaml"));
    run_scenario("states", &pod, &[&link, &role_map.to_string_lossy()], mode, STATES).await;
}

fn bootstrap_link(pod: &Pod) -> String {
    pod.public(&format!("/onboarding?invite_link={}", link_in(&pod.log())))
}

/// Runs a scenario and checks each page that it visited.
async fn run_scenario(scenario: &str, pod: &Pod, arguments: &[&str], mode: &str, pages: usize) {
    let directory = artifacts("browser").join(format!("{scenario}-{mode}"));
    let (base, check, shots) = (pod.public(""), pod.check(""), directory.to_string_lossy());
    let arguments = [&[base.as_str(), &check], arguments, &[mode, &shots]].concat();
    let report = browser::run(&format!("{scenario}.mjs"), &arguments).await;
    assert_views(&report, &directory, pages * 2);
}
