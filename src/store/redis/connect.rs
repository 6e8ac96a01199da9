//! How clients of Redis are made: topology, deadlines, TLS, and credentials that may change.

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

use super::super::Error as StoreError;
use crate::secret::SecretCell;

/// Of a client that only sends commands: nobody listens to its events but while it connects.
const EVENTS_KEPT: usize = 32;

/// Before another client connects in the place of one that fred has given up.
const BEFORE_ANOTHER: Duration = Duration::from_millis(50);

/// Everything that a client needs to know.
#[derive(Clone)]
pub struct Connection {
    pub topology: Topology,
    pub hosts: Vec<(String, u16)>,
    /// Only standalone and Sentinel have databases.
    pub database: Option<u8>,
    pub tls: Option<Arc<rustls::ClientConfig>>,
    pub credentials: Credentials,
    pub prefix: String,
    pub command_timeout: Duration,
}

#[derive(Debug, Clone)]
pub enum Topology {
    Standalone,
    /// The hosts are Sentinels, which have credentials of their own.
    Sentinel {
        service: String,
        credentials: Credentials,
    },
    Cluster,
}

/// Who the server knows us as. The password is read at every connection, so that a new one is found.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    pub username: Option<String>,
    pub password: Option<Arc<SecretCell>>,
}

impl Credentials {
    fn are_given(&self) -> bool {
        self.username.is_some() || self.password.is_some()
    }

    /// A user without a password (`nopass`) is authenticated with any.
    fn now(&self) -> (Option<String>, Option<String>) {
        let password = self.password.as_ref().map(|password| password.expose());
        (self.username.clone(), password.or_else(|| self.username.as_ref().map(|_| String::new())))
    }
}

/// Tells each server the credentials that it knows.
#[derive(Debug)]
struct ByServer {
    redis: Credentials,
    sentinel: Credentials,
    /// Sentinels that are discovered may have other names than the configured ones, but not other ports.
    sentinel_ports: Vec<u16>,
}

#[async_trait]
impl CredentialProvider for ByServer {
    async fn fetch(&self, server: Option<&Server>) -> Result<(Option<String>, Option<String>), Error> {
        let of_sentinel = server.is_some_and(|server| self.sentinel_ports.contains(&server.port));
        Ok(if of_sentinel { self.sentinel.now() } else { self.redis.now() })
    }
}

impl Connection {
    /// A client that is not connected yet. So many events of each kind are kept for who is slow to hear them; room for all
    /// of them is made at once.
    pub(super) fn client(&self, events_kept: usize) -> Result<Client, Error> {
        let config = Config {
            server: self.server(),
            version: RespVersion::RESP3,
            database: self.database,
            // The first connection is as patient as every later one.
            fail_fast: false,
            tls: self.tls.as_ref().map(|tls| TlsConfig::from(rustls::ClientConfig::clone(tls))),
            credential_provider: self.credential_provider(),
            ..Config::default()
        };
        Builder::from_config(config)
            .set_policy(ReconnectPolicy::new_exponential(0, 50, 250, 2))
            .with_performance_config(|performance| {
                performance.default_command_timeout = self.command_timeout;
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

    fn credential_provider(&self) -> Option<Arc<dyn CredentialProvider>> {
        let (sentinel, sentinel_ports) = match &self.topology {
            Topology::Sentinel { credentials, .. } => (credentials.clone(), self.hosts.iter().map(|(_, port)| *port).collect()),
            _ => (Credentials::default(), Vec::new()),
        };
        let given = self.credentials.are_given() || sentinel.are_given();
        given.then(|| Arc::new(ByServer { redis: self.credentials.clone(), sentinel, sentinel_ports }) as Arc<_>)
    }

    fn server(&self) -> ServerConfig {
        let mut hosts: Vec<Server> = self.hosts.iter().map(|(host, port)| Server::new(host.as_str(), *port)).collect();
        match &self.topology {
            Topology::Standalone => ServerConfig::Centralized { server: hosts.swap_remove(0) },
            Topology::Cluster => ServerConfig::Clustered { hosts, policy: ClusterDiscoveryPolicy::UseCache },
            Topology::Sentinel { service, .. } => {
                ServerConfig::Sentinel { hosts, service_name: service.clone(), username: None, password: None }
            }
        }
    }
}

/// A client in whose place another comes when fred has given it up. The same one, connected again, would hold commands
/// back: its count of those that wait is wrong from then on.
pub(super) struct LastingClient {
    current: Arc<ArcSwap<Client>>,
    task: JoinHandle<()>,
}

impl LastingClient {
    /// Begins to connect.
    pub(super) fn start(connection: &Connection) -> Result<Self, Error> {
        let current = Arc::new(ArcSwap::from_pointee(connection.client(EVENTS_KEPT)?));
        let task = tokio::spawn(keep_connected(connection.clone(), Arc::clone(&current)));
        Ok(Self { current, task })
    }

    pub(super) fn now(&self) -> Client {
        Client::clone(&self.current.load())
    }
}

impl Drop for LastingClient {
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
        // Who asks it to end ends this too, so that another is wanted whatever it ended by.
        let ended = client.connect().await.map_err(|error| error.to_string());
        let why = ended.and_then(|ended| ended.map_err(|error| error.to_string())).err();
        tracing::warn!(error = why, "the store's client has given up; another one connects");
        // At once, since what is asked of the old one from now on is answered with a time-out.
        match connection.client(EVENTS_KEPT) {
            Ok(another) => current.store(Arc::new(another)),
            Err(error) => tracing::error!(%error, "there is no other client of the store"),
        }
        tokio::time::sleep(BEFORE_ANOTHER).await;
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("topology", &self.topology).field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

/// Which primary of a cluster has which slots, as the cluster says now; empty where there is only one server to talk to.
pub(super) async fn layout(client: &Client, patience: Duration) -> Result<String, StoreError> {
    if client.is_clustered() {
        // It would try again for as long as the client reconnects.
        let asked = tokio::time::timeout(patience, client.sync_cluster()).await;
        asked
            .map_err(|_| StoreError::Unavailable("the cluster's layout was not told in time".to_owned()))?
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

/// Every primary of a cluster; one `None` where there is only one server to talk to.
pub(super) fn primaries(client: &Client) -> Vec<Option<Server>> {
    match client.cached_cluster_state() {
        Some(routing) => routing.unique_primary_nodes().into_iter().map(Some).collect(),
        None => vec![None],
    }
}
