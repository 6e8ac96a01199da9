//! Builds users over a store in memory, for unit tests.

use std::{sync::Arc, time::Duration};

use super::{Limits, Users};
use crate::{
    clock::Clock,
    metrics::Metrics,
    role_map::{ConfiguredNames, RoleMaps},
    secret::KeyRing,
    store::{MemoryStore, Records, Store},
};

/// The parts that users depend on. The role map grants every user a role.
#[derive(Clone)]
pub struct TestParts {
    pub records: Records,
    pub role_maps: Arc<RoleMaps>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
}

impl TestParts {
    pub fn new(clock: impl Clock + 'static) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(clock);
        Self::over(Arc::new(MemoryStore::new(Arc::clone(&clock))), clock)
    }

    pub fn over(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        let ring = Arc::new(KeyRing::ephemeral(Arc::clone(&clock)));
        let records = Records::new(store, ring, "");
        let metrics = Arc::new(Metrics::new());
        let role_maps = RoleMaps::new(None, ConfiguredNames::default(), Arc::clone(&clock), Arc::clone(&metrics));
        Self { records, role_maps: Arc::new(role_maps.expect("no document is invalid")), clock, metrics }
    }

    pub fn users(&self, limits: Limits, keys_max_age: Duration) -> Users {
        let (clock, metrics) = (Arc::clone(&self.clock), Arc::clone(&self.metrics));
        Users::new(self.records.clone(), Arc::clone(&self.role_maps), limits, keys_max_age, clock, metrics)
    }
}
