//! Builds upstream credentials from their section of the configuration.

use std::sync::Arc;

use anyhow::Context;

use super::watch;
use crate::{
    clock::Clock,
    config::{self, Config, StaticCredential},
    fetch::FileWatch,
    metrics::Metrics,
    secret::{NewSigningKeys, SecretCell, SigningKeys},
    upstream::{AssertionSettings, Assertions, StaticUpstreamCredential, UpstreamCredentialPolicy},
};

pub(super) fn upstream(
    config: &Config,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
    watches: &mut Vec<FileWatch>,
) -> anyhow::Result<UpstreamCredentialPolicy> {
    let section = &config.upstream_credential;
    let fixed = section.fixed.iter().map(|credential| fixed(credential, watches)).collect();
    let assertions = section.assertion.as_ref().map(|assertion| assertions(assertion, clock, metrics, watches)).transpose()?;
    Ok(UpstreamCredentialPolicy::new(section.default.clone(), fixed, assertions, Arc::clone(metrics)))
}

fn fixed(credential: &StaticCredential, watches: &mut Vec<FileWatch>) -> StaticUpstreamCredential {
    let StaticCredential { name, roles, teams, header, form, value } = credential;
    let form = *form;
    let cell = Arc::new(SecretCell::new(&form.header_value(value.expose_initial())));
    let edited = Arc::clone(&cell);
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
    let (roles, teams) = (roles.clone(), teams.clone());
    StaticUpstreamCredential { name: name.as_str().into(), roles, teams, header: header.clone(), value: cell }
}

fn assertions(
    section: &config::Assertion,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
    watches: &mut Vec<FileWatch>,
) -> anyhow::Result<Assertions> {
    let keys = NewSigningKeys::parse(section.keys.expose_initial()).context("upstream_credential.assertion.keys")?;
    let keys = Arc::new(SigningKeys::new(keys, Arc::clone(clock)));
    let edited = Arc::clone(&keys);
    watch(&section.keys, watches, "upstream_credential.assertion.keys", move |text| match NewSigningKeys::parse(text) {
        Ok(keys) => {
            edited.replace(keys);
            tracing::info!("assertion keys reloaded");
        }
        Err(error) => tracing::error!(%error, "assertion keys rejected; keeping previous version"),
    });
    let settings = AssertionSettings {
        issuer: section.issuer.clone(),
        audience: section.audience.clone(),
        as_authorization: section.as_authorization,
    };
    Ok(Assertions::new(settings, keys, Arc::clone(clock), Arc::clone(metrics)))
}
