//! What in a Redis server's configuration could lose our records.

use std::fmt;

use fred::{
    prelude::*,
    types::{InfoKind, config::Options},
};

use super::connect::primaries;

/// A setting that an operator of keys and sessions will not want, and the servers that have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hazard {
    /// Records may be evicted before they expire.
    Eviction { policy: String, servers: Servers },
    /// A restart forgets everything.
    NotPersistent { servers: Servers },
    /// They did not tell all of it.
    Unknown { servers: Servers },
}

/// Never empty, and in the order in which they were looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers(pub Vec<String>);

impl fmt::Display for Hazard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eviction { policy, servers } => write!(
                f,
                "maxmemory-policy is {policy} on Redis {servers}: under memory pressure sessions and people are evicted; set it to noeviction"
            ),
            Self::NotPersistent { servers } => write!(
                f,
                "there is neither an append-only file nor snapshots on Redis {servers}: a restart forgets all sessions and people; set appendonly yes"
            ),
            Self::Unknown { servers } => write!(
                f,
                "this user may not see all settings (INFO, CONFIG GET) of Redis {servers}: make sure that it is persistent and evicts nothing"
            ),
        }
    }
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// Looks at every primary. Each hazard is named once, with all the servers that have it.
pub(super) async fn look(client: &Client) -> Vec<Hazard> {
    let mut found = Vec::new();
    for node in primaries(client) {
        let server = node.as_ref().map_or_else(|| "server".to_owned(), ToString::to_string);
        let options = Options { cluster_node: node, ..Options::default() };
        let client = client.with_options(&options);
        let told = Told {
            memory: client.info::<String>(Some(InfoKind::Memory)).await.ok(),
            persistence: client.info::<String>(Some(InfoKind::Persistence)).await.ok(),
            save: client.config_get::<Vec<String>, _>("save").await.ok().and_then(|reply| reply.into_iter().nth(1)),
        };
        told.hazards(&server).into_iter().for_each(|hazard| add(&mut found, hazard));
    }
    found
}

/// What a server told of itself. INFO may be denied, and CONFIG often is.
struct Told {
    memory: Option<String>,
    persistence: Option<String>,
    save: Option<String>,
}

impl Told {
    fn hazards(&self, server: &str) -> Vec<Hazard> {
        let servers = || Servers(vec![server.to_owned()]);
        let policy = self.memory.as_deref().and_then(|memory| field(memory, "maxmemory_policy"));
        let appends = self.persistence.as_deref().and_then(|persistence| field(persistence, "aof_enabled"));
        let eviction = policy.filter(|policy| *policy != "noeviction");
        let mut found: Vec<Hazard> =
            eviction.map(|policy| Hazard::Eviction { policy: policy.to_owned(), servers: servers() }).into_iter().collect();
        match (appends, self.save.as_deref()) {
            (Some("0"), Some("")) => found.push(Hazard::NotPersistent { servers: servers() }),
            (Some("0"), None) | (None, _) => found.push(Hazard::Unknown { servers: servers() }),
            _ if policy.is_none() => found.push(Hazard::Unknown { servers: servers() }),
            _ => {}
        }
        found
    }
}

fn add(found: &mut Vec<Hazard>, hazard: Hazard) {
    let same = found.iter_mut().find_map(|known| match (known, &hazard) {
        (Hazard::Eviction { policy, servers }, Hazard::Eviction { policy: other, .. }) if policy == other => Some(servers),
        (Hazard::NotPersistent { servers }, Hazard::NotPersistent { .. }) => Some(servers),
        (Hazard::Unknown { servers }, Hazard::Unknown { .. }) => Some(servers),
        _ => None,
    });
    match same {
        None => found.push(hazard),
        Some(servers) => servers.0.append(&mut hazard.into_servers().0),
    }
}

impl Hazard {
    fn into_servers(self) -> Servers {
        match self {
            Self::Eviction { servers, .. } | Self::NotPersistent { servers } | Self::Unknown { servers } => servers,
        }
    }
}

pub(super) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(memory: &str, persistence: &str, save: Option<&str>) -> Vec<Hazard> {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Told { memory: text(memory), persistence: text(persistence), save: save.map(str::to_owned) }.hazards("a:1")
    }

    fn servers(names: &[&str]) -> Servers {
        Servers(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn eviction_and_missing_persistence_are_named() {
        let found = judge("maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n", "aof_enabled:0\r\n", Some(""));
        let servers = servers(&["a:1"]);
        assert_eq!(
            found,
            [Hazard::Eviction { policy: "allkeys-lru".into(), servers: servers.clone() }, Hazard::NotPersistent { servers }]
        );
        assert_eq!(judge("maxmemory_policy:noeviction", "aof_enabled:1", Some("")), []);
        assert_eq!(judge("maxmemory_policy:noeviction", "aof_enabled:0", Some("3600 1")), []);
    }

    #[test]
    fn what_is_not_told_is_unknown_unless_it_does_not_matter() {
        let unknown = [Hazard::Unknown { servers: servers(&["a:1"]) }];
        assert_eq!(judge("maxmemory_policy:noeviction", "aof_enabled:0", None), unknown);
        assert_eq!(judge("", "", None), unknown);
        assert_eq!(judge("", "aof_enabled:1", None), unknown);
        assert_eq!(judge("maxmemory_policy:noeviction", "aof_enabled:1", None), []);
    }

    #[test]
    fn each_kind_is_named_once_with_all_its_servers() {
        let mut found = Vec::new();
        for (server, policy) in [("a:1", "allkeys-lru"), ("b:2", "volatile-ttl"), ("c:3", "allkeys-lru")] {
            add(&mut found, Hazard::NotPersistent { servers: servers(&[server]) });
            add(&mut found, Hazard::Eviction { policy: policy.into(), servers: servers(&[server]) });
        }
        assert_eq!(found.len(), 3);
        assert_eq!(found[0], Hazard::NotPersistent { servers: servers(&["a:1", "b:2", "c:3"]) });
        assert_eq!(found[1], Hazard::Eviction { policy: "allkeys-lru".into(), servers: servers(&["a:1", "c:3"]) });
        assert!(found[1].to_string().contains("Redis a:1, c:3:"));
    }
}
