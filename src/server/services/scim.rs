//! Builds the SCIM service from the `scim` section.

use std::{sync::Arc, thread, time::Duration};

use anyhow::Context;
use tokio::runtime::Builder;

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

/// The pause after a failed pass over all users.
const LINK_RETRY: Duration = Duration::from_secs(5);

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
    let scim = Arc::new(Scim {
        users: ScimUsers::new(Arc::clone(&provisioned), Arc::clone(administration), base.clone()),
        groups: ScimGroups::new(groups, provisioned, base.clone()),
        base,
        tokens: tokens(directory, watches)?,
    });
    if !directory.provisioning.links_subjects() {
        start_linking(Arc::clone(&scim))?;
    }
    Ok(Some(scim))
}

/// Links the users who signed in before the directory was configured, until it has succeeded once. It takes no time from the
/// threads that answer requests, and its futures need not be `Send`.
pub(super) fn start_linking(scim: Arc<Scim>) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let started = thread::Builder::new().name("scim-links".to_owned()).spawn(move || {
        runtime.block_on(async {
            while let Err(error) = scim.users.link_former_users().await {
                tracing::warn!(%error, suppressed = tracing::field::Empty, "scim links not indexed; retrying");
                tokio::time::sleep(LINK_RETRY).await;
            }
        });
    });
    started.map(drop).context("the thread that links users of the directory")
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
