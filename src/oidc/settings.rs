//! The settings of an identity provider. `config` fills them.

use std::{path::PathBuf, time::Duration};

use url::Url;

use super::{directory::DirectorySettings, proxy::HttpProxy};
use crate::{
    jwt::Algorithm,
    principal::{ClaimPath, ProfileClaims},
    secret::ConfiguredSecret,
    users::{LinkClaim, RefreshPolicy, TokenOwner},
};

#[derive(Clone, Debug)]
pub struct ProviderSettings {
    pub id: String,
    pub name: String,
    pub protocol: ProtocolSettings,
    pub client_id: String,
    pub client_secret: Option<ConfiguredSecret>,
    pub token_endpoint_auth_method: AuthMethod,
    pub scopes: Vec<String>,
    pub profile: ProfileClaims,
    /// Counts the time of a login as that of the user's authentication if the provider states none.
    pub trust_login_time: bool,
    pub ca_file: Option<PathBuf>,
    pub proxy: Option<HttpProxy>,
    pub directory: Option<DirectorySettings>,
    /// Bytes of JSON.
    pub max_claims: usize,
    /// The maximum time since the verification of an identity for its claims to count for sessions.
    pub max_claims_age: Option<Duration>,
    /// The refresh of claims with refresh tokens, if it is enabled.
    pub refresh: Option<RefreshPolicy>,
    pub authorization_params: Vec<(String, String)>,
    /// The claims by which token issuers find this provider's users.
    pub user_claims: Vec<ClaimPath>,
    /// The claim by which users of the company's directory are linked to identities of this provider.
    pub link_claim: Option<LinkClaim>,
}

/// The settings of login flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginFlowSettings {
    /// The maximum number of login flows in the store that no user has finished yet.
    pub max_pending: u32,
}

/// The protocol of a provider, with the settings that are specific to it.
#[derive(Clone, Debug)]
pub enum ProtocolSettings {
    OpenIdConnect(OpenIdConnectSettings),
    OAuth2(OAuth2Settings),
}

#[derive(Clone, Debug)]
pub struct OpenIdConnectSettings {
    /// The issuer exactly as written, since issuers are compared as strings.
    pub issuer: String,
    pub algorithms: Vec<Algorithm>,
    /// Endpoints that replace discovery.
    pub endpoints: Option<ManualEndpoints>,
    /// Audiences that an id_token may have besides the client.
    pub trusted_audiences: Vec<String>,
    pub userinfo: UserInfoPolicy,
    /// Overrides discovery if it is set.
    pub userinfo_endpoint: Option<Url>,
    /// Overrides discovery if it is set.
    pub end_session_endpoint: Option<Url>,
    /// Parameters of the sign-out at the provider. They replace the usual ones with the same name.
    pub end_session_parameters: Vec<(String, String)>,
    pub logout: RpLogout,
    /// Accepts logouts through the user's browser, which carry no signature.
    pub frontchannel_logout: bool,
    /// The time after which keys that could not be fetched again are no longer used.
    pub keys_max_age: Duration,
}

/// A provider without OpenID Connect. It has no discovery and no signed tokens, and userinfo identifies the user.
#[derive(Clone, Debug)]
pub struct OAuth2Settings {
    pub authorization_endpoint: Url,
    pub token_endpoint: Url,
    pub userinfo_endpoint: Url,
    pub subject_field: ClaimPath,
    pub email_field: ClaimPath,
    pub preferred_username_field: ClaimPath,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManualEndpoints {
    pub authorization: Url,
    pub token: Url,
    pub jwks: Url,
}

/// The client authentication at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// A method that the discovery document offers, preferably basic. Without a secret, none.
    Auto,
    ClientSecretBasic,
    ClientSecretPost,
    None,
}

/// The part of the userinfo endpoint in a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserInfoPolicy {
    /// A login without claims from the endpoint fails.
    Required,
    /// The claims are absent if the provider has no endpoint, or if the endpoint refuses the access token.
    Optional,
    /// The endpoint is not requested.
    Off,
}

/// The information that the provider receives at a sign-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RpLogout {
    /// `client_id` and `logout_hint`.
    Hint,
    /// In addition the id_token in the URL, for providers that require it.
    IdTokenHint,
    Off,
}

/// The scope of refresh tokens that outlive the session at the provider (OpenID Connect Core, section 11).
const OFFLINE_ACCESS: &str = "offline_access";

impl ProviderSettings {
    /// The scopes of the authorization request. `offline_access` is added if refresh tokens must outlive the user's session at
    /// the provider, unless the operator requests them in the provider's own way (Google: `access_type`). Only OpenID Connect
    /// defines the scope.
    pub fn requested_scopes(&self) -> Vec<String> {
        let is_offline = self.refresh.is_some_and(|refresh| refresh.token == TokenOwner::Identity);
        let is_open_id_connect = matches!(self.protocol, ProtocolSettings::OpenIdConnect(_));
        let is_requested = self.scopes.iter().any(|scope| scope.starts_with("offline"))
            || self.authorization_params.iter().any(|(name, _)| name == "access_type");
        let added = is_offline && is_open_id_connect && !is_requested;
        self.scopes.iter().cloned().chain(added.then(|| OFFLINE_ACCESS.to_owned())).collect()
    }

    /// The interval of look-ups in the directory; `None` if there is none, or if it needs a token of the user.
    pub fn directory_interval(&self) -> Option<Duration> {
        self.directory.as_ref().filter(|directory| directory.kind.has_own_token()).map(|directory| directory.interval)
    }

    /// Returns the namespace of the provider's subjects. An issuer is a URL and an id is not, so the two can't be
    /// confused.
    pub fn issuer(&self) -> &str {
        match &self.protocol {
            ProtocolSettings::OpenIdConnect(protocol) => &protocol.issuer,
            ProtocolSettings::OAuth2(_) => &self.id,
        }
    }
}
