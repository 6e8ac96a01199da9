//! The configuration: a YAML file and environment variables in, a validated [`Config`] or all of
//! its mistakes at once out.

pub mod env;
pub mod provider;
pub mod redis_url;
pub mod secrets;
pub mod store;
pub mod token_issuer;
pub mod units;
pub mod upstream_credential;

mod apps;
mod keys;
mod litellm;
mod local_accounts;
mod rate_limits;
mod reference;
mod root;
mod ui;
mod values;

#[cfg(test)]
mod tests;

use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::apps::Apps;
pub use self::local_accounts::LocalAccounts;
pub use self::provider::{AuthMethod, Endpoints, OAuth2, OpenIdConnect, Protocol, Provider, RpLogout, SigningAlgorithm};
pub use self::redis_url::{RedisUrl, Topology};
pub use self::secrets::{Secret, SecretFileError, read_secret_file};
pub use self::store::{Redis, Store};
pub use self::token_issuer::{IssuerAddress, RequiredClaim, Review, Strangers, TokenIssuer, TokenIssuerKind};
pub use self::ui::Ui;
pub use self::upstream_credential::{Assertion, StaticCredential, UpstreamCredentials};
use crate::origin::PublicUrl;
use crate::principal::{LOCAL, Role};
use crate::roles::Configured;
use crate::yaml::{self, Mistakes, Subset, decode};

/// Everything that can be set, validated. `app` hands each part its own section.
#[derive(Clone, Debug)]
pub struct Config {
    pub public_url: PublicUrl,
    pub listen: Listen,
    /// Whom people ask for access, in words that fit "Ask …".
    pub contact: String,
    pub replicas: u32,
    /// HTTP worker threads of each listener.
    pub workers: usize,
    /// Open connections of one worker of a listener.
    pub max_connections: usize,
    pub trusted_proxies: Vec<ipnet::IpNet>,
    pub rate_limits: crate::rate_limits::PerMinute,
    pub store: Store,
    pub key_ring: Option<Secret>,
    pub providers: Vec<Provider>,
    pub token_issuers: Vec<TokenIssuer>,
    pub sessions: Sessions,
    pub cache: Cache,
    pub keys: crate::keys::Settings,
    /// Whoever has one of these roles manages other people's keys, and people.
    pub admin_roles: Vec<Role>,
    pub local_accounts: LocalAccounts,
    pub role_map: RoleMapSource,
    pub upstream_credential: UpstreamCredentials,
    pub apps: Apps,
    pub ui: Ui,
    pub log: Log,
    pub shutdown: Shutdown,
}

impl Config {
    /// What a role map may name.
    pub fn configured(&self) -> Configured {
        Configured { providers: Some(self.claims_of()), upstream_credentials: Some(self.upstream_credential.names()) }
    }

    /// Whose claims rules of the role map may name: providers, issuers that stand for none, and local accounts.
    pub fn claims_of(&self) -> Vec<String> {
        claims_of(&self.providers, &self.token_issuers, self.local_accounts.enabled)
    }
}

fn claims_of(providers: &[Provider], issuers: &[TokenIssuer], has_local_accounts: bool) -> Vec<String> {
    let own = issuers.iter().filter(|issuer| issuer.provider.is_none()).map(|issuer| &issuer.id);
    let local = has_local_accounts.then(|| LOCAL.to_owned());
    providers.iter().map(|provider| &provider.id).chain(own).cloned().chain(local).collect()
}

/// Where the role map comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleMapSource {
    /// The built-in map: everybody who signs in gets the default role.
    BuiltIn,
    File(PathBuf),
    ConfigMap(ConfigMapSource),
}

/// A role map in watched ConfigMaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigMapSource {
    pub name: String,
    /// `None`: the pod's own, or the kubeconfig's.
    pub namespace: Option<String>,
    /// The key of the document in the ConfigMap, and in those of fragments.
    pub key: String,
    /// Selects by labels the ConfigMaps that are merged into it.
    pub fragments: Option<String>,
}

impl ConfigMapSource {
    /// As an administrator reads it.
    pub fn in_words(&self) -> String {
        let namespace = self.namespace.as_deref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
        let fragments = self.fragments.as_deref().map(|labels| format!(", with fragments {labels}")).unwrap_or_default();
        format!("ConfigMap {namespace}{}, key {}{fragments}", self.name, self.key)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    pub public: SocketAddr,
    pub check: SocketAddr,
    pub admin: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sessions {
    pub idle: Duration,
    pub absolute: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cache {
    pub revocation_grace: Duration,
    pub entries: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub format: Format,
    /// A filter directive such as `info` or `vestibule=debug,info`.
    pub level: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// Both are counted from the signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// How long requests are still accepted after readiness has failed.
    pub delay: Duration,
    /// When what is still running is cut off.
    pub deadline: Duration,
}

/// A configuration, and what its writer should know although nothing is wrong.
#[derive(Clone, Debug)]
pub struct Loaded {
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

/// Reads the file, if one is named, lays the variables over it and validates the whole. The files of
/// secrets, certificates and the role map are read too, so that their mistakes come with all the others.
pub fn load(path: Option<&Path>, env: impl Iterator<Item = (String, String)>) -> Result<Loaded, LoadError> {
    let text = match path {
        Some(path) => read(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?,
        None => String::new(),
    };
    Ok(parse(&text, env)?)
}

/// [`load`] for a text that is already there.
pub fn parse(text: &str, env: impl Iterator<Item = (String, String)>) -> Result<Loaded, Mistakes> {
    let variables: Vec<_> = env.collect();
    let parsed = yaml::parse(text, Subset::Plain);
    let mut mistakes = parsed.mistakes;
    let mut tree = parsed.root;
    mistakes.extend(env::overlay(&mut tree, &variables));
    env::append_lists(&mut tree, &variables);
    let mut warnings = warnings(&variables);
    match decode::decode(tree, |root| root::read(root, &mut warnings)) {
        Ok(config) if mistakes.is_empty() => Ok(Loaded { config, warnings }),
        Ok(_) => Err(mistakes.into()),
        Err(more) => {
            mistakes.extend(more);
            Err(mistakes.into())
        }
    }
}

/// The tables of docs/configuration.md.
pub fn reference() -> String {
    reference::render(&root::declarations())
}

/// A larger file is something else, named by mistake.
const LARGEST_FILE: u64 = 1 << 20;

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(LARGEST_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a configuration has at most 1 MiB"));
    }
    Ok(text)
}

fn warnings(variables: &[(String, String)]) -> Vec<String> {
    let names = || variables.iter().map(|(name, _)| name.as_str());
    let ours = reference::variables(&root::declarations());
    let mut warnings = misspelt(&ours, names());
    warnings.extend(litellm::warnings(names()));
    warnings
}

/// Names with single underscores look like ours but can't be mistakes: Kubernetes sets some like
/// them for a service that is called vestibule.
fn misspelt<'v>(ours: &[String], names: impl Iterator<Item = &'v str>) -> Vec<String> {
    let meant = |name: &str| ours.iter().find(|ours| ours.replace("__", "_") == name);
    let mut found: Vec<_> = names.filter_map(|name| Some((name, meant(name)?))).collect();
    found.sort_unstable();
    found
        .iter()
        .map(|(name, meant)| format!("{name} is not read: fields are separated by two underscores, as in {meant}"))
        .collect()
}
