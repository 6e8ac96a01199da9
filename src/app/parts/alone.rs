//! What a command takes that does something beside processes that run.

use std::{sync::Arc, time::Duration};

use anyhow::bail;

use super::{accounts, key_prefix, key_ring, role_map_of, store};
use crate::{
    accounts::Accounts,
    clock::Clock,
    config::{Config, RoleMapSource},
    files::FileWatch,
    keys::Keys,
    metrics::Metrics,
    roles::RoleMaps,
    session::Limits,
    sign_ins::SignIns,
    store::Records,
    users::Users,
};

/// How long the store may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(15);

/// The records of the running processes.
pub(in crate::app) struct Alone {
    pub records: Records,
    metrics: Arc<Metrics>,
    watches: Vec<FileWatch>,
}

impl Alone {
    pub async fn reach(config: &Config, clock: &Arc<dyn Clock>) -> anyhow::Result<Self> {
        let metrics = Arc::new(Metrics::new());
        let mut watches = Vec::new();
        let ring = key_ring(config.key_ring.as_ref(), clock, &metrics, &mut watches)?;
        let (_, store) = store(&config.store, clock, &metrics, &mut watches)?;
        if tokio::time::timeout(PATIENCE, store.ready()).await.is_err() {
            let why = store.sequences().await.into_iter().find_map(Result::err).map(|why| why.to_string());
            bail!("the store does not answer: {}", why.unwrap_or_else(|| "its notices can't be subscribed to".to_owned()));
        }
        Ok(Self { records: Records::new(store, ring, key_prefix(&config.store)), metrics, watches })
    }
}

/// No role map is needed that would have to be watched.
pub(in crate::app) async fn for_inviting(config: &Config, clock: &Arc<dyn Clock>) -> anyhow::Result<(Accounts, Vec<FileWatch>)> {
    let Alone { records, metrics, watches } = Alone::reach(config, clock).await?;
    let role_maps = match &config.role_map {
        RoleMapSource::ConfigMap(_) => RoleMaps::unknown(Arc::clone(clock), Arc::clone(&metrics)),
        RoleMapSource::BuiltIn => RoleMaps::new(None, config.configured(), Arc::clone(clock), Arc::clone(&metrics))?,
        RoleMapSource::File(path) => role_map_of(path, config, clock, &metrics)?.0,
    };
    let limits = Limits { idle: config.sessions.idle, absolute: config.sessions.absolute };
    let users = Arc::new(Users::new(records.clone(), Arc::clone(clock), limits));
    let keys = Arc::new(Keys::new(records.clone(), Arc::clone(clock), Arc::clone(&metrics), config.keys.clone()));
    let sign_ins = Arc::new(SignIns::new(users, Arc::new(role_maps), Arc::clone(&metrics)));
    let accounts = accounts::accounts(config, &records, &sign_ins, &keys, clock, &metrics)?;
    Ok((accounts, watches))
}
