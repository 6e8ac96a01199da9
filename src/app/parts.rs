//! Makes the parts from their sections of the configuration, and keeps what must be kept.

mod accounts;
mod alone;
mod upstream;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use jiff::Timestamp;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::{
    apps::RedirectPolicy,
    check::{Checker, CredentialParser},
    clock::Clock,
    config::{self, Config, RoleMapSource, Secret, TokenIssuerKind, read_secret_file},
    files::FileWatch,
    http::{Apps, CookieNames, ProxyTrust, Services, Site, admin::Readiness},
    keys::Keys,
    kubernetes::{RoleMapWatch, TokenAuthority},
    login::Login,
    metrics::Metrics,
    oidc::{Flows, Provider, Providers},
    pages,
    people::People,
    principal::{EmailTrust, LOCAL},
    principals::{Principals, Settings, Sources},
    rate_limits::RateLimits,
    roles::{self, RoleMaps},
    secret::{KeyRing, RingKeys, SecretCell},
    session::Limits,
    sign_ins::SignIns,
    store::{Connection, Credentials, MemoryStore, Metered, Records, RedisStore, Store, Topology},
    tokens::{Issuer, Tokens},
    users::Users,
};

pub(super) use accounts::FIRST_ADMINISTRATOR;
use accounts::FirstWay;
pub(super) use alone::{Alone, for_inviting};

/// How often endpoints and keys of a provider are fetched anew without anybody needing them.
const PROVIDER_REFRESH: Duration = Duration::from_secs(3600);

/// How often a process that waits for its store says so.
const SAY_AGAIN: Duration = Duration::from_secs(5);

/// How long readiness waits for providers that don't answer: who is signed in already needs none of them.
const PROVIDER_PATIENCE: Duration = Duration::from_secs(3);

/// The store that everybody uses and, where it is Redis, the same once more, to look at its servers.
type Stores = (Option<Arc<RedisStore>>, Arc<dyn Store>);

pub(super) struct Parts {
    pub services: Services,
    first_way: FirstWay,
    providers: Arc<Providers>,
    tokens: Arc<Tokens>,
    store: Arc<dyn Store>,
    redis: Option<Arc<RedisStore>>,
    /// Until it is started.
    role_map_watch: Option<RoleMapWatch>,
    _watches: Vec<FileWatch>,
}

impl Parts {
    pub(super) async fn make(config: &Config, clock: &Arc<dyn Clock>) -> anyhow::Result<Self> {
        warn_of_an_open_check(config);
        if let Some(translation) = &config.ui.text {
            pages::text::translate(translation.clone()).context("ui.text_file")?;
        }
        let metrics = Arc::new(Metrics::new());
        let mut watches = Vec::new();
        let ring = key_ring(config.key_ring.as_ref(), clock, &metrics, &mut watches)?;
        let (redis, store) = store(&config.store, clock, &metrics, &mut watches)?;
        let providers = Arc::new(providers(config, clock, &metrics, &mut watches)?);
        let (role_maps, role_map_watch) = role_maps(config, clock, &metrics, &mut watches).await?;

        let limits = Limits { idle: config.sessions.idle, absolute: config.sessions.absolute };
        let records = Records::new(Arc::clone(&store), Arc::clone(&ring), key_prefix(&config.store));
        let users = Arc::new(Users::new(records.clone(), Arc::clone(clock), limits));
        let keys = Keys::new(records.clone(), Arc::clone(clock), Arc::clone(&metrics), config.keys.clone());
        let keys = Arc::new(keys);
        let settings = Settings {
            limits,
            grace: config.cache.revocation_grace,
            entries: config.cache.entries,
            claims_max_age: config.keys.claims_max_age,
        };
        let sources = Sources { records: records.clone(), users: Arc::clone(&users), keys: Arc::clone(&keys) };
        let principals = Arc::new(Principals::start(sources, Arc::clone(clock), Arc::clone(&metrics), settings));
        let trust = providers.iter().map(|provider| (provider.id().to_owned(), provider.email_trust()));
        // Whom an administrator invites, the administrator knows.
        let trust = trust.chain([(LOCAL.to_owned(), EmailTrust::Always)]).collect();
        let issuers = token_issuers(config, clock, &metrics).await?;
        let tokens = Arc::new(Tokens::new(issuers, Arc::clone(&principals), Arc::clone(clock), &metrics));
        let upstream = Arc::new(upstream::upstream(config, clock, &metrics, &mut watches)?);
        let credentials =
            CredentialParser::new(Arc::clone(&ring), CookieNames::of(&config.public_url).session, Arc::clone(&metrics));
        let checker = Checker::new(
            Arc::clone(&principals),
            Arc::clone(&tokens),
            Arc::clone(&role_maps),
            Arc::clone(&upstream),
            trust,
            credentials,
        );
        let checker = Arc::new(checker);
        let flows = Flows::new(records.clone(), Arc::clone(clock));
        let sign_ins = Arc::new(SignIns::new(Arc::clone(&users), Arc::clone(&role_maps), Arc::clone(&metrics)));
        let local = match config.local_accounts.enabled {
            true => Some(accounts::accounts(config, &records, &sign_ins, &keys, clock, &metrics)?),
            false => None,
        };
        let people = Arc::new(People::new(records.clone(), Arc::clone(&sign_ins), Arc::clone(&keys)));
        let login = Login::new(Arc::clone(&providers), flows, sign_ins, Arc::clone(clock), Arc::clone(&metrics));
        let site = Arc::new(site(config, limits, ring));
        let login = Arc::new(login);
        let services = Services {
            site,
            login,
            checker,
            users,
            keys,
            apps: Arc::new(apps(config)),
            people,
            local_accounts: local.map(Arc::new),
            role_maps,
            upstream,
            principals,
            rate_limits: Arc::new(RateLimits::new(config.rate_limits, Arc::clone(clock))),
            metrics,
        };
        let first_way = FirstWay::of(config);
        Ok(Self { services, first_way, providers, tokens, store, redis, role_map_watch, _watches: watches })
    }

    /// Where nothing is configured, whoever has started the process gets in by what it prints.
    pub(super) async fn print_first_link(&self, config: &Config) -> anyhow::Result<()> {
        match (&self.services.local_accounts, &self.first_way) {
            (Some(accounts), FirstWay::Printed(role)) => {
                accounts::print_first_link(accounts, role.clone(), config).await.context("the first administrator's link")
            }
            (_, FirstWay::Closed) => {
                accounts::tell_that_it_is_closed();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn start_tasks(&mut self, readiness: &Readiness) -> Vec<JoinHandle<()>> {
        let (store, redis, block) = (Arc::clone(&self.store), self.redis.clone(), readiness.block("store"));
        let first = match &self.first_way {
            FirstWay::Invited(role) => Some((Arc::clone(&self.services.users), role.clone())),
            _ => None,
        };
        let ready = tokio::spawn(async move {
            wait_for(store.as_ref()).await;
            block.done();
            if let Some((users, role)) = first {
                accounts::tell_how_to_begin(&users, &role).await;
            }
            if let Some(redis) = redis {
                redis.hazards().await.iter().for_each(|hazard| tracing::warn!("{hazard}"));
            }
        });
        let (providers, tokens) = (Arc::clone(&self.providers), Arc::clone(&self.tokens));
        let block = readiness.block("identity providers");
        let attempted = tokio::spawn(async move {
            let providers = futures::future::join_all(providers.iter().map(|provider| provider.attempted()));
            let issuers = futures::future::join_all(tokens.issuers().map(|issuer| issuer.attempted()));
            // Attempted or not, the pod is of use.
            let _ = tokio::time::timeout(PROVIDER_PATIENCE, futures::future::join(providers, issuers)).await;
            block.done();
        });
        let issuers = self.tokens.issuers().map(|issuer| tokio::spawn(Arc::clone(issuer).keep_fresh(PROVIDER_REFRESH)));
        let refresh = self.providers.iter().map(|provider| tokio::spawn(Arc::clone(provider).keep_fresh(PROVIDER_REFRESH)));
        let role_map = self.role_map_watch.take().map(|watch| {
            let block = readiness.block("role map");
            tokio::spawn(watch.follow(|| block.done()))
        });
        refresh.chain(issuers).chain([ready, attempted]).chain(role_map).collect()
    }
}

/// Waits for the store, and says now and then that it does and why.
async fn wait_for(store: &dyn Store) {
    while tokio::time::timeout(SAY_AGAIN, store.ready()).await.is_err() {
        let why = store.sequences().await.into_iter().find_map(Result::err);
        let why = why.map_or_else(|| "its notices can't be subscribed to".to_owned(), |unavailable| unavailable.to_string());
        tracing::error!(why, "waiting for the store; this pod is not ready");
    }
}

/// What the check's listener answers may hold the upstream's credential, for whoever asks in the right way.
fn warn_of_an_open_check(config: &Config) {
    if !config.upstream_credential.fixed.is_empty() && !config.listen.check.ip().is_loopback() {
        tracing::warn!(
            listener = %config.listen.check,
            "the check's listener is no loopback address, and its answers carry the upstream's credential: let nobody but the gateway reach it"
        );
    }
}

/// A key of an application lasts no longer than any key.
fn apps(config: &Config) -> Apps {
    let section = &config.apps;
    Apps {
        redirects: RedirectPolicy::new(section.redirect_schemes.iter().cloned(), section.redirect_hosts.clone()),
        origins: section.origins.clone(),
        life: section.key_duration.min(config.keys.max_duration),
    }
}

fn site(config: &Config, limits: Limits, ring: Arc<KeyRing>) -> Site {
    let cookies = CookieNames::of(&config.public_url);
    if !config.public_url.is_secure() {
        tracing::warn!(public_url = %config.public_url, "plain HTTP: cookies have neither Secure nor the __Host- prefix; for trying out only");
    }
    let facts = facts(config);
    facts.iter().for_each(|fact| tracing::info!("{fact}"));
    if config.providers.is_empty() && !config.local_accounts.enabled {
        tracing::info!("nobody can sign in: configure an identity provider under `providers`, or enable `local_accounts`");
    }
    Site {
        contact: config.contact.clone(),
        admin_roles: config.admin_roles.clone(),
        local_accounts: config.local_accounts.enabled,
        public_url: config.public_url.clone(),
        cookies,
        limits,
        proxies: ProxyTrust::new(config.trusted_proxies.clone()),
        ring,
        facts,
        brand: Arc::new(config.ui.brand.clone()),
    }
}

/// What is on, in plain words.
fn facts(config: &Config) -> Vec<String> {
    let store = match &config.store {
        config::Store::Memory => {
            "Sessions are kept in this process's memory: they end with it, and one replica can serve.".to_owned()
        }
        config::Store::Redis(_) => "Sessions are kept in Redis, shared by all replicas.".to_owned(),
    };
    let role_map = match &config.role_map {
        RoleMapSource::BuiltIn => {
            "No role map is configured: everybody who signs in gets the role internal_user_viewer, or what their invitation says."
                .to_owned()
        }
        RoleMapSource::File(path) => format!("Roles are granted by the role map in {}.", path.display()),
        RoleMapSource::ConfigMap(source) => format!("Roles are granted by the role map in the ConfigMap {}.", source.name),
    };
    let names: Vec<&str> = config.providers.iter().map(|provider| provider.name.as_str()).collect();
    let providers = match (names.as_slice(), config.local_accounts.enabled) {
        ([], true) => "No identity provider is configured: people are invited, and sign in with a password.".to_owned(),
        ([], false) => "No identity provider is configured.".to_owned(),
        (names, true) => format!("People sign in with {}, or with a password that they have here.", names.join(", ")),
        (names, false) => format!("People sign in with {}.", names.join(", ")),
    };
    let check = format!("nginx asks http://{}/auth/nginx about each request.", config.listen.check);
    vec![providers, store, role_map, check]
}

fn key_ring(
    secret: Option<&Secret>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
    watches: &mut Vec<FileWatch>,
) -> anyhow::Result<Arc<KeyRing>> {
    let Some(secret) = secret else { return Ok(Arc::new(KeyRing::ephemeral(Arc::clone(clock)))) };
    let keys = RingKeys::parse(secret.expose_initial()).context("key_ring")?;
    let report = |metrics: &Metrics, keys: &RingKeys| metrics.key_ring_created(keys.created().map(Timestamp::as_second));
    report(metrics, &keys);
    let ring = Arc::new(KeyRing::new(keys, Arc::clone(clock)));
    let (edited, metrics) = (Arc::clone(&ring), Arc::clone(metrics));
    watch(secret, watches, "key_ring", move |text| match RingKeys::parse(text) {
        Ok(keys) => {
            report(&metrics, &keys);
            edited.replace(keys);
            tracing::info!("the key ring was read again");
        }
        Err(error) => tracing::error!(%error, "the edited key ring is refused; the old one stays in force"),
    });
    Ok(ring)
}

fn store(
    config: &config::Store,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
    watches: &mut Vec<FileWatch>,
) -> anyhow::Result<Stores> {
    match config {
        config::Store::Memory => {
            let store = Arc::new(MemoryStore::new(Arc::clone(clock)));
            Ok((None, Arc::new(Metered::new(store, Arc::clone(metrics), Arc::clone(clock)))))
        }
        config::Store::Redis(redis) => {
            let connection = connection(redis, watches)?;
            let store = RedisStore::start(&connection, Arc::clone(clock), Arc::clone(metrics)).context("store")?;
            let store = Arc::new(store);
            let metered = Metered::new(Arc::clone(&store) as Arc<dyn Store>, Arc::clone(metrics), Arc::clone(clock));
            Ok((Some(store), Arc::new(metered)))
        }
    }
}

fn connection(redis: &config::Redis, watches: &mut Vec<FileWatch>) -> anyhow::Result<Connection> {
    let mut cell = |secret: &Option<Secret>, name: &'static str| secret.as_ref().map(|secret| secret_cell(secret, watches, name));
    let password = cell(&redis.password, "store.password");
    let sentinel_password = cell(&redis.sentinel_password, "store.sentinel_password");
    let topology = match &redis.url.topology {
        config::Topology::Standalone => Topology::Standalone,
        config::Topology::Cluster => Topology::Cluster,
        config::Topology::Sentinel { service } => {
            let credentials = Credentials { username: redis.sentinel_username.clone(), password: sentinel_password };
            Topology::Sentinel { service: service.clone(), credentials }
        }
    };
    Ok(Connection {
        database: (redis.url.database != 0).then_some(redis.url.database),
        topology,
        hosts: redis.url.hosts.clone(),
        tls: redis.url.tls.then(|| tls(redis.ca_file.as_deref())).transpose()?.map(Arc::new),
        credentials: Credentials { username: redis.username.clone(), password },
        prefix: redis.key_prefix.clone(),
        command_timeout: redis.command_timeout,
    })
}

/// The system's certificate authorities, or the configured ones in their place.
fn tls(ca_file: Option<&Path>) -> anyhow::Result<rustls::ClientConfig> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    match ca_file {
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(path) => {
            for certificate in CertificateDer::pem_file_iter(path).with_context(|| format!("store.ca_file {}", path.display()))? {
                roots.add(certificate.context("store.ca_file")?).context("store.ca_file")?;
            }
        }
    }
    Ok(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

fn key_prefix(config: &config::Store) -> &str {
    match config {
        config::Store::Memory => "",
        config::Store::Redis(redis) => &redis.key_prefix,
    }
}

fn providers(
    config: &Config,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
    watches: &mut Vec<FileWatch>,
) -> anyhow::Result<Providers> {
    let mut made = Vec::new();
    for (place, provider) in config.providers.iter().enumerate() {
        let secret = provider.client_secret.as_ref().map(|secret| secret_cell(secret, watches, "client_secret"));
        let path = if place == 0 { "/sso/callback".to_owned() } else { format!("/sso/callback/{}", provider.id) };
        let redirect_uri = config.public_url.join(&path);
        let made_one = Provider::new(provider.clone(), secret, redirect_uri, Arc::clone(clock), Arc::clone(metrics));
        made.push(Arc::new(made_one.with_context(|| format!("providers[{place}]"))?));
    }
    Ok(Providers::new(made))
}

async fn token_issuers(config: &Config, clock: &Arc<dyn Clock>, metrics: &Arc<Metrics>) -> anyhow::Result<Vec<Arc<Issuer>>> {
    let mut made = Vec::new();
    for (place, issuer) in config.token_issuers.iter().enumerate() {
        let (at, clock, metrics) = (|| format!("token_issuers[{place}]"), Arc::clone(clock), Arc::clone(metrics));
        made.push(Arc::new(match &issuer.kind {
            TokenIssuerKind::OpenIdConnect(address) => {
                Issuer::on_the_web(issuer.clone(), address, clock, metrics).with_context(at)?
            }
            TokenIssuerKind::Kubernetes(review) => {
                let authority = TokenAuthority::new().await.with_context(at)?;
                Issuer::of_api_server(issuer.clone(), *review, authority, clock, metrics)
            }
        }));
    }
    Ok(made)
}

/// The role map in force and, where it is in ConfigMaps, what follows them.
async fn role_maps(
    config: &Config,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
    watches: &mut Vec<FileWatch>,
) -> anyhow::Result<(Arc<RoleMaps>, Option<RoleMapWatch>)> {
    let (clock, metrics) = (Arc::clone(clock), Arc::clone(metrics));
    match &config.role_map {
        RoleMapSource::BuiltIn => Ok((Arc::new(RoleMaps::new(None, config.configured(), clock, metrics)?), None)),
        RoleMapSource::File(path) => {
            let (maps, document) = role_map_of(path, config, &clock, &metrics)?;
            let maps = Arc::new(maps.with_source(path.display().to_string()));
            let edited = Arc::clone(&maps);
            let read = |path: &Path| std::fs::read(path);
            watches.push(FileWatch::start(path, document, read, move |bytes| edited.edit_bytes(bytes)));
            Ok((maps, None))
        }
        RoleMapSource::ConfigMap(source) => {
            let maps = RoleMaps::unknown(Arc::clone(&clock), Arc::clone(&metrics)).with_source(source.in_words());
            let maps = Arc::new(maps);
            let watch = RoleMapWatch::new(source.clone(), config.configured(), Arc::clone(&maps), clock, metrics);
            Ok((maps, Some(watch.await.context("role_map.config_map")?)))
        }
    }
}

/// A file's role map, and what the file held.
fn role_map_of(
    path: &Path,
    config: &Config,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<(RoleMaps, Vec<u8>)> {
    let name = || format!("role_map.file {}", path.display());
    let document = std::fs::read(path).with_context(|| format!("{} can't be read", name()))?;
    let text = roles::text_of(&document).with_context(name)?;
    let maps = RoleMaps::new(Some(text), config.configured(), Arc::clone(clock), Arc::clone(metrics)).with_context(name)?;
    Ok((maps, document))
}

fn secret_cell(secret: &Secret, watches: &mut Vec<FileWatch>, name: &'static str) -> Arc<SecretCell> {
    let cell = Arc::new(SecretCell::new(secret.expose_initial()));
    let edited = Arc::clone(&cell);
    watch(secret, watches, name, move |text| {
        edited.replace(text);
        tracing::info!(secret = name, "a secret was read again");
    });
    cell
}

fn watch(secret: &Secret, watches: &mut Vec<FileWatch>, name: &'static str, mut changed: impl FnMut(&str) + Send + 'static) {
    use secrecy::ExposeSecret;
    let Some(path) = secret.path() else { return };
    tracing::debug!(secret = name, path = %path.display(), "the secret's file is watched");
    let read = |path: &Path| read_secret_file(path).map(|secret| Zeroizing::new(secret.expose_secret().to_owned()));
    let initial = Zeroizing::new(secret.expose_initial().to_owned());
    watches.push(FileWatch::start(path, initial, read, move |text| changed(text)));
}
