//! Builds the SCIM service from the `scim` section.

use std::sync::Arc;

use anyhow::Context;

use super::watch;
use crate::{
    administration::Administration,
    clock::Clock,
    config::{Config, ScimDirectory},
    fetch::FileWatch,
    scim::{GroupRecords, Scim, ScimGroups, ScimUsers},
    secret::{AcceptedSecrets, AcceptedSecretsCell},
    store::Records,
    users::{ProvisionedUsers, ProvisioningSettings, Users},
};

/// The path of the service below `public_url`.
const PATH: &str = "/vestibule/scim/v2";

pub(super) fn provisioning(config: &Config) -> Option<Arc<ProvisioningSettings>> {
    config.scim.as_ref().map(|directory| Arc::clone(&directory.provisioning))
}

pub(super) fn scim(
    config: &Config,
    records: &Records,
    users: &Arc<Users>,
    administration: &Arc<Administration>,
    clock: &Arc<dyn Clock>,
    watches: &mut Vec<FileWatch>,
) -> anyhow::Result<Option<Arc<Scim>>> {
    let (Some(directory), Some(provisioned)) = (&config.scim, ProvisionedUsers::of(users)) else { return Ok(None) };
    let (base, provisioned) = (config.public_url.join(PATH), Arc::new(provisioned));
    let provider = directory.provisioning.provider.clone();
    let groups = GroupRecords::new(records.clone(), provider, Arc::clone(clock));
    Ok(Some(Arc::new(Scim {
        users: ScimUsers::new(Arc::clone(&provisioned), Arc::clone(administration), base.clone()),
        groups: ScimGroups::new(groups, provisioned, base.clone()),
        base,
        tokens: tokens(directory, watches)?,
    })))
}

fn tokens(directory: &ScimDirectory, watches: &mut Vec<FileWatch>) -> anyhow::Result<Arc<AcceptedSecretsCell>> {
    let tokens = AcceptedSecrets::parse(directory.token.expose_initial()).context("scim.token")?;
    let tokens = Arc::new(AcceptedSecretsCell::new(tokens));
    let edited = Arc::clone(&tokens);
    watch(&directory.token, watches, "scim.token", move |text| match AcceptedSecrets::parse(text) {
        Ok(tokens) => {
            let count = tokens.count();
            edited.replace(tokens);
            tracing::info!(count, "scim tokens reloaded");
        }
        Err(error) => tracing::error!(%error, "scim tokens rejected; keeping previous version"),
    });
    Ok(tokens)
}
