//! The `rate_limits` section.

use super::values;
use crate::client_address::rate_limits::RequestsPerMinute;
use crate::yaml::decode::{Kind, Section, field};

pub const DOC: &str = "Requests per minute (and burst) per client address and pod on endpoints that need no authentication. \
                       Further requests are answered with 429. 0 disables a limit. An IPv6 address counts as its /64. Without \
                       `trusted_proxies` there is no limit, since all users would share the gateway's address.";

pub fn read(section: &mut Section<'_>) -> Option<RequestsPerMinute> {
    let login_starts = section.or_default(
        field("login_starts", "`GET /sso/login`, in requests per minute. Passwords have separate limits."),
        &COUNT,
        "120",
    );
    let callbacks = section.or_default(field("callbacks", "`/sso/callback`, in requests per minute."), &COUNT, "120");
    let onboarding =
        section.or_default(field("claims", "`/onboarding` and paths below it, in requests per minute."), &COUNT, "60");
    let unknown_credentials = section.or_default(
        field(
            "unknown_credentials",
            "Invalid credentials in headers at the JSON API and `/sso/key/generate`, in requests per minute. \
             Requests with a valid credential are never refused.",
        ),
        &COUNT,
        "300",
    );
    let backchannel_logouts = section.or_default(
        field(
            "backchannel_logouts",
            "`/sso/backchannel-logout`, `/sso/frontchannel-logout` and paths below them, in requests per minute. A provider sends \
             one for each session that it ends.",
        ),
        &COUNT,
        "6000",
    );
    let scim = section.or_default(
        field(
            "scim",
            "`/vestibule/scim/v2`, in requests per minute, with any token. Directories repeat requests that are answered with \
             429.",
        ),
        &COUNT,
        "6000",
    );
    Some(RequestsPerMinute {
        login_starts: login_starts?,
        callbacks: callbacks?,
        onboarding: onboarding?,
        unknown_credentials: unknown_credentials?,
        backchannel_logouts: backchannel_logouts?,
        scim: scim?,
    })
}

const COUNT: Kind<u32> = Kind { name: "number", parse: |text| values::count(text, 0..=1_000_000) };
