//! What in a Redis server's configuration could lose our records.

use std::fmt;

use fred::{
    prelude::*,
    types::{InfoKind, config::Options},
};

use super::connect::primaries;

/// A setting that an operator of keys and sessions will not want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hazard {
    /// Records may be evicted before they expire.
    Eviction { server: String, policy: String },
    /// A restart forgets everything.
    NotPersistent { server: String },
    /// The server did not tell.
    Unknown { server: String },
}

impl fmt::Display for Hazard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eviction { server, policy } => write!(
                f,
                "Redis {server} has maxmemory-policy {policy}: under memory pressure it evicts sessions and keys; set it to noeviction"
            ),
            Self::NotPersistent { server } => write!(
                f,
                "Redis {server} has neither append-only file nor snapshots: a restart forgets all sessions, people and keys; set appendonly yes"
            ),
            Self::Unknown { server } => {
                write!(
                    f,
                    "Redis {server} does not let this user look at INFO: make sure that it is persistent and evicts nothing"
                )
            }
        }
    }
}

pub(super) async fn look(client: &Client) -> Vec<Hazard> {
    let mut found = Vec::new();
    for node in primaries(client) {
        let server = node.as_ref().map_or_else(|| "server".to_owned(), ToString::to_string);
        let options = Options { cluster_node: node, ..Options::default() };
        let client = client.with_options(&options);
        let memory = client.info::<String>(Some(InfoKind::Memory)).await;
        let persistence = client.info::<String>(Some(InfoKind::Persistence)).await;
        // CONFIG is often denied; INFO then has to do.
        let save = client.config_get::<Vec<String>, _>("save").await.ok().and_then(|reply| reply.into_iter().nth(1));
        match (memory, persistence) {
            (Ok(memory), Ok(persistence)) => found.extend(judge(&server, &memory, &persistence, save.as_deref())),
            _ => found.push(Hazard::Unknown { server }),
        }
    }
    found
}

fn judge(server: &str, memory: &str, persistence: &str, save: Option<&str>) -> Vec<Hazard> {
    let mut found = Vec::new();
    if let Some(policy) = field(memory, "maxmemory_policy").filter(|policy| *policy != "noeviction") {
        found.push(Hazard::Eviction { server: server.to_owned(), policy: policy.to_owned() });
    }
    if field(persistence, "aof_enabled") == Some("0") && save == Some("") {
        found.push(Hazard::NotPersistent { server: server.to_owned() });
    }
    found
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eviction_and_missing_persistence_are_named() {
        let found = judge("a:1", "maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n", "aof_enabled:0\r\n", Some(""));
        assert_eq!(
            found,
            [
                Hazard::Eviction { server: "a:1".into(), policy: "allkeys-lru".into() },
                Hazard::NotPersistent { server: "a:1".into() }
            ]
        );
        assert_eq!(judge("a:1", "maxmemory_policy:noeviction", "aof_enabled:1", Some("")), []);
        assert_eq!(judge("a:1", "maxmemory_policy:noeviction", "aof_enabled:0", Some("3600 1")), []);
    }
}
