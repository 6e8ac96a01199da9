//! The `keys` section: how many API keys there may be, for how long, and who manages them.

use std::time::Duration;

use super::values;
use crate::keys::Settings;
use crate::principal::Role;
use crate::yaml::decode::{Kind, Section, field};

pub const DOC: &str = "Virtual API keys.";

pub fn read(section: &mut Section<'_>, admin_roles: Option<&[Role]>) -> Option<Settings> {
    let max_per_user = section.or_default(field("max_per_user", "How many live keys a person may have."), &COUNT, "100");
    let default_duration =
        section.or_default(field("default_duration", "How long a key lasts whose maker doesn't say."), &DURATION, "90d");
    let max_duration = section.or_default(field("max_duration", "How long a key may last."), &DURATION, "365d");
    let overlap_max = section.or_default(
        field("overlap_max", "How long at most an old secret goes on beside the one that replaces it."),
        &DURATION,
        "7d",
    );
    let claims_max_age = section.or_default(
        field(
            "claims_max_age",
            "So long after their last sign-in a person's keys wait for the next one: who has left signs in no more.",
        ),
        &CLAIMS_AGE,
        "30d",
    );
    let sign_in_within = section.or_default(
        field("sign_in_within", "How fresh the sign-in of a browser's session has to be for making or regenerating a key."),
        &DURATION,
        "1h",
    );
    let (default_duration, max_duration) = (default_duration?, max_duration?);
    if default_duration > max_duration {
        let (name, text) = if section.is_given("default_duration") {
            ("default_duration", "must not be longer than `keys.max_duration`")
        } else {
            ("max_duration", "must not be shorter than `keys.default_duration`, which is 90d unless it is set")
        };
        section.complain(name, text);
        return None;
    }
    Some(Settings {
        max_per_user: max_per_user?,
        default_duration,
        max_duration,
        overlap_max: overlap_max?,
        claims_max_age: claims_max_age?,
        sign_in_within: sign_in_within?,
        admin_roles: admin_roles?.to_vec(),
    })
}

const COUNT: Kind<usize> = Kind { name: "number", parse: |text| values::count(text, 1..=10_000) };

const DURATION: Kind<Duration> = Kind {
    name: "duration",
    parse: |text| {
        let (least, most) = (Duration::from_secs(1), Duration::from_secs(3650 * 86_400));
        values::duration(text, least, most, "must be from 1s to 3650d")
    },
};

/// A sign-in is written down to the hour.
const CLAIMS_AGE: Kind<Duration> = Kind {
    name: "duration",
    parse: |text| {
        let (least, most) = (Duration::from_secs(2 * 3600), Duration::from_secs(3650 * 86_400));
        values::duration(text, least, most, "must be from 2h to 3650d: when somebody signed in is known to the hour")
    },
};
