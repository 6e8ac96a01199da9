//! Reads `access`: the access rules for hosts, paths and methods.

use super::rules::parse_team_name;
use super::{RoleList, read_restrictions, require_pattern};
use crate::access::{
    AccessLevel, AccessRule, CredentialSource, CredentialSources, HostPattern, Method, PathPattern, UpstreamCredential,
};
use crate::principal::{CredentialKind, HeaderEncoding};
use crate::yaml::decode::Section;
use crate::yaml::shown;

const KINDS: &str = "session, key or token";
const PLACES: &str = "authorization, x-api-key, x-litellm-api-key, api-key, x-goog-api-key, ocp-apim-subscription-key or session";

pub(super) fn read(section: &mut Section<'_>, roles: &RoleList<'_>) -> Option<AccessRule> {
    let origin = roles.origin(section);
    let allow = section.value("allow", |text| require_choice(AccessLevel::parse(text), "anyone, signed_in or nobody", text));
    let allow = allow.map(|allow| allow.unwrap_or(AccessLevel::SignedIn));
    let upstream_credential = read_upstream_credential(section, allow);
    let identity_encoding = read_identity_encoding(section, allow);
    let hosts = read_restrictions(section, "hosts", |text| require_pattern(HostPattern::parse(text)));
    let paths = read_restrictions(section, "paths", |text| require_pattern(PathPattern::parse(text)));
    let methods = read_restrictions(section, "methods", |text| Method::parse(text).map_err(|error| error.to_string()));
    let required_roles = read_restrictions(section, "roles", |text| roles.find(text));
    let teams = read_restrictions(section, "teams", parse_team_name);
    let credentials = read_restrictions(section, "credentials", |text| require_choice(CredentialKind::parse(text), KINDS, text));
    let read = read_restrictions(section, "read", |text| require_choice(CredentialSource::parse(text), PLACES, text));
    let allow = allow?;
    if allow != AccessLevel::SignedIn {
        // These fields have no effect if all requests or none may pass.
        for name in
            ["roles", "teams", "credentials", "read"].into_iter().filter(|name| section.is_given(name)).collect::<Vec<_>>()
        {
            section.complain(name, describe_no_effect(allow));
        }
    }
    Some(AccessRule {
        name: origin.name,
        line: origin.line,
        hosts,
        paths,
        methods,
        allow,
        roles: required_roles,
        teams,
        credentials,
        read: if section.is_given("read") { read.into_iter().collect() } else { CredentialSources::ALL },
        upstream_credential: upstream_credential?,
        identity_encoding: identity_encoding?,
    })
}

/// Reads the name of the upstream credential. [`super::check_configured`] checks that it is configured.
fn read_upstream_credential(section: &mut Section<'_>, allow: Option<AccessLevel>) -> Option<Option<UpstreamCredential>> {
    const NAME: &str = "upstream_credential";
    let credential = section.value(NAME, |text| UpstreamCredential::parse(text).map_err(|error| error.to_string()))?;
    match (allow, &credential) {
        (Some(AccessLevel::Nobody), Some(_)) => section.complain(NAME, describe_no_effect(AccessLevel::Nobody)),
        (Some(AccessLevel::Anyone), Some(UpstreamCredential::Assertion)) => {
            section.complain(NAME, "the assertion names the user, and no user is authenticated with `allow: anyone`");
        }
        _ => {}
    }
    Some(credential)
}

fn read_identity_encoding(section: &mut Section<'_>, allow: Option<AccessLevel>) -> Option<Option<HeaderEncoding>> {
    const NAME: &str = "identity_headers";
    let encoding = section.section(NAME, "", |section| {
        let parse = |text: &str| require_choice(HeaderEncoding::parse(text), "utf8 or percent", text);
        section.value("encoding", parse)
    });
    match (allow, section.is_given(NAME), encoding?) {
        (Some(AccessLevel::Nobody), true, _) => section.complain(NAME, describe_no_effect(AccessLevel::Nobody)),
        (_, true, None) => section.complain(NAME, "sets no `encoding`; set it, or remove the field"),
        _ => {}
    }
    encoding
}

fn describe_no_effect(allow: AccessLevel) -> String {
    format!("has no effect beside `allow: {}`; remove one of them", allow.as_str())
}

fn require_choice<T>(found: Option<T>, expected: &str, text: &str) -> Result<T, String> {
    found.ok_or_else(|| format!("must be {expected}, not {}", shown(text)))
}
