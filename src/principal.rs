//! Defines the authenticated principal as plain data: claims, roles, teams, grants and identities.

mod claim_path;
mod header_encoding;
mod profile;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use claim_path::{ClaimPath, ClaimPathError};
pub use header_encoding::{HeaderEncoding, MAX_TEAMS_BYTES, names_within};
pub use profile::{EmailTrust, ProfileClaims, Profiles, UnfitClaim};

use crate::json;

/// The claims of one token or of one userinfo response.
pub type Claims = json::Object;

/// A name from the role map's list of roles.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Role(Arc<str>);

/// A team as the upstream receives it: not empty, without control character, and with a comma only if the role map is active
/// with [`HeaderEncoding::Percent`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Team(Arc<str>);

/// The part of the role map that granted a role: `rules[2]`, `default_role`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleName(Arc<str>);

/// The result of evaluating the role map for a principal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// `None` if no rule matches and there is no default role. Such a principal has no access.
    pub role: Option<Role>,
    /// Sorted, without duplicates, bounded in number and in total length.
    pub teams: Vec<Team>,
    /// The rule that granted the role; `None` if and only if there is no role.
    pub rule: Option<RuleName>,
    /// The number of team values that were dropped because a header cannot carry them or the limit was reached.
    pub dropped: u32,
    /// The source that a rule requires and that is missing, if the role map denies access in this case.
    pub missing_source: Option<Source>,
}

/// A grant that is kept from the user's first sign-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedGrant {
    pub role: Role,
    pub rule: RuleName,
    pub teams: Vec<Team>,
    /// The digest of the identity whose claims granted it. Released versions did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
}

/// The source of verified claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    IdToken,
    AccessToken,
    Userinfo,
    /// A look-up in the provider's directory.
    Directory,
    /// A directory that provisions users by SCIM.
    Scim,
}

/// The claims about a user that one identity provider has verified, by source. The default has none.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IdentityClaims {
    /// The id of the configured provider.
    pub provider: String,
    pub issuer: String,
    pub subject: String,
    /// Empty if the provider issues no id_token (`kind: oauth2`). A verified id_token has at least one claim.
    #[serde(default)]
    pub id_token: Claims,
    /// The time at which the claims of the id_token were verified, if later refreshes brought no id_token. `None`: they are as old
    /// as the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token_at: Option<Timestamp>,
    /// `None` if the access token is opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<Claims>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userinfo: Option<Claims>,
    /// `None` if the provider has no directory, or if the look-up has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<Claims>,
    /// The time of the last look-up in the directory, also of a failed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory_at: Option<Timestamp>,
    /// The claims of the user in the directory that provisions users, which are added to the linked identity for each evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scim: Option<Claims>,
    /// The claims by which token issuers and the company's directory find the user, with their values at the last login.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub user_claims: BTreeMap<String, String>,
    /// The time at which the provider last verified the identity, to the second. `None` if the claims are not stored, or were
    /// stored by a released version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Timestamp>,
    /// True if there is a refresh token, by which the provider can verify the identity again without its user.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_refreshable: bool,
    /// True if the provider has refused a refresh token, or if the claims were overdue when the last one ended. Until they are
    /// verified again, they count no longer than with a refresh token.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_refresh_bound: bool,
}

/// The identity headers for the upstream. A field is empty if its value is unknown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct IdentityHeaders {
    pub user: String,
    pub email: String,
    pub preferred_username: String,
    /// The teams, separated by commas, without those whose names contain one.
    pub groups: String,
    pub role: String,
    /// The id of the API key that was used, never its secret.
    pub key: String,
}

impl IdentityHeaders {
    /// The identity of an anonymous caller.
    pub const ANONYMOUS: Self = Self {
        user: String::new(),
        email: String::new(),
        preferred_username: String::new(),
        groups: String::new(),
        role: String::new(),
        key: String::new(),
    };
}

/// The evaluation of a user's claims by one version of the role map, and the values derived from it.
#[derive(Debug)]
pub struct Evaluation {
    /// The version of the role map. An evaluation by another version is stale.
    pub map_version: u64,
    /// The moment at which an identity that it was computed from expires. Later it is stale.
    pub valid_until: Timestamp,
    /// The user's identities that were verified too long ago to count.
    pub expired_identities: Box<[ProviderSubject]>,
    pub grant: Grant,
    pub identity: IdentityHeaders,
    /// The identity with percent-encoding, once an upstream needs it.
    pub percent_encoded: OnceLock<IdentityHeaders>,
    /// The identity assertion that was signed last.
    pub assertion: ArcSwapOption<IdentityAssertion>,
}

/// An identity, by its provider's id and its subject there.
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderSubject {
    pub provider: String,
    pub subject: String,
    /// True if the provider can verify the identity again without its user.
    pub is_refreshable: bool,
}

/// A signed identity assertion for the upstream.
pub struct IdentityAssertion {
    pub jwt: Box<str>,
    /// The id of the key that signed it.
    pub kid: Box<str>,
    pub signed_at: Instant,
}

/// The kind of credential that authenticated a principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// A session cookie of a browser.
    Session,
    /// A virtual API key.
    ApiKey,
    /// A JWT that a provider or token issuer issued.
    Jwt,
}

/// The provider id and issuer of local accounts. It is reserved: no configured provider may use it.
pub const LOCAL: &str = "local";

/// The claims of a local account. They hold the role and teams that its invitation granted.
pub const ROLE_CLAIM: &str = "user_role";
pub const TEAMS_CLAIM: &str = "teams";

impl IdentityClaims {
    /// The sources about the user's profile in their order of precedence: id_token, access token, userinfo.
    pub fn sources(&self) -> impl Iterator<Item = &Claims> {
        std::iter::once(&self.id_token).chain(&self.access_token).chain(&self.userinfo)
    }

    /// True if the directory provisioned the user, and no provider has verified the identity yet.
    pub fn is_provisioned_only(&self) -> bool {
        let of_provider = [&self.access_token, &self.userinfo, &self.directory];
        let has_others = !self.id_token.is_empty() || of_provider.into_iter().any(Option::is_some);
        self.scim.is_some() && self.verified_at.is_none() && !has_others
    }

    /// True if the claims are from this provider, or if `provider` is `None`.
    pub fn is_from(&self, provider: Option<&str>) -> bool {
        provider.is_none_or(|provider| provider == self.provider)
    }

    /// The claims of one source; `None` if the provider sent no verifiable claims there.
    pub fn source(&self, source: Source) -> Option<&Claims> {
        match source {
            // A provider without OpenID Connect has no id_token, and a verified id_token is never empty.
            Source::IdToken => Some(&self.id_token).filter(|claims| !claims.is_empty()),
            Source::AccessToken => self.access_token.as_ref(),
            Source::Userinfo => self.userinfo.as_ref(),
            Source::Directory => self.directory.as_ref(),
            Source::Scim => self.scim.as_ref(),
        }
    }
}

impl IdentityHeaders {
    /// The same user with another role and other teams.
    pub fn with_grant(&self, grant: &Grant) -> Self {
        // A comma would make two teams of one.
        let teams: Vec<&str> = grant.teams.iter().map(Team::as_str).filter(|team| !team.contains(',')).collect();
        let role = grant.role.as_ref().map(|role| role.as_str().to_owned()).unwrap_or_default();
        Self { groups: teams.join(","), role, ..self.clone() }
    }

    /// The display name: the preferred user name, else the email address, else the user id.
    pub fn name(&self) -> &str {
        let names = [&self.preferred_username, &self.email].into_iter().find(|name| !name.is_empty());
        names.unwrap_or(&self.user)
    }
}

impl Evaluation {
    /// True if only identities that have expired could grant a role.
    pub fn is_suspended(&self) -> bool {
        !self.expired_identities.is_empty() && self.grant.role.is_none()
    }

    /// An evaluation of claims that do not expire.
    pub fn new(map_version: u64, grant: Grant, identity: IdentityHeaders) -> Self {
        let (valid_until, expired_identities) = (Timestamp::MAX, Box::default());
        let (percent_encoded, assertion) = (OnceLock::new(), ArcSwapOption::empty());
        Self { map_version, valid_until, expired_identities, grant, identity, percent_encoded, assertion }
    }

    /// The identity headers in an encoding.
    pub fn identity_headers(&self, encoding: HeaderEncoding) -> &IdentityHeaders {
        match encoding {
            HeaderEncoding::Utf8 => &self.identity,
            HeaderEncoding::Percent => self.percent_encoded.get_or_init(|| self.identity.percent_encoded(&self.grant.teams)),
        }
    }

    pub fn is_current(&self, map_version: u64, now: Timestamp) -> bool {
        self.map_version == map_version && now < self.valid_until
    }
}

impl CredentialKind {
    pub const ALL: [Self; 3] = [Self::Session, Self::ApiKey, Self::Jwt];

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::ApiKey => "key",
            Self::Jwt => "token",
        }
    }
}

impl Source {
    pub const ALL: [Self; 5] = [Self::IdToken, Self::AccessToken, Self::Userinfo, Self::Directory, Self::Scim];

    /// The sources that a login at every provider can have.
    pub const OF_EVERY_PROVIDER: [Self; 3] = [Self::IdToken, Self::AccessToken, Self::Userinfo];

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == name)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::IdToken => "id_token",
            Self::AccessToken => "access_token",
            Self::Userinfo => "userinfo",
            Self::Directory => "directory",
            Self::Scim => "scim",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<&IdentityClaims> for ProviderSubject {
    fn from(identity: &IdentityClaims) -> Self {
        Self { provider: identity.provider.clone(), subject: identity.subject.clone(), is_refreshable: identity.is_refreshable }
    }
}

/// Prints the provider only: the subject is personal data.
impl fmt::Debug for ProviderSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderSubject").field("provider", &self.provider).finish_non_exhaustive()
    }
}

/// Prints the number of claims only: subject and claims are personal data.
impl fmt::Debug for IdentityClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |claims: &Option<Claims>| claims.as_ref().map(Claims::len);
        f.debug_struct("IdentityClaims")
            .field("provider", &self.provider)
            .field("issuer", &self.issuer)
            .field("subject", &"[redacted]")
            .field("id_token_claims", &self.id_token.len())
            .field("access_token_claims", &count(&self.access_token))
            .field("userinfo_claims", &count(&self.userinfo))
            .field("directory_claims", &count(&self.directory))
            .field("scim_claims", &count(&self.scim))
            .finish()
    }
}

/// Prints the user's id and role only: the rest is personal data.
impl fmt::Debug for IdentityHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityHeaders").field("user", &self.user).field("role", &self.role).finish_non_exhaustive()
    }
}

/// The JWT is a credential and is not printed.
impl fmt::Debug for IdentityAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityAssertion").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// Implements text types that share their text and are cheap to clone.
macro_rules! shared_text {
    ($($name:ident),+) => {$(
        impl $name {
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

shared_text!(Role, Team, RuleName);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    use crate::json::object as claims;

    pub(super) fn identity(id_token: Value, access_token: Value, userinfo: Value) -> IdentityClaims {
        let optional = |value: Value| (!value.is_null()).then(|| claims(value));
        IdentityClaims {
            provider: "corp".into(),
            issuer: "https://idp.example.com".into(),
            subject: "s-1".into(),
            id_token: claims(id_token),
            access_token: optional(access_token),
            userinfo: optional(userinfo),
            ..IdentityClaims::default()
        }
    }

    pub(super) const NONE: Value = Value::Null;

    #[test]
    fn debug_output_has_no_claim_and_no_subject() {
        let mut user = identity(json!({"email": "hidden@x", "groups": ["hidden"]}), json!({"hidden": 1}), NONE);
        user.subject = "hidden-subject".into();
        let shown = format!("{user:?} {:?}", ProviderSubject::from(&user));
        assert!(!shown.contains("hidden"), "{shown}");
        assert!(shown.contains("corp") && shown.contains("id_token_claims: 2"));
    }

    #[test]
    fn claims_survive_serialization_and_unknown_fields_are_tolerated() {
        let user = identity(json!({"a": 1}), NONE, json!({"b": [true]}));
        let mut stored = serde_json::to_value(&user).unwrap();
        assert!(stored.get("access_token").is_none());
        stored["from_a_later_version"] = json!(1);
        let read: IdentityClaims = serde_json::from_value(stored).unwrap();
        assert!(read == user);
        let without: IdentityClaims =
            serde_json::from_value(json!({"provider": "hub", "issuer": "hub", "subject": "7"})).unwrap();
        assert!(without.id_token.is_empty() && without.sources().all(Claims::is_empty));
    }
}
