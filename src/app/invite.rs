//! `vestibule invite`: a link for somebody whom nobody else can invite, made beside the running processes.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use super::parts;
use crate::{
    accounts::{Inviter, Wanted},
    clock::Clock,
    config::{Config, Store},
    principal::Role,
};

/// Whom to invite, as what.
pub struct Invite {
    pub role: String,
    pub email: Option<String>,
    pub lasting: Option<Duration>,
}

/// Writes an invitation into the configured store and returns its address.
pub async fn invite(config: &Config, clock: &Arc<dyn Clock>, invite: Invite) -> anyhow::Result<Zeroizing<String>> {
    if matches!(config.store, Store::Memory) {
        bail!("the store is memory, which only the running process sees: start it anew, and it prints a link");
    }
    if !config.local_accounts.enabled {
        bail!("there are no local accounts: set local_accounts.enabled to true, here and for the running processes");
    }
    let (accounts, _watches) = parts::for_inviting(config, clock).await?;
    let wanted = Wanted {
        email: invite.email.unwrap_or_else(|| parts::FIRST_ADMINISTRATOR.to_owned()),
        role: Role::new(invite.role),
        teams: Vec::new(),
        lasting: invite.lasting,
    };
    let made = accounts.invite(Inviter::Operator, &wanted).await.context("nobody was invited")?;
    Ok(made.address(&config.public_url))
}
