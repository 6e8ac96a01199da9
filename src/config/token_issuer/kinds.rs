//! Parsers of a token issuer's values.

use std::time::Duration;

use super::KindName;
use crate::config::values;
use crate::principal::ClaimPath;
use crate::yaml::decode::Kind;

pub const KIND: Kind<KindName> = Kind {
    name: "`oidc` or `kubernetes`",
    parse: |text| values::choice(text, &[("oidc", KindName::OpenIdConnect), ("kubernetes", KindName::Kubernetes)]),
};

/// The treatment of tokens of a provider whose subject has never signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnregisteredPolicy {
    Refuse,
    Allow,
}

pub const UNREGISTERED: Kind<UnregisteredPolicy> = Kind {
    name: "`refuse` or `allow`",
    parse: |text| values::choice(text, &[("refuse", UnregisteredPolicy::Refuse), ("allow", UnregisteredPolicy::Allow)]),
};

pub const AUDIENCE: Kind<String> = Kind { name: "text", parse: values::name };

pub const REVIEW_CACHE: Kind<Duration> = Kind {
    name: "duration",
    parse: |text| {
        let reason = "must be from 1s to 1h";
        values::duration(text, Duration::from_secs(1), Duration::from_secs(3600), reason)
    },
};

pub fn claim_path(text: &str) -> Result<(), String> {
    match ClaimPath::parse(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("the claim's path {error}")),
    }
}
