//! Builds the authentication of gateways from the `check` section.

use std::sync::Arc;

use anyhow::Context;

use super::watch;
use crate::{
    check::gateway::secret::GatewayAuthentication,
    config::CheckAccess,
    fetch::FileWatch,
    secret::{AcceptedSecrets, AcceptedSecretsCell},
};

pub(super) fn gateways(access: &CheckAccess, watches: &mut Vec<FileWatch>) -> anyhow::Result<GatewayAuthentication> {
    let CheckAccess::GatewaySecret(secret) = access else { return Ok(GatewayAuthentication::default()) };
    let secrets = AcceptedSecrets::parse(secret.expose_initial()).context("check.secret")?;
    let secrets = Arc::new(AcceptedSecretsCell::new(secrets));
    let edited = Arc::clone(&secrets);
    watch(secret, watches, "check.secret", move |text| match AcceptedSecrets::parse(text) {
        Ok(secrets) => {
            let count = secrets.count();
            edited.replace(secrets);
            tracing::info!(count, "gateway secrets reloaded");
        }
        Err(error) => tracing::error!(%error, "gateway secrets rejected; keeping previous version"),
    });
    Ok(GatewayAuthentication::new(Some(secrets)))
}
