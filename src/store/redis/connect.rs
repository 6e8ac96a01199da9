//! How clients of Redis are made: topology, deadlines, TLS, and credentials that may change.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use fred::{
    prelude::*,
    types::RespVersion,
    types::config::{
        ClusterDiscoveryPolicy, CredentialProvider, ReconnectError, Server, ServerConfig, TcpConfig, TlsConfig,
        UnresponsiveConfig,
    },
};

use crate::secret::SecretCell;

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

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topology {
    Standalone,
    Sentinel { service: String, username: Option<String>, password: Option<Arc<SecretCell>> },
    Cluster,
}

/// Who the server knows us as. The password is read at every connection, so that a new one is found.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    pub username: Option<String>,
    pub password: Option<Arc<SecretCell>>,
}

impl PartialEq for SecretCell {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for SecretCell {}

#[async_trait]
impl CredentialProvider for Credentials {
    async fn fetch(&self, _: Option<&Server>) -> Result<(Option<String>, Option<String>), Error> {
        Ok((self.username.clone(), self.password.as_ref().map(|password| password.expose())))
    }
}

impl Connection {
    /// A client that is not connected yet.
    pub(super) fn client(&self) -> Result<Client, Error> {
        let config = Config {
            server: self.server(),
            version: RespVersion::RESP3,
            database: self.database,
            // The first connection is as patient as every later one.
            fail_fast: false,
            tls: self.tls.as_ref().map(|tls| TlsConfig::from(rustls::ClientConfig::clone(tls))),
            credential_provider: self.credentials.password.is_some().then(|| Arc::new(self.credentials.clone()) as Arc<_>),
            ..Config::default()
        };
        Builder::from_config(config)
            .set_policy(ReconnectPolicy::new_exponential(0, 50, 250, 2))
            .with_performance_config(|performance| {
                performance.default_command_timeout = self.command_timeout;
                performance.broadcast_channel_capacity = 16_384;
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

    fn server(&self) -> ServerConfig {
        let mut hosts: Vec<Server> = self.hosts.iter().map(|(host, port)| Server::new(host.as_str(), *port)).collect();
        match &self.topology {
            Topology::Standalone => ServerConfig::Centralized { server: hosts.swap_remove(0) },
            Topology::Cluster => ServerConfig::Clustered { hosts, policy: ClusterDiscoveryPolicy::UseCache },
            Topology::Sentinel { service, username, password } => ServerConfig::Sentinel {
                hosts,
                service_name: service.clone(),
                username: username.clone(),
                password: password.as_ref().map(|password| password.expose()),
            },
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("topology", &self.topology).field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

/// Every primary of a cluster; one `None` where there is only one server to talk to.
pub(super) fn primaries(client: &Client) -> Vec<Option<Server>> {
    match client.cached_cluster_state() {
        Some(routing) => routing.unique_primary_nodes().into_iter().map(Some).collect(),
        None => vec![None],
    }
}
