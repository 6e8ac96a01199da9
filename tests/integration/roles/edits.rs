//! The role map's file in a ConfigMap volume, and invalid edits of it.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{PATIENCE, granted, log_lines};
use crate::support::agent::Agent;
use crate::support::fleet::Fleet;
use crate::support::pod::{Pod, PodOptions, Readiness};
use crate::support::scratch::Scratch;
use crate::support::steps::{BOB, sign_in};
use crate::support::wait;

/// The documented bound is one second; the rest is for the load of the machine.
const BOUND: Duration = Duration::from_secs(3);

const GOOD: &str = "version: 1\nrules:\n  - {claim: groups, match: /engineering/*, role: internal_user}\n";
const BAD: &str = "version: 1\nrules:\n  - {claim: groups, match: /engineering/*, role: internal_user}\n  - {claim: groups, match: x, role: king}\n";
const MISTAKE: &str = "rules[1].role (line 4): role `king` is not in the list of roles";

/// A ConfigMap volume: `roles.yaml` is a link through `..data` into a directory that is replaced as a whole.
struct Volume {
    scratch: Scratch,
    generation: u32,
}

impl Volume {
    fn new(document: &str) -> Self {
        let mut volume = Self { scratch: Scratch::new("configmap"), generation: 0 };
        volume.swap(document);
        symlink("..data/roles.yaml", volume.file()).expect("the volume is writable");
        volume
    }

    fn file(&self) -> PathBuf {
        self.scratch.path().join("roles.yaml")
    }

    /// Replaces the directory like the kubelet: a new directory, a new link, one rename, removal of the old directory.
    fn swap(&mut self, document: &str) {
        let root = self.scratch.path().to_owned();
        let old = self.directory();
        self.generation += 1;
        let new = self.directory();
        std::fs::create_dir(root.join(&new)).expect("the volume is writable");
        std::fs::write(root.join(&new).join("roles.yaml"), document).expect("the volume is writable");
        symlink(&new, root.join("..data_tmp")).expect("the volume is writable");
        std::fs::rename(root.join("..data_tmp"), root.join("..data")).expect("the volume is writable");
        if Path::new(&root.join(&old)).exists() {
            std::fs::remove_dir_all(root.join(&old)).expect("the volume is writable");
        }
    }

    fn directory(&self) -> String {
        format!("..2026_11_22_08_00_{:02}.123456789", self.generation)
    }
}

fn role_map_at(file: &Path) -> String {
    format!("role_map: {{file: '{}'}}\n", file.display())
}

async fn pod_on(volume: &Volume) -> Fleet {
    let adjust = |pod: &mut PodOptions| {
        pod.role_map = None;
        pod.further = role_map_at(&volume.file());
    };
    Fleet::builder().idp().config(adjust).start().await
}

async fn until_role(fleet: &Fleet, session: &str, expected: &str) -> Duration {
    let probe = async || (granted(fleet.pod(0), session).await.0 == expected).then_some(());
    wait::timed(wait::until(&format!("the role {expected}"), PATIENCE, probe)).await.1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_configmap_applies_within_a_second_of_its_update_and_an_invalid_one_never() {
    let mut volume = Volume::new(GOOD);
    let fleet = pod_on(&volume).await;
    let session = sign_in(fleet.idp(), &Agent::new(), fleet.pod(0), BOB).await;
    assert_eq!(granted(fleet.pod(0), &session).await.0, "internal_user");
    for role in ["proxy_admin", "customer", "org_admin"] {
        volume.swap(&GOOD.replace("role: internal_user", &format!("role: {role}")));
        let took = until_role(&fleet, &session, role).await;
        println!("{role} after {took:?}");
        assert!(took < BOUND, "{role}: {took:?}");
    }

    volume.swap(BAD);
    let refused =
        async || (fleet.pod(0).metric("vestibule_role_map_edits_total", &["outcome=\"error\""]).await > 0.0).then_some(());
    wait::until("the bad edit to be refused", PATIENCE, refused).await;
    let lines = log_lines(fleet.pod(0), &["ERROR", "role map rejected"]);
    assert!(lines.len() == 1 && plain(&lines[0]).contains(MISTAKE), "{lines:?}");
    assert_eq!(granted(fleet.pod(0), &session).await.0, "org_admin", "the last good one");

    volume.swap(GOOD);
    assert!(until_role(&fleet, &session, "internal_user").await < BOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_of_the_wrong_shape_is_refused_with_its_line() {
    let mut volume = Volume::new(GOOD);
    let fleet = pod_on(&volume).await;
    for (document, line, what) in [
        ("version: 1\nrules:\n  - {claim: groups, matches: x, role: customer}\n", "line 3", "matches"),
        ("version: 1\nrules:\n  - {claim: groups\n", "line", ""),
        ("version: 1\n\n\nversion: 1\n", "line 4", "version"),
    ] {
        let has_line = async || {
            let lines = log_lines(fleet.pod(0), &["ERROR", "role map rejected", line, what]);
            (!lines.is_empty()).then_some(())
        };
        volume.swap(document);
        wait::until(&format!("{document:?} to be refused with {line} and {what:?}"), PATIENCE, has_line).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_map_at_start_is_fatal_with_the_message_of_an_invalid_edit() {
    let volume = Volume::new(BAD);
    let options = PodOptions { further: role_map_at(&volume.file()), ready: Readiness::DontWait, ..PodOptions::new() };
    let mut pod = Pod::start(options).await;
    let status = pod.process().wait_exit(PATIENCE).await;
    let log = plain(&pod.log());
    assert!(!status.success() && log.contains(MISTAKE), "{status}: {log}");
    assert!(log.contains("role_map.file"), "the log names the field: {log}");
}

/// The text log escapes quotes in its fields.
fn plain(text: &str) -> String {
    text.replace("\\\"", "\"")
}
