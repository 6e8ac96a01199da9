//! The `rate_limits` section: what one client address may do on one pod.

use super::values;
use crate::rate_limits::PerMinute;
use crate::yaml::decode::{Kind, Section, field};

pub const DOC: &str = "Times a minute, and as many at once, that one client address may do on one pod what anybody may; further ones are \
                       answered with 429. 0 sets no limit. An IPv6 address counts as its /64. Addresses are known by `trusted_proxies`: \
                       without it there is no limit, since everybody would share the gateway's.";

pub fn read(section: &mut Section<'_>) -> Option<PerMinute> {
    let login_starts = section.or_default(
        field("login_starts", "`GET /sso/login`; passwords that are sent there have quotas of their own."),
        &TIMES,
        "120",
    );
    let callbacks = section.or_default(field("callbacks", "Requests to `/sso/callback`."), &TIMES, "120");
    let claims = section.or_default(field("claims", "Requests to `/onboarding` and below."), &TIMES, "60");
    let unknown_credentials = section.or_default(
        field(
            "unknown_credentials",
            "Credentials in headers that are no good, at the JSON API and `/sso/key/generate`. One that is good is never refused.",
        ),
        &TIMES,
        "300",
    );
    Some(PerMinute {
        login_starts: login_starts?,
        callbacks: callbacks?,
        claims: claims?,
        unknown_credentials: unknown_credentials?,
    })
}

const TIMES: Kind<u32> = Kind { name: "number", parse: |text| values::count(text, 0..=1_000_000) };
