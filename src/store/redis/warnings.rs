//! Warns about settings of Redis servers that could lose records.

use std::fmt;

use fred::{
    prelude::*,
    types::{InfoKind, config::Options},
};

use super::connect::primaries;

/// A setting that could lose sessions and keys, with the servers that have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigurationWarning {
    /// Records may be evicted before they expire.
    Eviction { policy: String, servers: Servers },
    /// A restart loses all records.
    NotPersistent { servers: Servers },
    /// The settings could not be read.
    Unknown { servers: Servers },
}

/// Names of servers, in the order of inspection. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers(pub Vec<String>);

impl fmt::Display for ConfigurationWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eviction { policy, servers } => write!(
                f,
                "maxmemory-policy is {policy} on Redis {servers}: sessions and users are evicted under memory pressure; set it to noeviction"
            ),
            Self::NotPersistent { servers } => write!(
                f,
                "Redis {servers} has neither an append-only file nor snapshots: a restart loses all sessions and users; set appendonly yes"
            ),
            Self::Unknown { servers } => write!(
                f,
                "not permitted to read the settings (INFO, CONFIG GET) of Redis {servers}: make sure that it is persistent and evicts nothing; without INFO, logins are not refused when its memory is nearly full"
            ),
        }
    }
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// Inspects every primary. Returns each warning once, with all servers that it applies to.
pub(super) async fn inspect(client: &Client) -> Vec<ConfigurationWarning> {
    let mut found = Vec::new();
    for node in primaries(client) {
        let server = node.as_ref().map_or_else(|| "server".to_owned(), ToString::to_string);
        let options = Options { cluster_node: node, ..Options::default() };
        let client = client.with_options(&options);
        let info = ServerInfo {
            memory: client.info::<String>(Some(InfoKind::Memory)).await.ok(),
            persistence: client.info::<String>(Some(InfoKind::Persistence)).await.ok(),
            save: client.config_get::<Vec<String>, _>("save").await.ok().and_then(|reply| reply.into_iter().nth(1)),
        };
        info.warnings(&server).into_iter().for_each(|warning| add(&mut found, warning));
    }
    found
}

/// The settings of a server. INFO may not be permitted, and CONFIG often is not.
struct ServerInfo {
    memory: Option<String>,
    persistence: Option<String>,
    save: Option<String>,
}

impl ServerInfo {
    fn warnings(&self, server: &str) -> Vec<ConfigurationWarning> {
        let servers = || Servers(vec![server.to_owned()]);
        let policy = self.memory.as_deref().and_then(|memory| field(memory, "maxmemory_policy"));
        let appends = self.persistence.as_deref().and_then(|persistence| field(persistence, "aof_enabled"));
        let eviction = policy.filter(|policy| *policy != "noeviction");
        let mut found: Vec<ConfigurationWarning> = eviction
            .map(|policy| ConfigurationWarning::Eviction { policy: policy.to_owned(), servers: servers() })
            .into_iter()
            .collect();
        match (appends, self.save.as_deref()) {
            (Some("0"), Some("")) => found.push(ConfigurationWarning::NotPersistent { servers: servers() }),
            (Some("0"), None) | (None, _) => found.push(ConfigurationWarning::Unknown { servers: servers() }),
            _ if policy.is_none() => found.push(ConfigurationWarning::Unknown { servers: servers() }),
            _ => {}
        }
        found
    }
}

fn add(found: &mut Vec<ConfigurationWarning>, warning: ConfigurationWarning) {
    let same = found.iter_mut().find_map(|known| match (known, &warning) {
        (ConfigurationWarning::Eviction { policy, servers }, ConfigurationWarning::Eviction { policy: other, .. })
            if policy == other =>
        {
            Some(servers)
        }
        (ConfigurationWarning::NotPersistent { servers }, ConfigurationWarning::NotPersistent { .. }) => Some(servers),
        (ConfigurationWarning::Unknown { servers }, ConfigurationWarning::Unknown { .. }) => Some(servers),
        _ => None,
    });
    match same {
        None => found.push(warning),
        Some(servers) => servers.0.append(&mut warning.into_servers().0),
    }
}

impl ConfigurationWarning {
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

    fn warnings(memory: &str, persistence: &str, save: Option<&str>) -> Vec<ConfigurationWarning> {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        ServerInfo { memory: text(memory), persistence: text(persistence), save: save.map(str::to_owned) }.warnings("a:1")
    }

    fn servers(names: &[&str]) -> Servers {
        Servers(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn eviction_and_missing_persistence_are_named() {
        let found = warnings("maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n", "aof_enabled:0\r\n", Some(""));
        let servers = servers(&["a:1"]);
        assert_eq!(
            found,
            [
                ConfigurationWarning::Eviction { policy: "allkeys-lru".into(), servers: servers.clone() },
                ConfigurationWarning::NotPersistent { servers }
            ]
        );
        assert_eq!(warnings("maxmemory_policy:noeviction", "aof_enabled:1", Some("")), []);
        assert_eq!(warnings("maxmemory_policy:noeviction", "aof_enabled:0", Some("3600 1")), []);
    }

    #[test]
    fn settings_that_cannot_be_read_are_unknown_unless_they_do_not_matter() {
        let unknown = [ConfigurationWarning::Unknown { servers: servers(&["a:1"]) }];
        assert_eq!(warnings("maxmemory_policy:noeviction", "aof_enabled:0", None), unknown);
        assert_eq!(warnings("", "", None), unknown);
        assert_eq!(warnings("", "aof_enabled:1", None), unknown);
        assert_eq!(warnings("maxmemory_policy:noeviction", "aof_enabled:1", None), []);
    }

    #[test]
    fn each_warning_is_returned_once_with_all_its_servers() {
        let mut found = Vec::new();
        for (server, policy) in [("a:1", "allkeys-lru"), ("b:2", "volatile-ttl"), ("c:3", "allkeys-lru")] {
            add(&mut found, ConfigurationWarning::NotPersistent { servers: servers(&[server]) });
            add(&mut found, ConfigurationWarning::Eviction { policy: policy.into(), servers: servers(&[server]) });
        }
        assert_eq!(found.len(), 3);
        assert_eq!(found[0], ConfigurationWarning::NotPersistent { servers: servers(&["a:1", "b:2", "c:3"]) });
        assert_eq!(found[1], ConfigurationWarning::Eviction { policy: "allkeys-lru".into(), servers: servers(&["a:1", "c:3"]) });
        assert!(found[1].to_string().contains("Redis a:1, c:3:"));
    }
}
