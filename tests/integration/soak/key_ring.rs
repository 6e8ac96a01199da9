//! A key ring that is rotated under load and reaches the pods one after another, and a key that is removed too early.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Size;
use super::ledger::{Excuse, Ledger};
use super::load::Load;
use super::users::{CachedUser, PATIENCE, builder};
use super::visitor::{Credential, Visitor};
use crate::key_ring::UNKNOWN_KEY;
use crate::support::cli::vestibule;
use crate::support::fleet::Fleet;
use crate::support::pod::{Pod, key_ring, random_key};
use crate::support::redis::Cluster;
use crate::support::steps::SESSION;
use crate::support::wait::{pass, until};

const LOGINS: usize = 600;
/// A process encrypts with the first key of a ring after it has had the key for this long.
const ENCRYPTS_AFTER: Duration = Duration::from_secs(180);
/// Users who sign in between the last re-encryption and the removal.
const SINCE: usize = 6;
const READ_AGAIN: &str = "key ring reloaded";

#[tokio::test(flavor = "multi_thread")]
async fn a_key_ring_that_reaches_pods_one_after_another_ends_no_session() {
    let size = Size::from_environment();
    let (apart, share) = (size.duration(Duration::from_secs(60), Duration::from_secs(2)), size.of(LOGINS) / 4);
    let (old, new) = (random_key(), random_key());
    let rings = [(); 3].map(|()| key_ring());
    rings.iter().for_each(|(_, file)| write(file, &[&old]));
    let redis = Cluster::start().await;
    let mut fleet = builder()
        .pods(3)
        .store_at(redis.url())
        .config(|pod| {
            let number: usize = pod.name["pod-".len()..].parse().expect("pods are numbered");
            pod.key_ring_file = Some(rings[number].1.clone());
        })
        .start()
        .await;
    let ledger = Arc::new(Ledger::new("a key ring rotated while it is used"));
    let cached_users = fleet.cached_users().await;
    let load = Load::start(&fleet, &ledger, &cached_users);
    load.wait_for_logins(share).await;
    for (number, (_, file)) in rings.iter().enumerate() {
        ledger.phase(&format!("pod {number} has the new key"));
        write(file, &[&new, &old]);
        until_logged(&fleet.pods[number], READ_AGAIN, 1).await;
        pass(apart).await;
    }
    load.wait_for_logins(share).await;
    if size == Size::Full {
        ledger.phase("the new key encrypts");
        pass(ENCRYPTS_AFTER).await;
        load.wait_for_logins(share).await;
    }
    ledger.phase("a pod started with the new ring");
    ledger.excuse(Excuse::PodGone);
    fleet.pods[0].restart().await;
    ledger.end_excuse(Excuse::PodGone);
    load.wait_for_logins(share).await;
    load.end().await;
    fleet.print_statistics().await;
    assert!(ledger.suspects().is_empty(), "{:?}", ledger.suspects());
    ledger.print_and_assert();

    rings.iter().for_each(|(_, file)| write(file, &[&new]));
    for (number, pod) in fleet.pods.iter().enumerate() {
        // The restarted pod has read the last key ring at its start.
        until_logged(pod, READ_AGAIN, if number == 0 { 1 } else { 2 }).await;
    }
    assert_no_user_is_created_again(&fleet, &cached_users).await;
    rings.iter().for_each(|(_, file)| write(file, &[&new, &old]));
    for cached_user in cached_users.iter() {
        until("the old key to be back on every pod", PATIENCE, async || {
            for pod in &fleet.pods {
                for credential in [&cached_user.session, &cached_user.key] {
                    (credential.status_on(&fleet.http, pod).await == 200).then_some(())?;
                }
            }
            Some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn re_encryption_under_load_makes_the_old_key_removable_and_only_sessions_end() {
    let (size, share) = (Size::from_environment(), Size::from_environment().of(LOGINS) / 4);
    let (old, new) = (random_key(), random_key());
    let (_ring, file) = key_ring();
    write(&file, &[&old]);
    let redis = Cluster::start().await;
    let mut fleet = builder().pods(3).store_at(redis.url()).config(|pod| pod.key_ring_file = Some(file.clone())).start().await;
    let ledger = Arc::new(Ledger::new("records re-encrypted while they are used"));
    let cached_users = fleet.cached_users().await;
    let known = user_id(&fleet, &cached_users[0].name).await;
    let load = Load::start(&fleet, &ledger, &cached_users);
    load.wait_for_logins(share).await;
    ledger.phase("every pod has the new key");
    write(&file, &[&new, &old]);
    for pod in &fleet.pods {
        until_logged(pod, READ_AGAIN, 1).await;
    }
    if size == Size::Full {
        ledger.phase("the new key encrypts");
        pass(ENCRYPTS_AFTER).await;
    }
    load.wait_for_logins(share).await;
    ledger.phase("re-encrypted");
    println!("{}", re_encrypt(&fleet.pods[0]));
    load.wait_for_logins(share).await;
    load.end().await;
    fleet.print_statistics().await;
    assert!(ledger.suspects().is_empty(), "{:?}", ledger.suspects());
    ledger.print_and_assert();

    // Until the new key encrypts, new records have the old key again.
    println!("records written since: {}", re_encrypt(&fleet.pods[1]));
    assert!(re_encrypt(&fleet.pods[2]).starts_with("re-encrypted: 0; "), "records of the old key are left");
    // By now each pod has cached records of the new key, or reads them when it looks these users up; one has just started.
    fleet.pods[2].restart().await;
    fleet.wait_for_providers().await;
    let mut since = Vec::new();
    for cached_user in cached_users.iter().take(SINCE) {
        since.push(Credential::Session(sign_in(&fleet, &cached_user.name).await));
    }
    let edits_read = |pod: &Pod| pod.log().matches(READ_AGAIN).count();
    let before: Vec<usize> = fleet.pods.iter().map(edits_read).collect();
    write(&file, &[&new]);
    for (pod, before) in fleet.pods.iter().zip(before) {
        until_logged(pod, READ_AGAIN, before + 1).await;
    }
    for pod in &fleet.pods {
        for session in &since {
            assert_eq!(session.status_on(&fleet.http, pod).await, 200, "a session of the new key ended");
        }
        for cached_user in cached_users.iter() {
            assert_eq!(cached_user.key.status_on(&fleet.http, pod).await, 200, "a key was lost");
            assert_eq!(cached_user.session.status_on(&fleet.http, pod).await, 401, "its session token is bound to the old key");
        }
    }
    assert_eq!(user_id(&fleet, &cached_users[0].name).await, known, "a known user was created again");
}

/// The output of the successful command.
fn re_encrypt(pod: &Pod) -> String {
    let output = vestibule(&["key-ring", "re-encrypt", "--config", &pod.config_file().to_string_lossy()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
}

/// The user id after a login.
async fn user_id(fleet: &Fleet, name: &str) -> String {
    let session = sign_in(fleet, name).await;
    let url = format!("{}/sso/session", fleet.nginx().info().origin);
    let answer = fleet.http.get(url).header("cookie", format!("{SESSION}={session}")).send().await;
    let who: serde_json::Value = answer.expect("nginx answers").json().await.expect("JSON");
    who["user_id"].as_str().expect("an id").to_owned()
}

async fn sign_in(fleet: &Fleet, name: &str) -> String {
    let ledger = Ledger::new("one login");
    Visitor::new(fleet.nginx().info(), &ledger).sign_in(name).await.expect("nothing is broken")
}

/// A record of a missing key is an error with its cause, and never treated as absent.
async fn assert_no_user_is_created_again(fleet: &Fleet, cached_users: &[CachedUser]) {
    for pod in &fleet.pods {
        for cached_user in cached_users {
            assert_eq!(
                cached_user.session.status_on(&fleet.http, pod).await,
                401,
                "its session token is bound to the missing key"
            );
            assert_eq!(cached_user.key.status_on(&fleet.http, pod).await, 503, "the owner of the key cannot be read");
        }
    }
    let ledger = Ledger::new("sign-ins without the key");
    let visitor = Visitor::new(fleet.nginx().info(), &ledger);
    let back = visitor.until_callback(&cached_users[0].name).await;
    let callback = back.location().expect("the provider sends them back");
    let page = visitor.agent.get(callback.as_str()).await;
    assert!(page.status >= 500, "{}: {}", page.status, page.body);
    assert!(!page.set_cookies().iter().any(|line| line.starts_with("vestibule=")), "signed in as a new user");
    let named = |pod: &Pod| pod.log().lines().any(|line| line.contains("login failed") && line.contains(UNKNOWN_KEY));
    assert!(fleet.pods.iter().any(named), "no log names the cause");
}

fn write(file: &Path, keys: &[&str]) {
    std::fs::write(file, keys.iter().map(|key| format!("{key}\n")).collect::<String>()).expect("the file is ours");
}

async fn until_logged(pod: &Pod, words: &str, times: usize) {
    until(words, PATIENCE, async || (pod.log().matches(words).count() >= times).then_some(())).await;
}
