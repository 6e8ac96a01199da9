//! Real Redis servers: a single one, one with TLS and an ACL, a Sentinel set-up, and a cluster of six nodes.

pub mod cluster;
pub mod secured_redis;
pub mod sentinel;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub use cluster::Cluster;
pub use secured_redis::{SecuredOptions, SecuredRedis};
pub use sentinel::Sentinel;

use super::process::{Child, OnFailure};
use super::resp::{self, Reply};
use super::scratch::Scratch;
use super::{ports, wait};

const START: Duration = Duration::from_secs(10);

/// A key and all parts of its value: a string's bytes, or a hash's fields and values.
pub type DumpedRecord = (Vec<u8>, Vec<Vec<u8>>);

/// A `redis-server` without persistence.
pub struct Node {
    port: u16,
    name: String,
    arguments: Vec<String>,
    directory: std::path::PathBuf,
    child: Child,
}

/// One server without authentication.
pub struct Standalone {
    pub node: Node,
    _scratch: Scratch,
}

#[derive(Default)]
pub struct Options {
    /// A free port if `None`.
    pub port: Option<u16>,
    /// Arguments of redis-server: `["--maxmemory-policy", "noeviction"]`.
    pub arguments: Vec<String>,
}

impl Standalone {
    pub async fn start(options: Options) -> Self {
        let scratch = Scratch::new("redis");
        let port = options.port.unwrap_or_else(ports::free);
        let node = Node::start("redis", port, scratch.path(), options.arguments).await;
        Self { node, _scratch: scratch }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.node.port)
    }
}

impl Node {
    async fn start(name: &str, port: u16, directory: &Path, arguments: Vec<String>) -> Self {
        let child = spawn(name, port, directory, &arguments);
        let mut node = Self { port, name: name.to_owned(), arguments, directory: directory.to_owned(), child };
        node.wait_until_it_answers().await;
        node
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn log(&self) -> String {
        self.child.log()
    }

    pub fn kill9(&mut self) {
        self.child.kill9();
    }

    pub fn stop(&mut self) {
        self.child.stop();
    }

    pub fn cont(&mut self) {
        self.child.cont();
    }

    pub fn is_running(&mut self) -> bool {
        self.child.has_exited().is_none()
    }

    /// Starts the server again on its port; it is empty.
    pub async fn restart(&mut self) {
        self.child.kill9();
        self.child = spawn(&self.name, self.port, &self.directory, &self.arguments);
        self.wait_until_it_answers().await;
    }

    /// Sends one command. Panics on an error reply or a missing answer.
    pub async fn call(&self, arguments: &[&str]) -> Reply {
        match self.try_call(arguments).await {
            Ok(Reply::Error(message)) => panic!("{}: {arguments:?}: {message}", self.name),
            Ok(reply) => reply,
            Err(error) => panic!("{}: {arguments:?}: {error}", self.name),
        }
    }

    pub async fn try_call(&self, arguments: &[&str]) -> std::io::Result<Reply> {
        let arguments: Vec<&[u8]> = arguments.iter().map(|text| text.as_bytes()).collect();
        resp::call(self.port, &arguments).await
    }

    /// Like [`Node::call`], for keys and values that are not text.
    pub async fn call_bytes(&self, arguments: &[&[u8]]) -> Reply {
        resp::call(self.port, arguments).await.unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// Runs `redis-cli` with these arguments and returns its output.
    pub fn cli(&self, arguments: &[&str]) -> String {
        cli(&["-p", &self.port.to_string()], arguments)
    }

    /// A field of INFO: `info("role")` is `master` or `slave`.
    pub async fn info(&self, field: &str) -> Option<String> {
        let text = self.try_call(&["INFO"]).await.ok()?.text();
        text.lines().find_map(|line| line.split_once(':').filter(|(name, _)| *name == field).map(|(_, value)| value.to_owned()))
    }

    /// All keys with their values.
    pub async fn dump(&self) -> Vec<DumpedRecord> {
        let mut dumped = Vec::new();
        for key in self.keys().await {
            let parts = self.parts(&key).await;
            dumped.push((key, parts));
        }
        dumped
    }

    pub async fn keys(&self) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        let mut cursor = "0".to_owned();
        loop {
            let reply = self.call(&["SCAN", &cursor, "COUNT", "1000"]).await;
            let [next, found] = <[Reply; 2]>::try_from(reply.array()).expect("SCAN answers a pair");
            keys.extend(found.array().into_iter().map(Reply::bytes));
            cursor = next.text();
            if cursor == "0" {
                return keys;
            }
        }
    }

    async fn parts(&self, key: &[u8]) -> Vec<Vec<u8>> {
        let kind = self.call_bytes(&[b"TYPE", key]).await.text();
        let command: &[&[u8]] = match kind.as_str() {
            "string" => &[b"GET", key],
            "hash" => &[b"HGETALL", key],
            "set" => &[b"SMEMBERS", key],
            "zset" => &[b"ZRANGE", key, b"0", b"-1"],
            "list" => &[b"LRANGE", key, b"0", b"-1"],
            // The key expired between the two commands.
            "none" => return Vec::new(),
            other => panic!("no test expects a {other}"),
        };
        match self.call_bytes(command).await {
            Reply::Array(items) => items.into_iter().map(Reply::bytes).collect(),
            Reply::Bytes(bytes) => vec![bytes],
            _ => Vec::new(),
        }
    }

    async fn wait_until_it_answers(&mut self) {
        let what = format!("{} to answer", self.name);
        wait::until(&what, START, async || {
            let exited = self.child.has_exited();
            assert!(exited.is_none(), "{} ended:\n{}", self.name, self.child.log());
            // With authentication or TLS the answer is an error, which also shows that the server is up.
            self.try_call(&["PING"]).await.ok()
        })
        .await;
    }
}

fn spawn(name: &str, port: u16, directory: &Path, arguments: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no"])
        .args(["--repl-diskless-sync-delay", "0"])
        .arg("--dir")
        .arg(directory)
        .args(["--dbfilename", &format!("{name}.rdb")])
        .args(arguments);
    let log = directory.join(format!("{name}.log"));
    Child::spawn(name, command, &log, OnFailure::Quiet)
}

fn cli(connection: &[&str], arguments: &[&str]) -> String {
    let output = Command::new("redis-cli")
        .args(connection)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("redis-cli doesn't start ({error}): run `make peers`"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "redis-cli {arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}
