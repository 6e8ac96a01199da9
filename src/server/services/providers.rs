//! Builds the identity providers and their directories.

use std::sync::Arc;

use anyhow::Context;

use super::{secret_cell, watch};
use crate::{
    clock::Clock,
    config::Config,
    fetch::FileWatch,
    metrics::Metrics,
    oidc::{DirectoryKind, DirectoryResources, Provider, ProviderSettings, Providers, ServiceAccountKey},
    secret::{ConfiguredSecret, SecretCell},
    store::Records,
};

pub(super) fn providers(
    config: &Config,
    records: &Records,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
    watches: &mut Vec<FileWatch>,
) -> anyhow::Result<Providers> {
    let mut built = Vec::new();
    for (place, provider) in config.providers.iter().enumerate() {
        let secret = provider.client_secret.as_ref().map(|secret| secret_cell(secret, watches, "client_secret"));
        let path = if place == 0 { "/sso/callback".to_owned() } else { format!("/sso/callback/{}", provider.id) };
        let redirect_uri = config.public_url.join(&path);
        let directory = DirectoryResources {
            secret: service_account(provider, watches).or_else(|| secret.clone()),
            records: records.clone(),
            clock: Arc::clone(clock),
            metrics: Arc::clone(metrics),
        };
        let result = Provider::new(provider.clone(), secret, redirect_uri, Arc::clone(clock), Arc::clone(metrics));
        let result = result.with_context(|| format!("providers[{place}]"))?;
        built.push(Arc::new(result.with_directory(directory)));
    }
    Ok(Providers::new(built))
}

/// Returns the key of the directory's service account, if it has one.
fn service_account(provider: &ProviderSettings, watches: &mut Vec<FileWatch>) -> Option<Arc<SecretCell>> {
    match &provider.directory.as_ref()?.kind {
        DirectoryKind::Google { key, .. } => Some(service_account_cell(key, watches)),
        DirectoryKind::EntraId { .. } | DirectoryKind::GitHub | DirectoryKind::GitLab => None,
    }
}

fn service_account_cell(key: &ConfiguredSecret, watches: &mut Vec<FileWatch>) -> Arc<SecretCell> {
    let cell = Arc::new(SecretCell::new(key.expose_initial()));
    let edited = Arc::clone(&cell);
    watch(key, watches, "service_account", move |text| match ServiceAccountKey::parse(text) {
        Ok(_) => {
            edited.replace(text);
            tracing::info!("service account key reloaded");
        }
        Err(error) => tracing::error!(%error, "service account key rejected; keeping previous version"),
    });
    cell
}
