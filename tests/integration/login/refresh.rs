//! Endpoints and keys are fetched at intervals, also without logins.

use std::sync::Arc;
use std::time::Duration;

use vestibule::clock::SystemClock;
use vestibule::config;
use vestibule::metrics::Metrics;
use vestibule::oidc::Provider;

use crate::support::idp::{Idp, IdpOptions};
use crate::support::{install_crypto, scratch::Scratch, wait};

/// A process fetches hourly; the test more often.
const EVERY: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_fetched_at_intervals_and_survive_a_failed_fetch() {
    install_crypto();
    let idp = Idp::start(IdpOptions::default()).await;
    let metrics = Arc::new(Metrics::new());
    let provider = provider(&idp, &metrics);
    let refreshing = tokio::spawn(Arc::clone(&provider).keep_refreshing(EVERY));
    let fetched = async |count: u64| {
        let jwks = async || idp.stats().await["jwks"].as_u64().filter(|fetched| *fetched >= count);
        wait::until("keys to be fetched again", PATIENCE, jwks).await
    };
    fetched(3).await;
    provider.ensure_ready().await.expect("the provider is known");

    idp.fail().await;
    let failed = async || shows(&metrics, r#"vestibule_provider_refreshes_total{outcome="error",provider="corp"}"#).then_some(());
    wait::until("a fetch to fail", PATIENCE, failed).await;
    provider.ensure_ready().await.expect("the fetched metadata stays in use");
    idp.resume().await;
    let before = idp.stats().await["jwks"].as_u64().unwrap_or_default();
    fetched(before + 2).await;
    refreshing.abort();
}

fn shows(metrics: &Metrics, sample: &str) -> bool {
    String::from_utf8_lossy(&metrics.render()).contains(sample)
}

fn provider(idp: &Idp, metrics: &Arc<Metrics>) -> Arc<Provider> {
    let scratch = Scratch::new("refresh");
    let text = format!("providers:\n  - {{id: corp, issuer: '{}', client_id: vestibule}}\n", idp.issuer());
    let file = scratch.write("vestibule.yaml", &text);
    let mut loaded = config::load(Some(&file), std::iter::empty()).expect("the configuration is valid");
    let provider = loaded.config.providers.remove(0);
    let redirect = "http://127.0.0.1:4180/sso/callback".to_owned();
    Arc::new(Provider::new(provider, None, redirect, Arc::new(SystemClock), Arc::clone(metrics)).expect("a client can be made"))
}
