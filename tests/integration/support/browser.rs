//! Runs headless Chromium with the playwright scripts in `tests/peers/browser/`.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::auth_request::GATEWAY_SECRET;
use super::cpu_turns::wait_for_turn;
use super::peer_file;
use super::process::{Child, OnFailure};
use super::scratch::Scratch;

const DEADLINE: Duration = Duration::from_secs(300);

/// Runs `tests/peers/browser/<script>` and returns the last JSON that it printed. Panics with the script's output if it fails.
pub async fn run(script: &str, arguments: &[&str]) -> Value {
    peer_file("node_modules/playwright-core");
    let _turn = wait_for_turn().await;
    let scratch = Scratch::new("browser");
    let mut command = Command::new("node");
    command.arg(peer_file(&format!("browser/{script}"))).args(arguments).env("GATEWAY_SECRET", GATEWAY_SECRET);
    let log = scratch.path().join("browser.log");
    let mut child = Child::spawn(script, command, &log, OnFailure::Quiet);
    let status = child.wait_exit(DEADLINE).await;
    let log = child.log();
    assert!(status.success(), "{script} {arguments:?}:\n{log}");
    let last = log.lines().rev().find_map(|line| serde_json::from_str(line).ok());
    last.unwrap_or_else(|| panic!("{script} printed no JSON:\n{log}"))
}
