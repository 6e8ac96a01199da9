//! Builds the refresh of claims.

use std::sync::Arc;

use anyhow::Context;

use crate::{claims_refresh::ClaimsRefresher, clock::Clock, metrics::Metrics, oidc::Providers, users::Users};

pub(super) fn claims_refresher(
    providers: &Arc<Providers>,
    users: &Arc<Users>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Arc<ClaimsRefresher>> {
    let (providers, users, clock, metrics) = (Arc::clone(providers), Arc::clone(users), Arc::clone(clock), Arc::clone(metrics));
    let started = ClaimsRefresher::start(providers, users, clock, metrics);
    Ok(Arc::new(started.context("the thread that refreshes claims")?))
}
