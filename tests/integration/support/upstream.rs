//! The upstream that the gateway protects: it answers every request with the received request.

use std::process::Command;
use std::time::Duration;

use super::process::{Child, OnFailure};
use super::scratch::Scratch;
use super::{peer_file, ports};

const START: Duration = Duration::from_secs(10);

/// Answers HTML to browsers, and `{method, path, headers, rawHeaders}` under `Accept: application/json`.
pub struct Upstream {
    port: u16,
    _child: Child,
    _scratch: Scratch,
}

impl Upstream {
    pub async fn start() -> Self {
        Self::spawn("upstream.mjs", &[]).await
    }

    /// An upstream that verifies the identity assertion of each request with the keys at this URL.
    pub async fn verifying(keys_at: &str, issuer: &str, audience: &str) -> Self {
        Self::spawn("verifying-upstream.mjs", &[keys_at, issuer, audience]).await
    }

    async fn spawn(program: &str, arguments: &[&str]) -> Self {
        let scratch = Scratch::new("upstream");
        let port = ports::free();
        let mut command = Command::new("node");
        command.arg(peer_file(program)).arg(port.to_string()).args(arguments);
        let log = scratch.path().join("upstream.log");
        let mut child = Child::spawn("upstream", command, &log, OnFailure::Quiet);
        child.wait_for_line(START, |line| line.contains("listening").then_some(())).await;
        Self { port, _child: child, _scratch: scratch }
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}
