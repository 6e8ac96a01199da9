//! The `refresh` section of a provider.

use std::time::Duration;

use crate::config::values;
use crate::users::{RefreshPolicy, TokenOwner};
use crate::yaml::decode::{Kind, Section, field};

const DOC: &str = "Refreshes the claims of users in the background with the provider's refresh tokens. Without this section \
                   claims change at the next sign-in only.";

const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// Tokens would be requested more often than the pauses after failures allow.
const INTERVAL: Kind<Duration> =
    Kind { name: "duration", parse: |text| values::duration(text, Duration::from_secs(10), LONGEST, "must be from 10s to 365d") };

const MAX_AGE: Kind<Duration> =
    Kind { name: "duration", parse: |text| values::duration(text, Duration::from_secs(10), LONGEST, "must be from 10s to 365d") };

const TOKEN: Kind<TokenOwner> = Kind {
    name: "`session` or `offline`",
    parse: |text| values::choice(text, &[("session", TokenOwner::Session), ("offline", TokenOwner::Identity)]),
};

/// Returns `Some(None)` if the section is not set.
pub fn read(provider: &mut Section<'_>) -> Option<Option<RefreshPolicy>> {
    let policy = provider.section("refresh", DOC, read_policy);
    if provider.is_given("refresh") { policy.map(Some) } else { Some(None) }
}

fn read_policy(section: &mut Section<'_>) -> Option<RefreshPolicy> {
    let interval = section.or_default(
        field("interval", "Claims that are used and older than this are refreshed in the background, at least 10s."),
        &INTERVAL,
        "15m",
    );
    let max_age = section.or_default(
        field(
            "max_age",
            "Maximum time since the last refresh or sign-in, longer than `interval`. Until then an outage of the provider \
             changes nothing. Afterwards a check waits up to 2s for a refresh, and is answered with 503 if the provider cannot \
             confirm the claims.",
        ),
        &MAX_AGE,
        "24h",
    );
    let token = section.or_default(
        field(
            "token",
            "`session` keeps the refresh token with the session that it came with. `offline` requests the scope \
             `offline_access` and keeps the token with the identity, so that the claims of keys are refreshed without a session.",
        ),
        &TOKEN,
        "session",
    );
    let (interval, max_age) = (interval?, max_age?);
    if max_age <= interval {
        section.complain("max_age", "must be longer than `interval`");
        return None;
    }
    Some(RefreshPolicy { interval, max_age, token: token? })
}
