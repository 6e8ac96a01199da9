//! `vestibule invite`: creates an invitation in the store of the running processes.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use super::services;
use crate::{
    clock::Clock,
    config::{Config, StoreConfig},
    local_accounts::{InvitationParameters, Inviter},
    principal::Role,
};

/// The user to invite, and the role that the user gets.
pub struct InvitationRequest {
    pub role: String,
    pub email: Option<String>,
    pub duration: Option<Duration>,
}

/// Writes an invitation to the configured store and returns its link.
pub async fn invite(config: &Config, clock: &Arc<dyn Clock>, request: InvitationRequest) -> anyhow::Result<Zeroizing<String>> {
    if matches!(config.store, StoreConfig::Memory) {
        bail!("the memory store is only available to the running process; restart the process, which prints a link");
    }
    if !config.local_accounts.enabled {
        bail!("local accounts are disabled; set local_accounts.enabled to true, here and for the running processes");
    }
    let (accounts, _watches) = services::build_for_invitations(config, clock).await?;
    let wanted = InvitationParameters {
        email: request.email.unwrap_or_else(|| services::BOOTSTRAP_EMAIL.to_owned()),
        role: Role::new(request.role),
        teams: Vec::new(),
        lifetime: request.duration,
    };
    let created = accounts.invite(Inviter::Operator, &wanted).await.context("the invitation failed")?;
    Ok(created.address(&config.public_url))
}
