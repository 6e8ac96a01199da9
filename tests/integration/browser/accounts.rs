//! Local accounts in Chromium, each time four ways: with a mouse, without JavaScript, by touch on a window of 360 pixels,
//! and with the keyboard alone.

use rstest::rstest;

use super::assert_views;
use crate::support::fleet::Fleet;
use crate::support::local_accounts::link_in;
use crate::support::pod::{Pod, PodOptions};
use crate::support::steps::{ALICE, BOB};
use crate::support::{artifacts, browser};

/// What the stories look at, each in light and in dark.
const ACCOUNT_PAGES: usize = 48;
const LINKING_PAGES: usize = 11;
const STATES: usize = 11;

/// Says much when it is asked: near misses, what is outranked, a team that is left out, a request that is refused.
const TALKATIVE: &str = r#"
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
async fn a_small_team_does_everything_from_the_printed_link_on(#[case] mode: &str) {
    let pod = Pod::start(PodOptions::new()).await;
    let link = printed_link(&pod);
    tell("accounts", &pod, &[&link], mode, ACCOUNT_PAGES).await;
}

#[rstest]
#[case::by_mouse("mouse")]
#[case::without_javascript("no-script")]
#[case::at_360_pixels("phone")]
#[case::with_the_keyboard_alone("keyboard")]
#[tokio::test(flavor = "multi_thread")]
async fn an_identity_is_linked_after_both_were_proven_and_signs_in_until_it_is_unlinked(#[case] mode: &str) {
    let fleet = Fleet::builder().idp().yaml("local_accounts: {enabled: true}\n").provider_setting("logout: off").start().await;
    let (pod, name) = (fleet.pod(0), &fleet.pod(0).options().providers[0].name);
    tell("linking", pod, &[name, ALICE.name, ALICE.password, BOB.name, BOB.password], mode, LINKING_PAGES).await;
}

#[rstest]
#[case::by_mouse("mouse")]
#[case::without_javascript("no-script")]
#[case::at_360_pixels("phone")]
#[case::with_the_keyboard_alone("keyboard")]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_seldom_seen_is_understood_all_the_more(#[case] mode: &str) {
    let mut options = PodOptions::new();
    options.role_map = Some(TALKATIVE.to_owned());
    options.further = "admin_roles: [proxy_admin, org_admin]\nkeys: {sign_in_within: 12s}\n".to_owned();
    let pod = Pod::start(options).await;
    let (link, role_map) = (printed_link(&pod), pod.config_file().with_file_name("roles.yaml"));
    tell("states", &pod, &[&link, &role_map.to_string_lossy()], mode, STATES).await;
}

fn printed_link(pod: &Pod) -> String {
    pod.public(&format!("/onboarding?invite_link={}", link_in(&pod.log())))
}

/// Runs a story, and judges each page that it has looked at.
async fn tell(story: &str, pod: &Pod, own: &[&str], mode: &str, pages: usize) {
    let directory = artifacts("browser").join(format!("{story}-{mode}"));
    let (base, check, shots) = (pod.public(""), pod.check(""), directory.to_string_lossy());
    let arguments = [&[base.as_str(), &check], own, &[mode, &shots]].concat();
    let seen = browser::run(&format!("{story}.mjs"), &arguments).await;
    assert_views(&seen, &directory, pages * 2);
}
