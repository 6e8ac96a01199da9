//! Builds the store, and the connection to Redis.

use std::sync::Arc;

use anyhow::Context;

use super::secret_cell;
use crate::{
    clock::Clock,
    config,
    fetch::FileWatch,
    metrics::Metrics,
    secret::ConfiguredSecret,
    store::{Connection, Credentials, MemoryStore, MeteredStore, RedisStore, Store, Topology},
};

/// The store and, if it is Redis, the same store for checks of its servers.
type Stores = (Option<Arc<RedisStore>>, Arc<dyn Store>);

pub(super) fn store(
    config: &config::StoreConfig,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
    watches: &mut Vec<FileWatch>,
) -> anyhow::Result<Stores> {
    match config {
        config::StoreConfig::Memory => {
            let store = Arc::new(MemoryStore::new(Arc::clone(clock)));
            Ok((None, Arc::new(MeteredStore::new(store, Arc::clone(metrics), Arc::clone(clock)))))
        }
        config::StoreConfig::Redis(redis) => {
            let connection = connection(redis, watches)?;
            let store = RedisStore::start(&connection, Arc::clone(clock), Arc::clone(metrics)).context("store")?;
            let store = Arc::new(store);
            let metered = MeteredStore::new(Arc::clone(&store) as Arc<dyn Store>, Arc::clone(metrics), Arc::clone(clock));
            Ok((Some(store), Arc::new(metered)))
        }
    }
}

fn connection(redis: &config::Redis, watches: &mut Vec<FileWatch>) -> anyhow::Result<Connection> {
    let mut cell =
        |secret: &Option<ConfiguredSecret>, name: &'static str| secret.as_ref().map(|secret| secret_cell(secret, watches, name));
    let password = cell(&redis.password, "store.password");
    let sentinel_password = cell(&redis.sentinel_password, "store.sentinel_password");
    let topology = match &redis.url.topology {
        config::RedisTopology::Standalone => Topology::Standalone,
        config::RedisTopology::Cluster => Topology::Cluster,
        config::RedisTopology::Sentinel { service } => {
            let credentials = Credentials { username: redis.sentinel_username.clone(), password: sentinel_password };
            Topology::Sentinel { service: service.clone(), credentials }
        }
    };
    Ok(Connection {
        database: (redis.url.database != 0).then_some(redis.url.database),
        topology,
        hosts: redis.url.hosts.clone(),
        tls: redis.tls.as_ref().map(|tls| tls.build(watches)).transpose()?.map(Arc::new),
        credentials: Credentials { username: redis.username.clone(), password },
        prefix: redis.key_prefix.clone(),
        command_timeout: redis.command_timeout,
    })
}

pub(super) fn key_prefix(config: &config::StoreConfig) -> &str {
    match config {
        config::StoreConfig::Memory => "",
        config::StoreConfig::Redis(redis) => &redis.key_prefix,
    }
}
