//! Creates Redis clients: topology, timeouts, TLS and credentials.

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use fred::{
    prelude::*,
    types::RespVersion,
    types::config::{
        ClusterDiscoveryPolicy, CredentialProvider, ReconnectError, Server, ServerConfig, TcpConfig, TlsConfig,
        UnresponsiveConfig,
    },
};

use tokio::task::JoinHandle;

use super::{super::Error as StoreError, RedisSettings, RedisUrl, Topology};
use crate::secret::SecretCell;

/// The capacity of the event queues of a client that only sends commands. Its events matter only while it connects.
const EVENTS_KEPT: usize = 32;

/// The pause before a new client replaces one that has stopped.
const REPLACE_PAUSE: Duration = Duration::from_millis(50);

/// The settings of a client, with the certificates and passwords that change while the process runs.
#[derive(Clone)]
pub struct Connection {
    pub settings: RedisSettings,
    /// `None` without TLS.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    pub password: Option<Arc<SecretCell>>,
    pub sentinel_password: Option<Arc<SecretCell>>,
}

/// The credentials for a server. The password is read at every connection, so that a changed password is used.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    pub username: Option<String>,
    pub password: Option<Arc<SecretCell>>,
}

impl Credentials {
    fn are_given(&self) -> bool {
        self.username.is_some() || self.password.is_some()
    }

    /// Returns the current credentials. Any password is valid for a user without one (`nopass`).
    pub(super) fn now(&self) -> (Option<String>, Option<String>) {
        let password = self.password.as_ref().map(|password| password.expose());
        (self.username.clone(), password.or_else(|| self.username.as_ref().map(|_| String::new())))
    }
}

/// Provides the credentials of Redis servers and of Sentinels.
#[derive(Debug)]
struct ServerCredentials {
    redis: Credentials,
    sentinel: Credentials,
    /// Ports identify the Sentinels: discovered ones may have other host names, but not other ports.
    sentinel_ports: Vec<u16>,
}

#[async_trait]
impl CredentialProvider for ServerCredentials {
    async fn fetch(&self, server: Option<&Server>) -> Result<(Option<String>, Option<String>), Error> {
        let of_sentinel = server.is_some_and(|server| self.sentinel_ports.contains(&server.port));
        Ok(if of_sentinel { self.sentinel.now() } else { self.redis.now() })
    }
}

impl Connection {
    /// Creates a client that is not connected yet. Its event queues hold `events_kept` events each, which are allocated at once.
    pub(super) fn client(&self, events_kept: usize) -> Result<Client, Error> {
        let config = Config {
            server: self.server(),
            version: RespVersion::RESP3,
            database: self.database(),
            // The first connection retries in the same way as later ones.
            fail_fast: false,
            tls: self.tls.as_ref().map(|tls| TlsConfig::from(rustls::ClientConfig::clone(tls))),
            credential_provider: self.credential_provider(),
            ..Config::default()
        };
        Builder::from_config(config)
            .set_policy(ReconnectPolicy::new_exponential(0, 50, 250, 2))
            .with_performance_config(|performance| {
                performance.default_command_timeout = self.settings.command_timeout;
                performance.broadcast_channel_capacity = events_kept;
            })
            .with_connection_config(|connection| {
                connection.connection_timeout = Duration::from_secs(1);
                connection.internal_command_timeout = Duration::from_secs(1);
                connection.max_command_buffer_len = 10_000;
                connection.max_command_attempts = 5;
                connection.reconnect_on_auth_error = true;
                connection.reconnect_errors = vec![
                    ReconnectError::ClusterDown,
                    ReconnectError::Loading,
                    ReconnectError::MasterDown,
                    ReconnectError::ReadOnly,
                ];
                connection.tcp = TcpConfig { nodelay: Some(true), ..TcpConfig::default() };
                connection.unresponsive =
                    UnresponsiveConfig { max_timeout: Some(Duration::from_secs(3)), interval: Duration::from_secs(1) };
            })
            .build()
    }

    /// The credentials for Redis servers.
    pub fn credentials(&self) -> Credentials {
        Credentials { username: self.settings.username.clone(), password: self.password.clone() }
    }

    /// The credentials for Sentinels.
    pub fn sentinel_credentials(&self) -> Credentials {
        Credentials { username: self.settings.sentinel_username.clone(), password: self.sentinel_password.clone() }
    }

    /// Not used with a cluster, which has a single database.
    pub(super) fn database(&self) -> Option<u8> {
        Some(self.settings.url.database).filter(|database| *database != 0)
    }

    fn credential_provider(&self) -> Option<Arc<dyn CredentialProvider>> {
        let RedisUrl { topology, hosts, .. } = &self.settings.url;
        let (sentinel, sentinel_ports) = match topology {
            Topology::Sentinel { .. } => (self.sentinel_credentials(), hosts.iter().map(|(_, port)| *port).collect()),
            _ => (Credentials::default(), Vec::new()),
        };
        let redis = self.credentials();
        let given = redis.are_given() || sentinel.are_given();
        given.then(|| Arc::new(ServerCredentials { redis, sentinel, sentinel_ports }) as Arc<_>)
    }

    fn server(&self) -> ServerConfig {
        let RedisUrl { topology, hosts, .. } = &self.settings.url;
        let mut hosts: Vec<Server> = hosts.iter().map(|(host, port)| Server::new(host.as_str(), *port)).collect();
        match topology {
            Topology::Standalone => ServerConfig::Centralized { server: hosts.swap_remove(0) },
            Topology::Cluster => ServerConfig::Clustered { hosts, policy: ClusterDiscoveryPolicy::UseCache },
            Topology::Sentinel { service } => {
                ServerConfig::Sentinel { hosts, service_name: service.clone(), username: None, password: None }
            }
        }
    }
}

/// A client that is replaced by a new one when it has stopped. A stopped client that reconnects would delay commands, since
/// its count of pending commands is wrong.
pub(super) struct PersistentClient {
    current: Arc<ArcSwap<Client>>,
    task: JoinHandle<()>,
}

impl PersistentClient {
    /// Starts to connect.
    pub(super) fn start(connection: &Connection) -> Result<Self, Error> {
        let current = Arc::new(ArcSwap::from_pointee(connection.client(EVENTS_KEPT)?));
        let task = tokio::spawn(keep_connected(connection.clone(), Arc::clone(&current)));
        Ok(Self { current, task })
    }

    pub(super) fn now(&self) -> Client {
        Client::clone(&self.current.load())
    }
}

impl Drop for PersistentClient {
    fn drop(&mut self) {
        self.task.abort();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let client = self.now();
            runtime.spawn(async move { client.quit().await });
        }
    }
}

async fn keep_connected(connection: Connection, current: Arc<ArcSwap<Client>>) {
    loop {
        let client = Client::clone(&current.load());
        // On shutdown this task is aborted first, so every end of the client calls for a new one.
        let ended = client.connect().await.map_err(|error| error.to_string());
        let cause = ended.and_then(|ended| ended.map_err(|error| error.to_string())).err();
        tracing::warn!(error = cause, "redis client ended; starting another client");
        // Replaced before the pause, since commands to the old client would time out.
        match connection.client(EVENTS_KEPT) {
            Ok(another) => current.store(Arc::new(another)),
            Err(error) => tracing::error!(%error, "redis client not created"),
        }
        tokio::time::sleep(REPLACE_PAUSE).await;
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Returns the current assignment of a cluster's slots to primaries; empty without a cluster.
pub(super) async fn layout(client: &Client, timeout: Duration) -> Result<String, StoreError> {
    if client.is_clustered() {
        // Without a timeout this would retry for as long as the client reconnects.
        let synced = tokio::time::timeout(timeout, client.sync_cluster()).await;
        synced
            .map_err(|_| StoreError::Unavailable("reading the cluster's layout timed out".to_owned()))?
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
    }
    let Some(routing) = client.cached_cluster_state() else {
        return match client.is_clustered() {
            true => Err(StoreError::Unavailable("the cluster's layout is not known yet".to_owned())),
            false => Ok(String::new()),
        };
    };
    let ranges = routing.slots().iter();
    Ok(ranges.map(|range| format!("{}-{} {}\n", range.start, range.end, range.primary)).collect())
}

/// Returns every primary of a cluster; a single `None` without a cluster.
pub(super) fn primaries(client: &Client) -> Vec<Option<Server>> {
    match client.cached_cluster_state() {
        Some(routing) => routing.unique_primary_nodes().into_iter().map(Some).collect(),
        None => vec![None],
    }
}
