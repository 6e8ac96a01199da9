//! Makes local accounts, and the first administrator's way in.

use std::{net::SocketAddr, sync::Arc, thread, time::Duration};

use anyhow::Context;

use crate::{
    accounts::{Accounts, InviteError, Inviter, Settings, Wanted},
    clock::Clock,
    config::{Config, Store},
    keys::Keys,
    metrics::Metrics,
    principal::Role,
    sign_ins::SignIns,
    store::Records,
    users::Users,
};

/// The first administrator's address, where nobody says another.
pub(in crate::app) const FIRST_ADMINISTRATOR: &str = "admin@localhost";

/// Each takes its memory; so many a second are more than people sign in.
const MOST_HASHES_AT_ONCE: usize = 4;

const FIRST_HOUR: Duration = Duration::from_secs(3600);

pub(in crate::app) fn accounts(
    config: &Config,
    records: &Records,
    sign_ins: &Arc<SignIns>,
    keys: &Arc<Keys>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Accounts> {
    let section = &config.local_accounts;
    let settings = Settings {
        passwords: section.passwords,
        cost: section.cost,
        hashes_at_once: thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2)).min(MOST_HASHES_AT_ONCE),
        admin_roles: config.admin_roles.clone(),
        invitation_duration: section.invitation_duration,
        issuer: config.public_url.to_string(),
    };
    let (sign_ins, keys) = (Arc::clone(sign_ins), Arc::clone(keys));
    let (clock, metrics) = (Arc::clone(clock), Arc::clone(metrics));
    Accounts::new(records.clone(), sign_ins, keys, settings, clock, metrics).context("local accounts")
}

/// How the first administrator gets in.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::app) enum FirstWay {
    /// By a link on the standard output: whoever sees that has started the process.
    Printed(Role),
    /// By a link that the operator makes beside the processes.
    Invited(Role),
    /// Not yet: only this process sees its store, and others may see what it prints.
    Closed,
    /// There are providers, or no local accounts.
    Otherwise,
}

impl FirstWay {
    pub(in crate::app) fn of(config: &Config) -> Self {
        let is_own = |address: &SocketAddr| address.ip().is_loopback();
        let on_loopback = [config.listen.public, config.listen.check, config.listen.admin].iter().all(is_own);
        let section = &config.local_accounts;
        match (&config.store, config.admin_roles.first()) {
            (_, None) => Self::Otherwise,
            _ if !section.enabled || !config.providers.is_empty() => Self::Otherwise,
            (Store::Memory, Some(role)) if section.print_first_link.unwrap_or(on_loopback) => Self::Printed(role.clone()),
            (Store::Memory, _) => Self::Closed,
            (Store::Redis(_), Some(role)) => Self::Invited(role.clone()),
        }
    }
}

/// Prints the one link that nobody is signed in for. It is good for an hour.
pub(in crate::app) async fn print_first_link(accounts: &Accounts, role: Role, config: &Config) -> Result<(), InviteError> {
    let wanted = Wanted { email: FIRST_ADMINISTRATOR.to_owned(), role, teams: Vec::new(), lasting: Some(FIRST_HOUR) };
    let made = accounts.invite(Inviter::Operator, &wanted).await?;
    println!(
        "\nThe first administrator ({FIRST_ADMINISTRATOR}) sets a password here, once and within an hour:\n\n  {}\n",
        *made.address(&config.public_url)
    );
    Ok(())
}

/// Says in the log how the first administrator gets in, while there is nobody.
pub(in crate::app) async fn tell_how_to_begin(users: &Users, role: &Role) {
    match users.is_empty().await {
        Ok(true) => tracing::info!(
            "nobody has an account yet: `vestibule invite --role {role} --config …` prints a link for the first administrator"
        ),
        Ok(false) => {}
        Err(error) => tracing::debug!(%error, "whether there is anybody can't be looked up"),
    }
}

/// The same where there is no way in.
pub(in crate::app) fn tell_that_it_is_closed() {
    tracing::warn!(
        "nobody can sign in: the store is this process's memory, which `vestibule invite` can't reach, and a listener is no \
         loopback address; configure a Redis or a provider, or set local_accounts.print_first_link to true and read the link here"
    );
}
