//! Bootstrap of the first administrator: by the printed link, or by an invitation from the command line.

use std::time::Duration;

use crate::support::api::{Auth, get};
use crate::support::fleet::Fleet;
use crate::support::local_accounts::{LOCAL_ACCOUNTS, PASSWORD, accept_invitation, get_token, invite, link_in};
use crate::support::pod::{Pod, PodOptions};
use crate::support::wait::{pass, until};

const PRINTED: &str = "can set a password at this link, once and within 1 hour";

#[tokio::test(flavor = "multi_thread")]
async fn without_configuration_the_printed_link_creates_the_first_administrator_once() {
    let pod = Pod::start(PodOptions::new()).await;
    let printed = pod.log();
    assert_eq!(printed.matches(PRINTED).count(), 1, "{printed}");
    let link = link_in(&printed);
    let accepted = accept_invitation(&pod, &link, PASSWORD).await;
    assert_eq!((accepted.status(), &accepted.json()["user_role"]), (200, &"proxy_admin".into()), "{accepted:?}");
    let cookie = accepted.cookie("vestibule").expect("a session");
    let users = get(&pod, Auth::Session(&cookie), "/vestibule/api/people").await;
    assert_eq!(users["people"][0]["user_email"], "admin@localhost", "{users}");
    assert_eq!(accept_invitation(&pod, &link, PASSWORD).await.status(), 401);
    let later = pod.log();
    let in_the_log = later.lines().filter(|line| line.contains("INFO") || line.contains("WARN"));
    let secret = link.split('.').nth(1).expect("a link has a secret");
    assert!(in_the_log.clone().count() > 5 && in_the_log.clone().all(|line| !line.contains(secret)), "{later}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_link_is_printed_if_there_is_another_way_to_sign_in() {
    let off = PodOptions { further: "local_accounts: {enabled: false}\n".to_owned(), ..PodOptions::new() };
    let mut remote = PodOptions { further: LOCAL_ACCOUNTS.to_owned(), ..PodOptions::new() };
    // The address is not a loopback address: other users of the machine could read a printed link.
    remote.further.push_str("admin_roles: []\n");
    let mut open = PodOptions::new();
    open.further = LOCAL_ACCOUNTS.replace("enabled: true", "print_first_link: false");
    for (options, message) in [(off, "no sign-in method configured"), (remote, "listening"), (open, "no user can sign in")] {
        let pod = Pod::start(options).await;
        assert!(!pod.log().contains("invite_link=") && pod.log().contains(message), "{message}: {}", pod.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_redis_the_log_explains_the_bootstrap_and_the_command_restores_access() {
    let redis = crate::support::redis::Standalone::start(crate::support::redis::Options::default()).await;
    let (_ring, ring_file) = crate::support::pod::key_ring();
    let mut options = PodOptions::new();
    options.store = vec![format!("url: {}", redis.url())];
    options.key_ring_file = Some(ring_file);
    options.further = LOCAL_ACCOUNTS.to_owned();
    let mut pod = Pod::start(options).await;
    let how = "no users yet; run vestibule invite to create an administrator role=proxy_admin";
    let is_logged = async || pod.log().contains(how).then_some(());
    until("the log to explain the bootstrap", Duration::from_secs(10), is_logged).await;
    assert!(!pod.log().contains("invite_link="), "{}", pod.log());
    for _ in 0..2 {
        let output = invite(&pod, &["--role", "proxy_admin"]);
        assert!(output.status.success(), "{output:?}");
        let link = link_in(&String::from_utf8_lossy(&output.stdout));
        assert_eq!(get_token(&pod, &link).await.json()["user_email"], "admin@localhost");
        assert_eq!(accept_invitation(&pod, &link, PASSWORD).await.status(), 200);
    }
    pod.restart().await;
    pass(Duration::from_millis(500)).await;
    assert_eq!(pod.log().matches(how).count(), 1, "the hint is not repeated once there is a user: {}", pod.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_invitation_from_the_command_line_says_what_to_do() {
    let fleet = Fleet::builder().pods(3).cluster().idp().local_accounts().start().await;
    let run_invite = |arguments: &[&str]| {
        let output = invite(fleet.pod(0), arguments);
        assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
        String::from_utf8(output.stderr).expect("text")
    };
    assert!(run_invite(&["--role", "king"]).contains("the role map does not list the role"));
    assert!(run_invite(&["--role", "team", "--email", "nobody"]).contains("not an email address"));
    assert!(run_invite(&["--role", "team", "--duration", "31d"]).contains("from a minute to 30 days"));
    let memory = Pod::start(PodOptions::new()).await;
    let output = invite(&memory, &["--role", "proxy_admin"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && stderr.contains("restart the process, which prints a link"), "{stderr}");
}
