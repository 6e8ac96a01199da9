//! Builds upstream credentials from their section of the configuration.

use std::sync::Arc;

use anyhow::Context;

use super::watch;
use crate::{
    clock::Clock,
    config::Config,
    fetch::FileWatch,
    metrics::Metrics,
    secret::{NewSigningKeys, SigningKeys},
    upstream::{AssertionSettings, Assertions, StaticCredential, StaticCredentialSettings, UpstreamCredentialPolicy},
};

pub(super) fn upstream(
    config: &Config,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
    watches: &mut Vec<FileWatch>,
) -> anyhow::Result<UpstreamCredentialPolicy> {
    let section = &config.upstream_credential;
    let static_credentials = section.static_credentials.iter().map(|settings| static_credential(settings, watches)).collect();
    let assertions = section.assertion.as_ref().map(|settings| assertions(settings, clock, metrics, watches)).transpose()?;
    Ok(UpstreamCredentialPolicy::new(section.default.clone(), static_credentials, assertions, Arc::clone(metrics)))
}

fn static_credential(settings: &StaticCredentialSettings, watches: &mut Vec<FileWatch>) -> StaticCredential {
    let credential = StaticCredential::new(settings.clone());
    let StaticCredentialSettings { name, form, value, .. } = settings;
    let (form, edited) = (*form, Arc::clone(credential.value()));
    let (entry, path) = (name.clone(), value.path().map(|path| path.display().to_string()));
    watch(value, watches, "upstream_credential.static", move |text| match form.check(text) {
        Ok(()) => {
            edited.replace(&form.header_value(text));
            tracing::info!(entry, path, "upstream credential reloaded");
        }
        Err(error) => {
            tracing::error!(entry, path, error, "upstream credential rejected; keeping previous version");
        }
    });
    credential
}

fn assertions(
    settings: &AssertionSettings,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
    watches: &mut Vec<FileWatch>,
) -> anyhow::Result<Assertions> {
    let keys = NewSigningKeys::parse(settings.keys.expose_initial()).context("upstream_credential.assertion.keys")?;
    let keys = Arc::new(SigningKeys::new(keys, Arc::clone(clock)));
    let edited = Arc::clone(&keys);
    watch(&settings.keys, watches, "upstream_credential.assertion.keys", move |text| match NewSigningKeys::parse(text) {
        Ok(keys) => {
            edited.replace(keys);
            tracing::info!("assertion keys reloaded");
        }
        Err(error) => tracing::error!(%error, "assertion keys rejected; keeping previous version"),
    });
    Ok(Assertions::new(settings.clone(), keys, Arc::clone(clock), Arc::clone(metrics)))
}
