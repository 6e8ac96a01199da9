//! `access`: the rules about hosts, paths and methods.

use super::rules::team_name;
use super::{RoleList, pattern, restrictions};
use crate::access::{
    AccessLevel, AccessRule, CredentialSource, CredentialSources, HostPattern, Method, PathPattern, UpstreamCredential,
};
use crate::principal::CredentialKind;
use crate::yaml::decode::Section;
use crate::yaml::shown;

const KINDS: &str = "session, key or token";
const PLACES: &str = "authorization, x-api-key, x-litellm-api-key, api-key, x-goog-api-key or session";

pub(super) fn read(section: &mut Section<'_>, roles: &RoleList<'_>) -> Option<AccessRule> {
    let origin = roles.origin(section);
    let allow = section.value("allow", |text| choice(AccessLevel::parse(text), "anyone, signed_in or nobody", text));
    let allow = allow.map(|allow| allow.unwrap_or(AccessLevel::SignedIn));
    let upstream_credential = read_upstream_credential(section, allow);
    let hosts = restrictions(section, "hosts", |text| pattern(HostPattern::parse(text)));
    let paths = restrictions(section, "paths", |text| pattern(PathPattern::parse(text)));
    let methods = restrictions(section, "methods", |text| Method::parse(text).map_err(|error| error.to_string()));
    let required_roles = restrictions(section, "roles", |text| roles.find(text));
    let teams = restrictions(section, "teams", team_name);
    let credentials = restrictions(section, "credentials", |text| choice(CredentialKind::parse(text), KINDS, text));
    let read = restrictions(section, "read", |text| choice(CredentialSource::parse(text), PLACES, text));
    let allow = allow?;
    if allow != AccessLevel::SignedIn {
        // These have no meaning if all requests or none may pass.
        for name in
            ["roles", "teams", "credentials", "read"].into_iter().filter(|name| section.is_given(name)).collect::<Vec<_>>()
        {
            section.complain(name, beside_allow(allow));
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
    })
}

/// [`super::check`] finds whether the credential is configured, since the document alone can't.
fn read_upstream_credential(section: &mut Section<'_>, allow: Option<AccessLevel>) -> Option<Option<UpstreamCredential>> {
    const NAME: &str = "upstream_credential";
    let credential = section.value(NAME, |text| UpstreamCredential::parse(text).map_err(|error| error.to_string()))?;
    match (allow, &credential) {
        (Some(AccessLevel::Nobody), Some(_)) => section.complain(NAME, beside_allow(AccessLevel::Nobody)),
        (Some(AccessLevel::Anyone), Some(UpstreamCredential::Assertion)) => {
            section.complain(NAME, "assertion says who somebody is, and beside `allow: anyone` nobody is looked up");
        }
        _ => {}
    }
    Some(credential)
}

fn beside_allow(allow: AccessLevel) -> String {
    format!("has no effect beside `allow: {}`; take one of them out", allow.as_str())
}

fn choice<T>(found: Option<T>, expected: &str, text: &str) -> Result<T, String> {
    found.ok_or_else(|| format!("must be {expected}, not {}", shown(text)))
}
