//! The `keys` section: limits of API keys.

use std::time::Duration;

use super::values;
use crate::api_keys::KeySettings;
use crate::oidc::ProviderSettings;
use crate::yaml::decode::{Kind, Section, field};

pub const DOC: &str = "API keys.";

pub fn read(section: &mut Section<'_>, providers: Option<&[ProviderSettings]>) -> Option<KeySettings> {
    let max_per_user = section.or_default(field("max_per_user", "Maximum number of active keys per user."), &COUNT, "100");
    let default_duration =
        section.or_default(field("default_duration", "Lifetime of a key that is created without one."), &DURATION, "90d");
    let max_duration = section.or_default(field("max_duration", "Maximum lifetime of a key."), &DURATION, "365d");
    let overlap_max = section.or_default(
        field("overlap_max", "Maximum grace period, in which the old secret of a rotated key stays valid."),
        &DURATION,
        "7d",
    );
    let claims_max_age = section.or_default(
        field(
            "claims_max_age",
            "Maximum time since the last sign-in with an identity for it to grant a role, teams and an email to API keys and tokens. \
             For sessions it is `sessions.absolute`. A key is suspended while no identity of its owner grants a role.",
        ),
        &CLAIMS_AGE,
        "30d",
    );
    let sign_in_within = section.or_default(
        field("sign_in_within", "Maximum time since the user last authenticated for creating or rotating a key in the browser."),
        &DURATION,
        "1h",
    );
    let claims_max_age = require_refreshed_before(section, claims_max_age, providers)?;
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
    Some(KeySettings {
        max_per_user: max_per_user?,
        default_duration,
        max_duration,
        overlap_max: overlap_max?,
        claims_max_age,
        sign_in_within: sign_in_within?,
    })
}

/// Claims that expire before they are refreshed would suspend every key now and then.
fn require_refreshed_before(
    section: &mut Section<'_>,
    claims_max_age: Option<Duration>,
    providers: Option<&[ProviderSettings]>,
) -> Option<Duration> {
    let claims_max_age = claims_max_age?;
    let is_late = |provider: &&ProviderSettings| provider.refresh.is_some_and(|refresh| refresh.interval >= claims_max_age);
    let Some(late) = providers.unwrap_or_default().iter().find(is_late) else { return Some(claims_max_age) };
    section.complain("claims_max_age", format!("must be longer than `refresh.interval` of the provider `{}`", late.id));
    None
}

const COUNT: Kind<usize> = Kind { name: "number", parse: |text| values::count(text, 1..=10_000) };

const DURATION: Kind<Duration> = Kind {
    name: "duration",
    parse: |text| {
        let (least, most) = (Duration::from_secs(1), Duration::from_secs(3650 * 86_400));
        values::duration(text, least, most, "must be from 1s to 3650d")
    },
};

const CLAIMS_AGE: Kind<Duration> = Kind {
    name: "duration",
    parse: |text| {
        let (least, most) = (Duration::from_secs(2 * 3600), Duration::from_secs(3650 * 86_400));
        values::duration(text, least, most, "must be from 2h to 3650d")
    },
};
