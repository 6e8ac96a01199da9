//! The `local_accounts` section: people who sign in with a password that they have here.

use std::time::Duration;

use super::{units, values};
use crate::accounts::{Cost, PasswordRules};
use crate::yaml::decode::{Kind, Section, field};

/// Whether there are accounts with a password here, and how theirs are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalAccounts {
    pub enabled: bool,
    /// Whether a start without providers and with the memory store prints the first administrator's link.
    pub print_first_link: Option<bool>,
    /// How long an invitation can be taken up whose maker doesn't say.
    pub invitation_duration: Duration,
    pub passwords: PasswordRules,
    pub cost: Cost,
}

pub const DOC: &str = "People without an identity provider: they are invited, and sign in with a password.";

pub fn read(section: &mut Section<'_>, has_providers: Option<bool>) -> Option<LocalAccounts> {
    let enabled = section.optional(
        field("enabled", "Whether there are any.").unset("`true` where no provider is configured, else `false`"),
        &values::BOOLEAN,
    );
    let print_first_link = section.optional(
        field(
            "print_first_link",
            "Whether a start with the memory store and without a provider prints a link for the first administrator, good for an \
             hour. Whoever reads what the process prints may become it.",
        )
        .unset("`true` where all listeners are on loopback"),
        &values::BOOLEAN,
    );
    let invitation_duration = section.or_default(
        field("invitation_duration", "How long an invitation can be taken up whose maker doesn't say."),
        &INVITATION,
        "7d",
    );
    let min_length =
        section.or_default(field("password_min_length", "The fewest characters of a password, from 8 to 64."), &LENGTH, "12");
    let cost = section.section(
        "argon2",
        "What a password's hash costs (argon2id, RFC 9106). A password that was hashed otherwise is hashed anew at the next sign-in.",
        read_cost,
    );
    let enabled = enabled?.or_else(|| has_providers.map(|has| !has));
    Some(LocalAccounts {
        enabled: enabled?,
        print_first_link: print_first_link?,
        invitation_duration: invitation_duration?,
        passwords: PasswordRules { min_length: min_length? },
        cost: cost?,
    })
}

fn read_cost(section: &mut Section<'_>) -> Option<Cost> {
    let memory = section.or_default(field("memory", "Memory of one hash, from 8MiB to 1GiB."), &MEMORY, "19MiB");
    let iterations = section.or_default(
        field("iterations", "Passes over the memory, from 1 to 16."),
        &Kind { name: "number", parse: |text| values::count(text, 1..=16) },
        "2",
    );
    let parallelism = section.or_default(
        field("parallelism", "Lanes, from 1 to 4."),
        &Kind { name: "number", parse: |text| values::count(text, 1..=4) },
        "1",
    );
    Some(Cost { memory_kib: memory?, iterations: iterations?, parallelism: parallelism? })
}

const LENGTH: Kind<usize> = Kind { name: "number", parse: |text| values::count(text, 8..=64) };

const INVITATION: Kind<Duration> = Kind {
    name: "duration",
    parse: |text| {
        let (least, most) = (Duration::from_secs(60), crate::accounts::LONGEST_INVITATION);
        values::duration(text, least, most, "must be from 1m to 30d: a link lies around for so long")
    },
};

const MEMORY: Kind<u32> = Kind {
    name: "size",
    parse: |text| match units::size(text)? / 1024 {
        kib @ 8192..=1_048_576 => u32::try_from(kib).map_err(|error| error.to_string()),
        _ => Err("must be from 8MiB to 1GiB: less is guessed at too fast, more is not there".to_owned()),
    },
};
