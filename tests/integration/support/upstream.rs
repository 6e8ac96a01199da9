//! What the gateway protects: answers every request with what it received.

use std::process::Command;
use std::time::Duration;

use super::process::{Child, OnFailure};
use super::scratch::Scratch;
use super::{peer_file, ports};

const START: Duration = Duration::from_secs(10);

/// HTML for people; under `Accept: application/json` `{method, path, headers, rawHeaders}`.
pub struct Upstream {
    port: u16,
    _child: Child,
    _scratch: Scratch,
}

impl Upstream {
    pub async fn start() -> Self {
        let scratch = Scratch::new("upstream");
        let port = ports::free();
        let mut command = Command::new("node");
        command.arg(peer_file("upstream.mjs")).arg(port.to_string());
        let log = scratch.path().join("upstream.log");
        let mut child = Child::spawn("upstream", command, &log, OnFailure::Quiet);
        child.wait_for_line(START, |line| line.contains("listening").then_some(())).await;
        Self { port, _child: child, _scratch: scratch }
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}
