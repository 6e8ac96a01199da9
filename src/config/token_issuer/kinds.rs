//! Parsers of a token issuer's values.

use std::time::Duration;

use super::KindName;
use crate::bearer_tokens::AudienceClaim;
use crate::config::provider::kinds::FIELD_PATH;
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

pub const AUDIENCE_CLAIM: Kind<AudienceClaim> = Kind {
    name: "`client_id`, `azp` or `appid`",
    parse: |text| {
        let choices = [AudienceClaim::ClientId, AudienceClaim::Azp, AudienceClaim::AppId].map(|claim| (claim.name(), claim));
        values::choice(text, &choices)
    },
};

/// Claims that id_tokens have or may have: those of OpenID Connect, and the usual ones of users.
const ID_TOKEN_CLAIMS: [&str; 26] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "nbf",
    "jti",
    "auth_time",
    "nonce",
    "acr",
    "amr",
    "azp",
    "at_hash",
    "c_hash",
    "sid",
    "name",
    "email",
    "email_verified",
    "preferred_username",
    "upn",
    "groups",
    "roles",
    "oid",
    "tid",
    "ver",
    "typ",
];

pub const ACCESS_TOKEN_CLAIM: Kind<ClaimPath> = Kind {
    name: "dot path",
    parse: |text| match text {
        of_id_tokens if ID_TOKEN_CLAIMS.contains(&of_id_tokens) => {
            Err("must name a claim that no id_token has, such as `scp` or `scope`".to_owned())
        }
        text => (FIELD_PATH.parse)(text),
    },
};

/// Issuers of the API server, which may be any text.
pub const API_SERVER_ISSUER: Kind<String> = Kind { name: "text", parse: values::name };

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
