//! The `local_accounts` section: users who sign in with a password.

use std::{thread, time::Duration};

use super::{units, values};
use crate::local_accounts::{Cost, LocalAccountSettings, PasswordRules};
use crate::yaml::decode::{Kind, Section, field};

/// Local accounts, which can be disabled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalAccounts {
    pub enabled: bool,
    /// True if a start without providers and with the memory store prints the bootstrap invitation.
    pub print_first_link: Option<bool>,
    pub settings: LocalAccountSettings,
}

/// The maximum number of concurrent password hashes, since each one needs its memory.
const MAX_CONCURRENT_HASHES: usize = 4;

pub const DOC: &str = "Local accounts: users without an identity provider, who are invited and sign in with a password.";

pub fn read(section: &mut Section<'_>, has_providers: Option<bool>) -> Option<LocalAccounts> {
    let enabled = section.optional(
        field("enabled", "Enables local accounts.").unset("`true` if no provider is configured, else `false`"),
        &values::BOOLEAN,
    );
    let print_first_link = section.optional(
        field(
            "print_first_link",
            "Prints a bootstrap invitation for the first administrator when the service starts with the memory store and without \
             a provider. The link is valid for 1 hour. Anyone who can read the process's output can use it.",
        )
        .unset("`true` if all listeners are on loopback addresses"),
        &values::BOOLEAN,
    );
    let invitation_duration = section.or_default(
        field("invitation_duration", "Lifetime of an invitation that is created without one."),
        &INVITATION,
        "7d",
    );
    let min_length =
        section.or_default(field("password_min_length", "Minimum length of a password, from 8 to 64 characters."), &LENGTH, "12");
    let cost = section.section(
        "argon2",
        "Cost of password hashes (argon2id, RFC 9106). A hash with other parameters is replaced at the user's next sign-in.",
        read_cost,
    );
    let enabled = enabled?.or_else(|| has_providers.map(|has| !has));
    Some(LocalAccounts {
        enabled: enabled?,
        print_first_link: print_first_link?,
        settings: LocalAccountSettings {
            passwords: PasswordRules { min_length: min_length? },
            cost: cost?,
            hashes_at_once: thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2)).min(MAX_CONCURRENT_HASHES),
            invitation_duration: invitation_duration?,
        },
    })
}

fn read_cost(section: &mut Section<'_>) -> Option<Cost> {
    let memory = section.or_default(field("memory", "Memory per hash, from 8MiB to 1GiB."), &MEMORY, "19MiB");
    let iterations = section.or_default(
        field("iterations", "Number of passes over the memory, from 1 to 16."),
        &Kind { name: "number", parse: |text| values::count(text, 1..=16) },
        "2",
    );
    let parallelism = section.or_default(
        field("parallelism", "Number of lanes, from 1 to 4."),
        &Kind { name: "number", parse: |text| values::count(text, 1..=4) },
        "1",
    );
    Some(Cost { memory_kib: memory?, iterations: iterations?, parallelism: parallelism? })
}

const LENGTH: Kind<usize> = Kind { name: "number", parse: |text| values::count(text, 8..=64) };

const INVITATION: Kind<Duration> = Kind {
    name: "duration",
    parse: |text| {
        let (least, most) = (Duration::from_secs(60), crate::local_accounts::LONGEST_INVITATION);
        values::duration(text, least, most, "must be from 1m to 30d")
    },
};

const MEMORY: Kind<u32> = Kind {
    name: "size",
    parse: |text| match units::size(text)? / 1024 {
        kib @ 8192..=1_048_576 => u32::try_from(kib).map_err(|error| error.to_string()),
        _ => Err("must be from 8MiB to 1GiB".to_owned()),
    },
};
