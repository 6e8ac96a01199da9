//! A cluster of three primaries with a replica each.

use std::time::Duration;

use super::super::resp::Reply;
use super::super::scratch::Scratch;
use super::super::{ports, wait};
use super::{Dumped, Node};

const FORMING: Duration = Duration::from_secs(30);
const PRIMARIES: usize = 3;
const NODES: usize = 6;
const SLOTS: [(&str, &str); PRIMARIES] = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];

pub struct Cluster {
    /// The first three began as primaries; [`Cluster::primaries`] says who they are now.
    pub nodes: Vec<Node>,
    _scratch: Scratch,
}

/// One line of CLUSTER NODES.
struct Member {
    id: String,
    port: u16,
    flags: String,
    linked: bool,
    slots: Vec<(u16, u16)>,
}

impl Cluster {
    pub async fn start() -> Self {
        let scratch = Scratch::new("cluster");
        let mut nodes = Vec::with_capacity(NODES);
        for index in 0..NODES {
            nodes.push(start_node(index, &scratch).await);
        }
        let cluster = Self { nodes, _scratch: scratch };
        cluster.form().await;
        cluster.wait_ok().await;
        cluster
    }

    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.nodes[..PRIMARIES].iter().map(Node::address).collect();
        format!("redis-cluster://{}", hosts.join(","))
    }

    /// The indices in `nodes` of those that own slots now.
    pub async fn primaries(&self) -> Vec<usize> {
        let members = self.view().await;
        let owns = |node: &Node| members.iter().any(|m| m.port == node.port && m.is_primary());
        (0..self.nodes.len()).filter(|index| owns(&self.nodes[*index])).collect()
    }

    /// The index in `nodes` of who owns the key's slot.
    pub async fn owner_of(&self, key: &str) -> usize {
        let Some(asked) = self.first_running().await else {
            panic!("no node of the cluster answers");
        };
        let reply = asked.call(&["CLUSTER", "KEYSLOT", key]).await;
        let slot: u16 = reply.text().parse().expect("a slot is a small number");
        let members = self.view().await;
        let owner = members.iter().find(|m| m.is_primary() && m.has_slot(slot));
        let port = owner.expect("every slot has an owner").port;
        self.nodes.iter().position(|node| node.port == port).expect("the cluster has no others")
    }

    /// SIGKILLs one of the primaries and gives its index.
    pub async fn kill_a_primary(&mut self) -> usize {
        let index = self.primaries().await[0];
        self.nodes[index].kill9();
        index
    }

    /// SIGSTOPs one of the primaries and gives its index.
    pub async fn stop_a_primary(&mut self) -> usize {
        let index = self.primaries().await[0];
        self.nodes[index].stop();
        index
    }

    /// Waits until every running node says that the cluster is whole and every replica is linked.
    pub async fn wait_ok(&self) {
        wait::until("the cluster to be whole", FORMING, async || {
            for node in &self.nodes {
                is_ok(node).await?.then_some(())?;
            }
            Some(())
        })
        .await;
    }

    /// Waits until the slots of the dead or stopped `old` have another owner and all the others
    /// know.
    pub async fn wait_for_failover(&self, old: usize) {
        wait::until("a failover", FORMING, async || {
            let others = self.nodes.iter().enumerate().filter(|(index, _)| *index != old);
            for (_, node) in others {
                let view = members(node).await?;
                let primaries = view.iter().filter(|m| m.is_primary() && !m.slots.is_empty());
                let healthy = primaries.filter(|m| m.port != self.nodes[old].port).count();
                let ok = node.call(&["CLUSTER", "INFO"]).await.text();
                (healthy == PRIMARIES && ok.contains("cluster_state:ok")).then_some(())?;
            }
            Some(())
        })
        .await;
    }

    /// Every key of every primary with its value.
    pub async fn dump(&self) -> Vec<Dumped> {
        let mut dumped = Vec::new();
        for index in self.primaries().await {
            dumped.extend(self.nodes[index].dump().await);
        }
        dumped
    }

    /// Empties every primary, as an operator's mistake would.
    pub async fn flush(&self) {
        for index in self.primaries().await {
            self.nodes[index].call(&["FLUSHALL"]).await;
        }
    }

    async fn form(&self) {
        for (index, node) in self.nodes.iter().enumerate() {
            node.call(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]).await;
        }
        for (node, (first, last)) in self.nodes.iter().zip(SLOTS) {
            node.call(&["CLUSTER", "ADDSLOTSRANGE", first, last]).await;
        }
        let port = self.nodes[0].port.to_string();
        let bus = bus_port(&self.nodes[0]);
        for node in &self.nodes[1..] {
            node.call(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await;
        }
        wait::until("the nodes to have met", FORMING, async || self.all_met().await).await;
        for (replica, primary) in self.nodes[PRIMARIES..].iter().zip(&self.nodes) {
            let id = primary.call(&["CLUSTER", "MYID"]).await.text();
            replica.call(&["CLUSTER", "REPLICATE", &id]).await;
        }
    }

    async fn all_met(&self) -> Option<()> {
        for node in &self.nodes {
            let members = members(node).await?;
            let met = members.iter().filter(|m| m.linked && !m.flags.contains("handshake"));
            (met.count() == NODES).then_some(())?;
        }
        Some(())
    }

    async fn first_running(&self) -> Option<&Node> {
        for node in &self.nodes {
            if node.try_call(&["PING"]).await.is_ok() {
                return Some(node);
            }
        }
        None
    }

    async fn view(&self) -> Vec<Member> {
        let node = self.first_running().await.expect("a node of the cluster answers");
        members(node).await.expect("a node that answers knows the others")
    }
}

impl Member {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let id = words.next()?.to_owned();
        let (_, port) = words.next()?.split_once('@')?.0.rsplit_once(':')?;
        let flags = words.next()?.to_owned();
        let linked = words.nth(4)? == "connected";
        let slots = words.filter_map(parse_range).collect();
        Some(Self { id, port: port.parse().ok()?, flags, linked, slots })
    }

    fn is_primary(&self) -> bool {
        self.flags.contains("master") && !self.flags.contains("fail")
    }

    fn has_slot(&self, slot: u16) -> bool {
        self.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot))
    }
}

fn parse_range(word: &str) -> Option<(u16, u16)> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    Some((first.parse().ok()?, last.parse().ok()?))
}

async fn start_node(index: usize, scratch: &Scratch) -> Node {
    let name = format!("node-{index}");
    let bus = ports::free().to_string();
    let config_file = format!("{name}.nodes");
    let arguments = [
        ["--cluster-enabled", "yes"],
        ["--cluster-config-file", &config_file],
        ["--cluster-node-timeout", "1500"],
        ["--cluster-port", &bus],
        ["--cluster-announce-bus-port", &bus],
    ];
    let arguments = arguments.concat().iter().map(ToString::to_string).collect();
    Node::start(&name, ports::free(), scratch.path(), arguments).await
}

fn bus_port(node: &Node) -> String {
    let at = node.arguments.iter().position(|word| word == "--cluster-port");
    node.arguments[at.expect("start_node gives every node one") + 1].clone()
}

async fn members(node: &Node) -> Option<Vec<Member>> {
    let Reply::Bytes(text) = node.try_call(&["CLUSTER", "NODES"]).await.ok()? else {
        return None;
    };
    Some(String::from_utf8_lossy(&text).lines().filter_map(Member::parse).collect())
}

async fn is_ok(node: &Node) -> Option<bool> {
    let info = node.try_call(&["CLUSTER", "INFO"]).await.ok()?.text();
    let members = members(node).await?;
    let primaries = members.iter().filter(|m| m.is_primary() && !m.slots.is_empty()).count();
    let replicas = members.iter().filter(|m| m.flags.contains("slave")).count();
    let synced = node.info("role").await? == "master" || node.info("master_link_status").await? == "up";
    Some(
        info.contains("cluster_state:ok")
            && primaries == PRIMARIES
            && replicas == NODES - PRIMARIES
            && members.iter().all(|m| m.linked && !m.flags.contains("fail"))
            && synced,
    )
}
