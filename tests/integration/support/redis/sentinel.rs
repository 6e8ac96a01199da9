//! A primary, a replica and three sentinels that monitor them.

use std::process::Command;
use std::time::Duration;

use super::super::process::{Child, OnFailure};
use super::super::resp::Reply;
use super::super::scratch::Scratch;
use super::super::{ports, resp, wait};
use super::Node;

pub const SERVICE: &str = "vestibule";
const FORMATION_TIMEOUT: Duration = Duration::from_secs(20);

pub struct Sentinel {
    /// The first started as the primary; [`Sentinel::primary`] returns the current one.
    pub nodes: Vec<Node>,
    sentinels: Vec<(u16, Child)>,
    _scratch: Scratch,
}

impl Sentinel {
    pub async fn start() -> Self {
        let scratch = Scratch::new("sentinel");
        let primary = Node::start("primary", ports::free(), scratch.path(), vec![]).await;
        let replica_of = ["--replicaof", "127.0.0.1", &primary.port.to_string()];
        let arguments = replica_of.iter().map(ToString::to_string).collect();
        let replica = Node::start("replica", ports::free(), scratch.path(), arguments).await;
        let sentinels = (0..3).map(|_| sentinel(&scratch, primary.port)).collect();
        let set = Self { nodes: vec![primary, replica], sentinels, _scratch: scratch };
        set.wait_until_formed().await;
        set
    }

    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.sentinels.iter().map(|(port, _)| format!("127.0.0.1:{port}")).collect();
        format!("redis-sentinel://{}/{SERVICE}", hosts.join(","))
    }

    /// The index in `nodes` of the primary according to the sentinels.
    pub async fn primary(&self) -> usize {
        wait::until("a primary", FORMATION_TIMEOUT, async || {
            let port = self.primary_port().await?;
            self.nodes.iter().position(|node| node.port == port)
        })
        .await
    }

    /// Sends SIGKILL to the primary and returns its index.
    pub async fn kill_primary(&mut self) -> usize {
        let index = self.primary().await;
        self.nodes[index].kill9();
        index
    }

    /// Sends SIGSTOP to the primary and returns its index.
    pub async fn stop_primary(&mut self) -> usize {
        let index = self.primary().await;
        self.nodes[index].stop();
        index
    }

    /// Waits until the sentinels name another primary than `old` and it accepts writes.
    pub async fn wait_for_failover(&self, old: usize) -> usize {
        wait::until("a failover", FORMATION_TIMEOUT, async || {
            let index = self.primary().await;
            let role = self.nodes[index].info("role").await?;
            (index != old && role == "master").then_some(index)
        })
        .await
    }

    async fn primary_port(&self) -> Option<u16> {
        let question: [&[u8]; 3] = [b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", SERVICE.as_bytes()];
        let reply = resp::call(self.sentinels[0].0, &question).await.ok()?;
        reply.array().get(1)?.text().parse().ok()
    }

    async fn wait_until_formed(&self) {
        wait::until("the sentinels to know each other", FORMATION_TIMEOUT, async || {
            for (port, _) in &self.sentinels {
                formed(*port).await.filter(|formed| *formed)?;
            }
            Some(())
        })
        .await;
    }
}

fn sentinel(scratch: &Scratch, primary: u16) -> (u16, Child) {
    let port = ports::free();
    let name = format!("sentinel-{port}");
    let config = format!(
        "port {port}\n\
         bind 127.0.0.1\n\
         dir {directory}\n\
         sentinel monitor {SERVICE} 127.0.0.1 {primary} 2\n\
         sentinel down-after-milliseconds {SERVICE} 1000\n\
         sentinel failover-timeout {SERVICE} 3000\n",
        directory = scratch.path().display(),
    );
    let file = scratch.write(&format!("{name}.conf"), &config);
    let mut command = Command::new("redis-server");
    command.arg(file).arg("--sentinel");
    let log = scratch.path().join(format!("{name}.log"));
    (port, Child::spawn(&name, command, &log, OnFailure::Quiet))
}

/// True if this sentinel knows the replica and the other two sentinels.
async fn formed(port: u16) -> Option<bool> {
    let question: [&[u8]; 3] = [b"SENTINEL", b"MASTER", SERVICE.as_bytes()];
    let Reply::Array(fields) = resp::call(port, &question).await.ok()? else {
        return None;
    };
    let number = |name: &str| {
        let at = fields.iter().position(|field| field.text() == name)?;
        fields.get(at + 1)?.text().parse::<u32>().ok()
    };
    Some(number("num-slaves")? == 1 && number("num-other-sentinels")? == 2)
}
