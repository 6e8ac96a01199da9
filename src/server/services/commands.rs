//! Builds the services of commands that work on the store of running processes.

use std::{sync::Arc, time::Duration};

use anyhow::bail;

use super::{key_prefix, key_ring, local_accounts, policy, read_role_map_file, store, users};
use crate::{
    api_keys::Keys,
    clock::Clock,
    config::{Config, RoleMapSource},
    fetch::FileWatch,
    local_accounts::Accounts,
    metrics::Metrics,
    role_map::RoleMaps,
    store::Records,
};

/// The time in which the store must become available.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// A command's connection to the store of the running processes.
pub(in crate::server) struct StoreConnection {
    pub records: Records,
    metrics: Arc<Metrics>,
    watches: Vec<FileWatch>,
}

impl StoreConnection {
    pub async fn open(config: &Config, clock: &Arc<dyn Clock>) -> anyhow::Result<Self> {
        let metrics = Arc::new(Metrics::new());
        let mut watches = Vec::new();
        let ring = key_ring(config.key_ring.as_ref(), clock, &metrics, &mut watches)?;
        let (_, store) = store(&config.store, clock, &metrics, &mut watches)?;
        if tokio::time::timeout(CONNECT_TIMEOUT, store.ready()).await.is_err() {
            let reason = store.sequences().await.into_iter().find_map(Result::err).map(|error| error.to_string());
            bail!(
                "the store does not answer: {}",
                reason.unwrap_or_else(|| "the invalidation channel can't be subscribed to".to_owned())
            );
        }
        Ok(Self { records: Records::new(store, ring, key_prefix(&config.store)), metrics, watches })
    }
}

/// Builds local accounts for an invitation. A role map in ConfigMaps is not loaded, since the command doesn't need it.
pub(in crate::server) async fn build_for_invitations(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<(Accounts, Vec<FileWatch>)> {
    let StoreConnection { records, metrics, watches } = StoreConnection::open(config, clock).await?;
    let role_maps = match &config.role_map {
        RoleMapSource::ConfigMap(_) => RoleMaps::unloaded(config.configured(), Arc::clone(clock), Arc::clone(&metrics)),
        RoleMapSource::BuiltIn => RoleMaps::new(None, config.configured(), Arc::clone(clock), Arc::clone(&metrics))?,
        RoleMapSource::File(path) => read_role_map_file(path, config, clock, &metrics)?.0,
    };
    let role_maps = Arc::new(role_maps);
    let policy = Arc::new(policy(config, &role_maps));
    let users = users(config, &records, &role_maps, clock, &metrics);
    let keys = Keys::new(records.clone(), Arc::clone(&policy), config.keys.clone(), Arc::clone(clock), Arc::clone(&metrics));
    let (users, keys) = (Arc::new(users), Arc::new(keys));
    let accounts = local_accounts::accounts(config, &records, &users, &keys, &policy, clock, &metrics)?;
    Ok((accounts, watches))
}
