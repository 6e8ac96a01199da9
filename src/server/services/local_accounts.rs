//! Builds local accounts, and decides how the first administrator signs in (bootstrap).

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;

use crate::{
    api_keys::Keys,
    client_address,
    clock::Clock,
    config::{Config, StoreConfig},
    local_accounts::{AccountServices, Accounts, InvitationError, InvitationParameters, Inviter},
    metrics::Metrics,
    principal::Role,
    store::Records,
    users::{Policy, Users},
};

/// The default email address of the first administrator.
pub(in crate::server) const BOOTSTRAP_EMAIL: &str = "admin@localhost";

const BOOTSTRAP_DURATION: Duration = Duration::from_secs(3600);

pub(in crate::server) fn accounts(
    config: &Config,
    records: &Records,
    users: &Arc<Users>,
    keys: &Arc<Keys>,
    policy: &Arc<Policy>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Accounts> {
    let (users, keys, policy) = (Arc::clone(users), Arc::clone(keys), Arc::clone(policy));
    let services = AccountServices { records: records.clone(), users, keys, policy };
    let (clock, metrics) = (Arc::clone(clock), Arc::clone(metrics));
    Accounts::new(services, config.local_accounts.settings, config.public_url.to_string(), clock, metrics)
        .context("local accounts")
}

/// The sign-in of the first administrator.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::server) enum Bootstrap {
    /// The process prints an invitation, for the role, on its standard output.
    PrintedInvitation(Role),
    /// The operator creates an invitation with `vestibule invite`.
    InviteCommand(Role),
    /// No user can sign in: the store is this process's memory, and others may read its output.
    Impossible,
    /// There are providers, or no local accounts.
    NotNeeded,
}

impl Bootstrap {
    pub(in crate::server) fn of(config: &Config) -> Self {
        let is_loopback = |address: &SocketAddr| client_address::is_loopback(address.ip());
        let on_loopback = [config.listen.public, config.listen.check, config.listen.admin].iter().all(is_loopback);
        let section = &config.local_accounts;
        match (&config.store, config.admin_roles.first()) {
            (_, None) => Self::NotNeeded,
            _ if !section.enabled || !config.providers.is_empty() => Self::NotNeeded,
            (StoreConfig::Memory, Some(role)) if section.print_first_link.unwrap_or(on_loopback) => {
                Self::PrintedInvitation(role.clone())
            }
            (StoreConfig::Memory, _) => Self::Impossible,
            (StoreConfig::Redis(_), Some(role)) => Self::InviteCommand(role.clone()),
        }
    }
}

/// Prints an invitation for the first administrator, which is valid for one hour.
pub(in crate::server) async fn print_bootstrap_invitation(
    accounts: &Accounts,
    role: Role,
    config: &Config,
) -> Result<(), InvitationError> {
    let wanted =
        InvitationParameters { email: BOOTSTRAP_EMAIL.to_owned(), role, teams: Vec::new(), lifetime: Some(BOOTSTRAP_DURATION) };
    let created = accounts.invite(Inviter::Operator, &wanted).await?;
    println!(
        "\nThe first administrator ({BOOTSTRAP_EMAIL}) can set a password at this link, once and within 1 hour:\n\n  {}\n",
        *created.address(&config.public_url)
    );
    Ok(())
}

/// Logs the command for the first administrator's invitation if there are no users.
pub(in crate::server) async fn log_bootstrap_command(users: &Users, role: &Role) {
    match users.is_empty().await {
        Ok(true) => tracing::info!(%role, "no users yet; run vestibule invite to create an administrator"),
        Ok(false) => {}
        Err(error) => tracing::debug!(%error, "user lookup failed"),
    }
}

/// Logs that no user can sign in.
pub(in crate::server) fn log_impossible_sign_in() {
    tracing::warn!("no user can sign in");
}
