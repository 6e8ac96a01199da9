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
    store::{Connection, MemoryStore, MeteredStore, RedisSettings, RedisStore, Store},
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

fn connection(settings: &RedisSettings, watches: &mut Vec<FileWatch>) -> anyhow::Result<Connection> {
    let mut cell =
        |secret: &Option<ConfiguredSecret>, name: &'static str| secret.as_ref().map(|secret| secret_cell(secret, watches, name));
    let password = cell(&settings.password, "store.password");
    let sentinel_password = cell(&settings.sentinel_password, "store.sentinel_password");
    let tls = settings.tls.as_ref().map(|tls| tls.build(watches)).transpose()?.map(Arc::new);
    Ok(Connection { settings: settings.clone(), tls, password, sentinel_password })
}

pub(super) fn key_prefix(config: &config::StoreConfig) -> &str {
    match config {
        config::StoreConfig::Memory => "",
        config::StoreConfig::Redis(redis) => &redis.key_prefix,
    }
}
