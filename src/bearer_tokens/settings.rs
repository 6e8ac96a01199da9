//! The settings of a token issuer. `config` fills them.

use std::{path::PathBuf, time::Duration};

use url::Url;

use crate::{
    jwt::Algorithm,
    oidc::HttpProxy,
    principal::{ClaimPath, Claims},
};

#[derive(Clone, Debug)]
pub struct IssuerSettings {
    pub id: String,
    /// The provider that is this issuer. Role map rules that name the provider also apply to these tokens.
    pub provider: Option<String>,
    pub kind: IssuerKind,
    pub audiences: Vec<String>,
    /// The claim that names the audience in tokens without `aud`. It must fit beside `aud` as well.
    pub audience_claim: Option<AudienceClaim>,
    /// A claim that every access token has and no id_token. Only with it may `audiences` contain one of the `login_clients`.
    pub access_token_claim: Option<ClaimPath>,
    pub algorithms: Vec<Algorithm>,
    pub required_claims: Vec<RequiredClaim>,
    /// The claim that identifies a user whose tokens have another subject than their logins.
    pub user_claim: Option<ClaimPath>,
    /// The `client_id`s of all providers. A token with one of them as audience is an id_token, unless it has the
    /// `access_token_claim`.
    pub login_clients: Vec<String>,
    /// The time after which keys that could not be fetched again are no longer used.
    pub keys_max_age: Duration,
}

#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a process has few of it")]
pub enum IssuerKind {
    OpenIdConnect(IssuerAddress),
    Kubernetes(KubernetesSettings),
}

/// The issuer of the cluster's ServiceAccounts.
#[derive(Clone, Debug)]
pub struct KubernetesSettings {
    pub review: Review,
    /// Further values of `iss`, beside the one of the API server's discovery document: an API server accepts the tokens of all
    /// its issuers, and announces the first one.
    pub additional_issuers: Vec<String>,
}

/// A claim that names the client or the audience of an access token without `aud`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudienceClaim {
    ClientId,
    Azp,
    AppId,
}

/// An issuer with keys at a URL.
#[derive(Clone, Debug)]
pub struct IssuerAddress {
    /// The issuer exactly as written, since issuers are compared as strings.
    pub issuer: String,
    pub jwks_uri: Option<Url>,
    pub ca_file: Option<PathBuf>,
    pub proxy: Option<HttpProxy>,
    pub unregistered_subjects: UnregisteredSubjects,
}

/// The kind of an issuer's unregistered subjects, which are those that have never signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnregisteredSubjects {
    /// Unregistered subjects get no role.
    Refused,
    /// Workloads, which never get the role map's default role.
    Workloads,
    Users,
}

/// The use of TokenReview, with the maximum age of a cached result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Review {
    Never,
    Every(Duration),
}

/// A claim that must have exactly this value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredClaim {
    pub claim: ClaimPath,
    pub value: String,
}

impl IssuerSettings {
    /// Returns the name by which role map rules refer to the issuer's claims.
    pub fn claim_source(&self) -> &str {
        self.provider.as_deref().unwrap_or(&self.id)
    }
}

impl AudienceClaim {
    pub fn name(self) -> &'static str {
        match self {
            Self::ClientId => "client_id",
            Self::Azp => "azp",
            Self::AppId => "appid",
        }
    }
}

impl RequiredClaim {
    pub fn is_met_by(&self, claims: &Claims) -> bool {
        self.claim.single_value(claims).is_some_and(|value| value == self.value)
    }
}
