//! Reads the configuration from a YAML file and environment variables, and validates it.

pub mod env;
pub mod provider;
pub mod secrets;
pub mod store;
pub mod token_issuer;
pub mod units;

mod api;
mod api_keys;
mod app_keys;
mod check;
mod http_proxy;
mod identity_headers;
mod litellm;
mod local_accounts;
mod origins;
mod rate_limits;
mod reference;
mod role_map;
mod root;
mod scim;
mod ui;
mod upstream_credential;
mod values;

#[cfg(test)]
mod tests;

use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::api::Api;
pub use self::check::CheckAccess;
pub use self::local_accounts::LocalAccounts;
pub use self::scim::ScimDirectory;
pub use self::store::StoreConfig;
pub use self::ui::Ui;
use crate::api_keys::app_requests::AppKeySettings;
use crate::bearer_tokens::IssuerSettings;
use crate::client_address::ProxyNetwork;
use crate::kubernetes::ConfigMapSource;
use crate::oidc::ProviderSettings;
use crate::origin::{ProtectedHosts, PublicUrl};
use crate::principal::{HeaderEncoding, LOCAL, Role};
use crate::principal_cache::CacheSettings;
use crate::role_map::ConfiguredNames;
use crate::secret::ConfiguredSecret;
use crate::upstream::UpstreamCredentialSettings;
use crate::yaml::{self, Mistakes, Subset, decode};

/// The validated configuration. `server` passes each service its own section.
#[derive(Clone, Debug)]
pub struct Config {
    pub public_url: PublicUrl,
    /// Further origins, each with a host of its own.
    pub origins: Vec<PublicUrl>,
    /// The hosts of an auth request whose URL names none.
    pub protected_hosts: ProtectedHosts,
    pub listen: Listen,
    /// The contact for access requests, as the pages show it after "Ask".
    pub contact: String,
    pub replicas: u32,
    pub connections: ConnectionLimits,
    pub trusted_proxies: Vec<ProxyNetwork>,
    pub rate_limits: crate::client_address::rate_limits::RequestsPerMinute,
    pub check: CheckAccess,
    pub store: StoreConfig,
    pub key_ring: Option<ConfiguredSecret>,
    pub providers: Vec<ProviderSettings>,
    pub token_issuers: Vec<IssuerSettings>,
    /// The directory that provisions users; `None` if there is none.
    pub scim: Option<ScimDirectory>,
    pub logins: crate::oidc::LoginFlowSettings,
    pub sessions: crate::users::Limits,
    pub cache: CacheSettings,
    pub keys: crate::api_keys::KeySettings,
    /// Roles that may manage users and their keys.
    pub admin_roles: Vec<Role>,
    pub local_accounts: LocalAccounts,
    pub api: Api,
    pub role_map: RoleMapSource,
    pub upstream_credential: UpstreamCredentialSettings,
    /// The encoding of identity headers for access rules that set none.
    pub identity_encoding: HeaderEncoding,
    pub apps: AppKeySettings,
    pub ui: Ui,
    pub log: Log,
    pub shutdown: Shutdown,
}

impl Config {
    /// Returns the names that a role map may refer to.
    pub fn configured(&self) -> ConfiguredNames {
        ConfiguredNames {
            providers: Some(self.claim_sources()),
            provisioned_providers: Some(scim::provisioned_providers(self.scim.as_ref())),
            upstream_credentials: Some(self.upstream_credential.names()),
            identity_encoding: self.identity_encoding,
        }
    }

    /// Returns the sources of claims that role map rules may name: providers, token issuers without a provider, and local
    /// accounts.
    pub fn claim_sources(&self) -> Vec<String> {
        claim_sources(&self.providers, &self.token_issuers, &self.local_accounts)
    }
}

fn claim_sources(providers: &[ProviderSettings], issuers: &[IssuerSettings], local_accounts: &LocalAccounts) -> Vec<String> {
    let own = issuers.iter().filter(|issuer| issuer.provider.is_none()).map(|issuer| &issuer.id);
    let local = local_accounts.enabled.then(|| LOCAL.to_owned());
    providers.iter().map(|provider| &provider.id).chain(own).cloned().chain(local).collect()
}

/// The source of the role map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleMapSource {
    /// The built-in map: all users get the default role.
    BuiltIn,
    File(PathBuf),
    ConfigMap(ConfigMapSource),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    pub public: SocketAddr,
    pub check: SocketAddr,
    pub admin: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// HTTP worker threads per listener.
    pub workers: usize,
    /// Maximum open connections per worker of a listener.
    pub max_connections: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    /// A filter directive such as `info` or `vestibule=debug,info`.
    pub level: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// Durations that are counted from the signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// The time in which requests are still accepted after readiness has failed.
    pub delay: Duration,
    /// The time after which remaining requests are aborted.
    pub deadline: Duration,
}

/// A valid configuration with its warnings.
#[derive(Clone, Debug)]
pub struct LoadedConfig {
    pub config: Config,
    pub warnings: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{} can't be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
}

/// Reads the file, if one is given, applies the environment variables and validates the result. Secret files, certificates
/// and the role map are read too, so that all mistakes are reported together.
pub fn load(path: Option<&Path>, env: impl Iterator<Item = (String, String)>) -> Result<LoadedConfig, LoadError> {
    let text = match path {
        Some(path) => read(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?,
        None => String::new(),
    };
    Ok(parse(&text, env)?)
}

/// Parses and validates a document as [`load`] does.
pub fn parse(text: &str, env: impl Iterator<Item = (String, String)>) -> Result<LoadedConfig, Mistakes> {
    let variables: Vec<_> = env.collect();
    let parsed = yaml::parse(text, Subset::Plain);
    let mut mistakes = parsed.mistakes;
    let mut tree = parsed.root;
    mistakes.extend(env::overlay(&mut tree, &variables));
    env::append_lists(&mut tree, &variables);
    let mut warnings = warnings(&variables);
    match decode::decode(tree, |root| root::read(root, &mut warnings)) {
        Ok(config) if mistakes.is_empty() => Ok(LoadedConfig { config, warnings }),
        Ok(_) => Err(mistakes.into()),
        Err(more) => {
            mistakes.extend(more);
            Err(mistakes.into())
        }
    }
}

/// Returns the reference in docs/configuration.md.
pub fn reference() -> String {
    reference::render(&root::declarations())
}

/// The maximum size of a configuration file, in bytes.
const MAX_FILE_SIZE: u64 = 1 << 20;

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_FILE_SIZE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_SIZE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a configuration file must not be larger than 1 MiB"));
    }
    Ok(text)
}

fn warnings(variables: &[(String, String)]) -> Vec<String> {
    let names = || variables.iter().map(|(name, _)| name.as_str());
    let known = reference::variables(&root::declarations());
    let mut warnings = find_misspelled(&known, names());
    warnings.extend(litellm::warnings(names()));
    warnings.extend(http_proxy::ignored_variables(variables));
    warnings
}

/// Returns warnings for variables with single underscores. They are not mistakes, because Kubernetes sets such variables
/// for a Service named vestibule.
fn find_misspelled<'v>(known: &[String], names: impl Iterator<Item = &'v str>) -> Vec<String> {
    let intended = |name: &str| known.iter().find(|known| known.replace("__", "_") == name);
    let mut found: Vec<_> = names.filter_map(|name| Some((name, intended(name)?))).collect();
    found.sort_unstable();
    found
        .iter()
        .map(|(name, intended)| format!("{name} is ignored: separate fields with two underscores, as in {intended}"))
        .collect()
}
