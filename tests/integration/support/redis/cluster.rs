//! A cluster of three primaries with a replica each.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::proxy::FaultProxy;
use super::super::resp::Reply;
use super::super::scratch::Scratch;
use super::super::{ports, wait};
use super::{DumpedRecord, Node};

const FORMATION_TIMEOUT: Duration = Duration::from_secs(30);
const PRIMARIES: usize = 3;
const NODES: usize = 6;
/// Each node has a different value.
const PER_NODE: &str = "per-node";
const KEYS_PER_MIGRATION: &str = "100";
const SLOTS: [(&str, &str); PRIMARIES] = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];

pub struct Cluster {
    /// The first three started as primaries; [`Cluster::primaries`] returns the current ones.
    pub nodes: Vec<Node>,
    /// The proxy of each node, if clients and replicas connect through proxies.
    pub proxies: Vec<FaultProxy>,
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
        Self::start_with(&[], false).await
    }

    /// Starts a cluster whose nodes are only reached through proxies, except for their cluster bus.
    pub async fn start_behind_proxies() -> Self {
        Self::start_with(&[], true).await
    }

    /// Starts a cluster whose records survive the end of its nodes.
    pub async fn start_persistent() -> Self {
        Self::start_with(&["--appendonly", "yes", "--appenddirname", PER_NODE], false).await
    }

    /// Starts a cluster with additional arguments for each node.
    async fn start_with(further: &[&str], behind_proxies: bool) -> Self {
        let scratch = Scratch::new("cluster");
        let (mut nodes, mut proxies) = (Vec::with_capacity(NODES), Vec::new());
        for index in 0..NODES {
            let (port, mut further) = (ports::free(), further.to_vec());
            if behind_proxies {
                proxies.push(FaultProxy::start(port).await);
            }
            let announced = proxies.last().map(|proxy| proxy.port().to_string());
            further.extend(announced.iter().flat_map(|announced| ["--cluster-announce-port", announced]));
            nodes.push(start_node(index, port, &scratch, &further).await);
        }
        let cluster = Self { nodes, proxies, _scratch: scratch };
        cluster.form().await;
        cluster.wait_ok().await;
        cluster
    }

    pub fn url(&self) -> String {
        let ports: Vec<u16> = if self.proxies.is_empty() {
            self.nodes[..PRIMARIES].iter().map(|node| node.port).collect()
        } else {
            self.proxies[..PRIMARIES].iter().map(FaultProxy::port).collect()
        };
        let hosts: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        format!("redis-cluster://{}", hosts.join(","))
    }

    /// The indices in `nodes` of the current primaries.
    pub async fn primaries(&self) -> Vec<usize> {
        let members = self.view().await;
        let owns = |node: &Node| members.iter().any(|m| m.port == node.port && m.is_primary());
        (0..self.nodes.len()).filter(|index| owns(&self.nodes[*index])).collect()
    }

    /// The index in `nodes` of the owner of the key's slot.
    pub async fn owner_of(&self, key: &str) -> usize {
        let Some(member) = self.first_running().await else {
            panic!("no node of the cluster answers");
        };
        let reply = member.call(&["CLUSTER", "KEYSLOT", key]).await;
        let slot: u16 = reply.text().parse().expect("a slot is a small number");
        let members = self.view().await;
        let owner = members.iter().find(|m| m.is_primary() && m.has_slot(slot));
        let port = owner.expect("every slot has an owner").port;
        self.nodes.iter().position(|node| node.port == port).expect("the cluster has no others")
    }

    /// The slot ranges of a primary.
    pub async fn slots_of(&self, primary: usize) -> Vec<(u16, u16)> {
        let port = self.nodes[primary].port;
        self.view().await.into_iter().find(|member| member.port == port).map(|member| member.slots).unwrap_or_default()
    }

    /// Sends SIGKILL to one of the primaries and returns its index.
    pub async fn kill_a_primary(&mut self) -> usize {
        let index = self.primaries().await[0];
        self.nodes[index].kill9();
        index
    }

    /// Sends SIGSTOP to one of the primaries and returns its index.
    pub async fn stop_a_primary(&mut self) -> usize {
        let index = self.primaries().await[0];
        self.nodes[index].stop();
        index
    }

    /// Sends SIGKILL to all nodes.
    pub fn kill_all(&mut self) {
        self.nodes.iter_mut().for_each(Node::kill9);
    }

    /// Starts all nodes again and waits until the cluster is complete.
    pub async fn restart_all(&mut self) {
        for node in &mut self.nodes {
            node.restart().await;
        }
        self.wait_ok().await;
    }

    /// Waits until every running node reports a complete cluster and every replica is linked.
    pub async fn wait_ok(&self) {
        wait::until("the cluster to be whole", FORMATION_TIMEOUT, async || {
            for node in &self.nodes {
                self.is_ok(node).await?.then_some(())?;
            }
            Some(())
        })
        .await;
    }

    /// Waits until the slots of the stopped node `old` have another owner and all other nodes know.
    pub async fn wait_for_failover(&self, old: usize) {
        wait::until("a failover", FORMATION_TIMEOUT, async || {
            let others = self.nodes.iter().enumerate().filter(|(index, _)| *index != old);
            for (_, node) in others {
                let view = self.members(node).await?;
                let primaries = view.iter().filter(|m| m.is_primary() && !m.slots.is_empty());
                let healthy = primaries.filter(|m| m.port != self.nodes[old].port).count();
                let ok = node.call(&["CLUSTER", "INFO"]).await.text();
                (healthy == PRIMARIES && ok.contains("cluster_state:ok")).then_some(())?;
            }
            Some(())
        })
        .await;
    }

    /// The index in `nodes` of a running replica.
    pub async fn a_replica(&self) -> usize {
        let members = self.view().await;
        let follows = |node: &Node| members.iter().any(|m| m.port == node.port && m.is_replica());
        self.nodes.iter().position(follows).expect("each primary has a replica")
    }

    /// Moves all occupied slots from the first primary to the second, key by key and while they are used, like `redis-cli
    /// --cluster reshard`. Returns the number of moved keys.
    pub async fn reshard(&self) -> usize {
        let members = self.view().await;
        let primaries = self.primaries().await;
        let [from, to] = [0, 1].map(|nth| {
            let port = self.nodes[primaries[nth]].port;
            members.iter().find(|member| member.port == port).expect("the view has all primaries")
        });
        let mut moved = 0;
        for slot in occupied_slots(&self.nodes[primaries[0]]).await {
            moved += self.move_slot(slot, from, to).await;
        }
        moved
    }

    async fn move_slot(&self, slot: u16, from: &Member, to: &Member) -> usize {
        let slot = slot.to_string();
        let [source, target] = [from, to].map(|member| self.node_at(member.port));
        target.call(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from.id]).await;
        source.call(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to.id]).await;
        let mut moved = 0;
        loop {
            let keys = source.call(&["CLUSTER", "GETKEYSINSLOT", &slot, KEYS_PER_MIGRATION]).await.array();
            if keys.is_empty() {
                break;
            }
            moved += keys.len();
            let port = to.port.to_string();
            let mut migrate =
                ["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"].map(|word| word.as_bytes().to_vec()).to_vec();
            migrate.extend(keys.into_iter().map(Reply::bytes));
            let migrate: Vec<&[u8]> = migrate.iter().map(Vec::as_slice).collect();
            let reply = source.call_bytes(&migrate).await;
            assert!(!matches!(reply, Reply::Error(_)), "slot {slot}: {reply:?}");
        }
        // The two nodes first: a node that learns of the move only by the cluster bus redirects for longer.
        for node in [target, source].into_iter().chain(self.primaries().await.into_iter().map(|index| &self.nodes[index])) {
            node.call(&["CLUSTER", "SETSLOT", &slot, "NODE", &to.id]).await;
        }
        moved
    }

    fn node_at(&self, port: u16) -> &Node {
        self.nodes.iter().find(|node| node.port == port).expect("the cluster has no others")
    }

    /// All keys of all primaries with their values.
    pub async fn dump(&self) -> Vec<DumpedRecord> {
        let mut dumped = Vec::new();
        for index in self.primaries().await {
            dumped.extend(self.nodes[index].dump().await);
        }
        dumped
    }

    /// Empties every primary.
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
        wait::until("the nodes to have met", FORMATION_TIMEOUT, async || self.all_met().await).await;
        for (replica, primary) in self.nodes[PRIMARIES..].iter().zip(&self.nodes) {
            let id = primary.call(&["CLUSTER", "MYID"]).await.text();
            replica.call(&["CLUSTER", "REPLICATE", &id]).await;
        }
    }

    async fn all_met(&self) -> Option<()> {
        for node in &self.nodes {
            let members = self.members(node).await?;
            let linked = members.iter().filter(|m| m.linked && !m.flags.contains("handshake"));
            (linked.count() == NODES).then_some(())?;
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
        self.members(node).await.expect("a node that answers knows the others")
    }

    /// The members as reported by this node, by the nodes' own ports.
    async fn members(&self, node: &Node) -> Option<Vec<Member>> {
        let Reply::Bytes(text) = node.try_call(&["CLUSTER", "NODES"]).await.ok()? else {
            return None;
        };
        let mut members: Vec<Member> = String::from_utf8_lossy(&text).lines().filter_map(Member::parse).collect();
        for member in &mut members {
            if let Some(index) = self.proxies.iter().position(|proxy| proxy.port() == member.port) {
                member.port = self.nodes[index].port;
            }
        }
        Some(members)
    }

    async fn is_ok(&self, node: &Node) -> Option<bool> {
        let info = node.try_call(&["CLUSTER", "INFO"]).await.ok()?.text();
        let members = self.members(node).await?;
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

    fn is_replica(&self) -> bool {
        self.flags.contains("slave") && !self.flags.contains("fail")
    }

    fn has_slot(&self, slot: u16) -> bool {
        self.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot))
    }
}

fn parse_range(word: &str) -> Option<(u16, u16)> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    Some((first.parse().ok()?, last.parse().ok()?))
}

async fn start_node(index: usize, port: u16, scratch: &Scratch, further: &[&str]) -> Node {
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
    let further = further.iter().map(|word| word.replace(PER_NODE, &format!("{name}.aof")));
    let arguments = arguments.concat().iter().map(ToString::to_string).chain(further).collect();
    Node::start(&name, port, scratch.path(), arguments).await
}

fn bus_port(node: &Node) -> String {
    let at = node.arguments.iter().position(|word| word == "--cluster-port");
    node.arguments[at.expect("start_node gives every node one") + 1].clone()
}

async fn occupied_slots(node: &Node) -> BTreeSet<u16> {
    let mut slots = BTreeSet::new();
    for key in node.keys().await {
        let slot = node.call_bytes(&[b"CLUSTER", b"KEYSLOT", &key]).await.text();
        slots.insert(slot.parse().expect("a slot is a small number"));
    }
    slots
}
