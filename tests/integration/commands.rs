//! Commands of a new developer: `make help`, a test without its peers, `make demo`.

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::support::agent::Agent;
use crate::support::process::{Child, OnFailure};
use crate::support::scratch::Scratch;
use crate::support::{peer_file, ports, repository, wait};

const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn make_help_lists_every_target() {
    let text = std::fs::read_to_string(repository("Makefile")).expect("the Makefile is there");
    let rules = text.lines().filter(|line| !line.contains("=") || line.contains(": "));
    let names = rules.filter_map(|line| line.split_once(':')).map(|(name, _)| name);
    let targets: BTreeSet<&str> = names.filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-')).collect();
    assert!(targets.contains("test") && targets.contains("demo"), "{targets:?}");
    let output = Command::new("make").arg("help").current_dir(repository("")).output().expect("make is there");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    for target in targets {
        assert!(stdout.lines().any(|line| line.starts_with(&format!("  make {target} "))), "{target}: {stdout}");
    }
}

#[test]
fn a_missing_peer_is_an_error_that_names_the_installation_command() {
    let folder = Scratch::new("no-peers");
    let spawn = || {
        let command = Command::new("/no/such/peer");
        Child::spawn("peer", command, &folder.path().join("log"), OnFailure::Quiet);
    };
    let missing: [&dyn Fn(); 2] = [&|| drop(peer_file("node_modules/no-such-peer")), &spawn];
    for start in missing {
        let panic = catch_unwind(std::panic::AssertUnwindSafe(start)).expect_err("it isn't there");
        let message = panic.downcast_ref::<String>().expect("a panic with a message");
        assert!(message.contains("`make peers`"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_signs_a_user_in_and_ctrl_c_leaves_no_process_behind() {
    let scratch = Scratch::new("demo");
    let port = ports::free();
    let mut command = Command::new(demo());
    command.arg(env!("CARGO_BIN_EXE_vestibule")).env("DEMO_PORT", port.to_string());
    let mut demo = Child::spawn("demo", command, &scratch.path().join("demo.log"), OnFailure::ShowLog);
    demo.wait_for_line(PATIENCE, |line| line.contains("ctrl-C ends all of it").then_some(())).await;
    assert!(demo.log().contains("alice-in-wonderland"));

    let (agent, upstream) = (Agent::new(), format!("http://localhost:{port}/"));
    let form = agent.browse(&upstream).await.form();
    let fields = [("username", "alice"), ("password", "alice-in-wonderland"), ("action", "login")];
    let page = agent.submit(&form, &fields).await;
    assert_eq!(agent.follow(page).await.status, 200);
    let seen = agent.get_with(&upstream, &[("accept", "application/json")]).await.json();
    assert_eq!(seen["headers"]["x-auth-request-email"], "alice@example.com", "{seen}");

    let children = descendants(demo.pid());
    // Six Redis servers, three pods, the provider, the upstream and nginx.
    assert!(children.len() >= 12, "{children:?}");
    demo.interrupt();
    assert_eq!(demo.wait_exit(PATIENCE).await.code(), Some(0));
    let has_ended = async || children.iter().all(|child| !child.runs()).then_some(());
    wait::until("every child to end", PATIENCE, has_ended).await;
}

/// Cargo builds the examples with the tests, unless a single kind of target is requested.
fn demo() -> PathBuf {
    let tests = std::env::current_exe().expect("we run");
    let built = tests.parent().and_then(|deps| deps.parent()).expect("cargo's folders").join("examples/demo");
    assert!(built.exists(), "{} isn't built: run `cargo build --example demo`", built.display());
    built
}

/// A process, distinguished from a later one with the same id by its start time.
#[derive(Debug, PartialEq, Eq)]
struct Process {
    pid: u32,
    parent: u32,
    ended: bool,
    began: String,
}

impl Process {
    /// Parses the fields after the name in /proc/<pid>/stat; a name may contain blanks and parentheses.
    fn read(pid: u32) -> Option<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        Some(Self {
            pid,
            parent: fields.get(1)?.parse().ok()?,
            ended: *fields.first()? == "Z",
            began: (*fields.get(19)?).to_owned(),
        })
    }

    fn runs(&self) -> bool {
        Self::read(self.pid).is_some_and(|now| now.began == self.began && !now.ended)
    }
}

fn descendants(ancestor: u32) -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").expect("there is a /proc").flatten();
    let mut others: Vec<Process> = entries.filter_map(|entry| Process::read(entry.file_name().to_str()?.parse().ok()?)).collect();
    let (mut family, mut found) = (BTreeSet::from([ancestor]), Vec::new());
    loop {
        let (children, rest): (Vec<_>, Vec<_>) = others.into_iter().partition(|process| family.contains(&process.parent));
        if children.is_empty() {
            return found;
        }
        family.extend(children.iter().map(|child| child.pid));
        found.extend(children);
        others = rest;
    }
}
