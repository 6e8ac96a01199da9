//! Builds the services from their sections of the configuration.

mod commands;
mod gateways;
mod local_accounts;
mod providers;
mod refresher;
mod scim;
mod store;
mod upstream;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use jiff::Timestamp;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::{
    administration::Administration,
    api_keys::Keys,
    backchannel_logout::BackchannelLogout,
    bearer_tokens::{BearerTokens, Issuer, IssuerKind},
    check::gateway::secret::GatewayAuthentication,
    check::{Checker, CredentialParser, Evaluator},
    client_address::rate_limits::RateLimits,
    client_address::{self, TrustedProxies},
    clock::Clock,
    config::{self, Config, RoleMapSource},
    fetch::FileWatch,
    frontchannel_logout::FrontchannelLogout,
    handover::Handovers,
    http::{CookieNames, FormTokens, Services, Site, health::Readiness},
    kubernetes::{RoleMapWatch, TokenAuthority},
    login::Login,
    metrics::Metrics,
    oidc::{LoginFlows, ProviderSettings, Providers},
    origin::FurtherOrigins,
    pages,
    principal::{EmailTrust, LOCAL, ProfileClaims, Profiles},
    principal_cache::{Principals, Sources},
    role_map::{self, RoleMaps},
    secret::{ConfiguredSecret, KeyRing, RingKeys, SecretCell, read_secret_file},
    store::{Records, RedisPermissions, RedisStore, Store},
    users::{Policy, Users},
};

pub(super) use commands::{StoreConnection, build_for_invitations};
pub(super) use local_accounts::BOOTSTRAP_EMAIL;
use local_accounts::Bootstrap;
use refresher::claims_refresher;
use store::{key_prefix, store};

/// The interval at which a provider's endpoints and keys are refreshed.
const PROVIDER_REFRESH: Duration = Duration::from_secs(3600);

/// The interval of log lines while the process waits for its store.
const WAITING_LOG_INTERVAL: Duration = Duration::from_secs(5);

/// The time that readiness waits for unreachable providers. Users who are already signed in don't need them.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) struct Parts {
    pub services: Services,
    pub gateways: GatewayAuthentication,
    bootstrap: Bootstrap,
    providers: Arc<Providers>,
    tokens: Arc<BearerTokens>,
    store: Arc<dyn Store>,
    redis: Option<Arc<RedisStore>>,
    /// `None` once the watch is started.
    role_map_watch: Option<RoleMapWatch>,
    _watches: Vec<FileWatch>,
}

impl Parts {
    pub(super) async fn build(config: &Config, clock: &Arc<dyn Clock>) -> anyhow::Result<Self> {
        warn_about_exposed_check_listener(config);
        translate_pages(config)?;
        let (metrics, mut watches) = (Arc::new(Metrics::new()), Vec::new());
        let ring = key_ring(config.key_ring.as_ref(), clock, &metrics, &mut watches)?;
        let (redis, store) = store(&config.store, clock, &metrics, &mut watches)?;
        let (role_maps, role_map_watch) = role_maps(config, clock, &metrics, &mut watches).await?;

        let records = Records::new(Arc::clone(&store), Arc::clone(&ring), key_prefix(&config.store));
        let providers = Arc::new(providers::providers(config, &records, clock, &metrics, &mut watches)?);
        let policy = Arc::new(policy(config, &role_maps));
        let users = Arc::new(users(config, &records, &role_maps, clock, &metrics));
        let keys = keys(config, &records, &policy, clock, &metrics);
        let sources = Sources { records: records.clone(), users: Arc::clone(&users), keys: Arc::clone(&keys) };
        let principals = Arc::new(Principals::start(sources, Arc::clone(clock), Arc::clone(&metrics), config.cache));
        let issuers = token_issuers(config, clock, &metrics).await?;
        let tokens = Arc::new(BearerTokens::new(issuers, Arc::clone(&principals), Arc::clone(clock), &metrics));
        let upstream = Arc::new(upstream::upstream(config, clock, &metrics, &mut watches)?);
        let gateways = gateways::gateways(&config.check, &mut watches)?;
        let refresher = claims_refresher(&providers, &users, clock, &metrics)?;
        let checker = Checker::new(
            Arc::clone(&principals),
            Arc::clone(&tokens),
            Arc::clone(&role_maps),
            Arc::clone(&upstream),
            Evaluator::new(profiles(config), users.max_age().clone(), Arc::clone(clock)),
            credential_parser(config, &ring, &metrics),
            Arc::clone(&refresher),
        );
        let local = config
            .local_accounts
            .enabled
            .then(|| local_accounts::accounts(config, &records, &users, &keys, &policy, clock, &metrics).map(Arc::new));
        let administration = administration(&records, &users, &keys, &policy);
        let scim = scim::scim(config, &records, &users, &administration, clock, &mut watches)?;
        let (login, backchannel_logout) = login_and_logout(config, &records, &providers, &users, clock, &metrics);
        let services = Services {
            site: Arc::new(site(config, ring)),
            form_tokens: Arc::new(FormTokens::new(records.clone(), Arc::clone(clock))),
            login,
            handovers: Arc::new(Handovers::new(records.clone(), config.logins.max_pending, Arc::clone(clock))),
            backchannel_logout,
            frontchannel_logout: Arc::new(FrontchannelLogout::new(Arc::clone(&providers), Arc::clone(&users))),
            checker: Arc::new(checker),
            refresher,
            users,
            policy,
            keys,
            app_keys: Arc::new(config.apps.clone()),
            administration,
            local_accounts: local.transpose()?,
            role_maps,
            upstream,
            principals,
            scim,
            rate_limits: Arc::new(RateLimits::new(config.rate_limits, Arc::clone(clock))),
            metrics,
        };
        let bootstrap = Bootstrap::of(config);
        Ok(Self { services, gateways, bootstrap, providers, tokens, store, redis, role_map_watch, _watches: watches })
    }

    /// Prints the bootstrap invitation if the configuration allows it.
    pub(super) async fn print_bootstrap_invitation(&self, config: &Config) -> anyhow::Result<()> {
        match (&self.services.local_accounts, &self.bootstrap) {
            (Some(accounts), Bootstrap::PrintedInvitation(role)) => {
                local_accounts::print_bootstrap_invitation(accounts, role.clone(), config)
                    .await
                    .context("the bootstrap invitation")
            }
            (_, Bootstrap::Impossible) => {
                local_accounts::log_impossible_sign_in();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Stops background refreshes of claims.
    pub(super) fn stop_refreshes(&self) {
        self.services.refresher.stop();
    }

    /// Waits until no claims are being refreshed.
    pub(super) async fn finish_refreshes(&self) {
        self.services.refresher.idle().await;
    }

    pub(super) fn start_tasks(&mut self, readiness: &Readiness) -> Vec<JoinHandle<()>> {
        let (store, redis, block) = (Arc::clone(&self.store), self.redis.clone(), readiness.block("store"));
        let invited = match &self.bootstrap {
            Bootstrap::InviteCommand(role) => Some((Arc::clone(&self.services.users), role.clone())),
            _ => None,
        };
        let ready = tokio::spawn(async move {
            wait_for(store.as_ref(), redis.as_deref()).await;
            block.done();
            if let Some((users, role)) = invited {
                local_accounts::log_bootstrap_command(&users, &role).await;
            }
            if let Some(redis) = redis {
                redis
                    .configuration_warnings()
                    .await
                    .iter()
                    .for_each(|warning| tracing::warn!(%warning, "redis configuration warning"));
            }
        });
        let (providers, tokens) = (Arc::clone(&self.providers), Arc::clone(&self.tokens));
        let block = readiness.block("identity providers");
        let attempted = tokio::spawn(async move {
            let providers = futures::future::join_all(providers.iter().map(|provider| provider.wait_for_first_attempt()));
            let issuers = futures::future::join_all(tokens.issuers().map(|issuer| issuer.wait_for_first_attempt()));
            // The pod becomes ready even if a provider is unreachable.
            let _ = tokio::time::timeout(PROVIDER_TIMEOUT, futures::future::join(providers, issuers)).await;
            block.done();
        });
        let issuers = self.tokens.issuers().map(|issuer| tokio::spawn(Arc::clone(issuer).keep_refreshing(PROVIDER_REFRESH)));
        let refresh = self.providers.iter().map(|provider| tokio::spawn(Arc::clone(provider).keep_refreshing(PROVIDER_REFRESH)));
        let role_map = self.role_map_watch.take().map(|watch| {
            let block = readiness.block("role map");
            tokio::spawn(watch.follow(|| block.done()))
        });
        refresh.chain(issuers).chain([ready, attempted]).chain(role_map).collect()
    }
}

fn credential_parser(config: &Config, ring: &Arc<KeyRing>, metrics: &Arc<Metrics>) -> CredentialParser {
    let session_cookie = CookieNames::of(&config.public_url).session;
    let parser = CredentialParser::new(Arc::clone(ring), session_cookie, Arc::clone(metrics));
    parser.with_origins(FurtherOrigins::new(config.origins.clone()))
}

fn translate_pages(config: &Config) -> anyhow::Result<()> {
    let Some(translation) = &config.ui.text else { return Ok(()) };
    pages::text::translate(translation.clone()).context("ui.text_file")
}

fn keys(config: &Config, records: &Records, policy: &Arc<Policy>, clock: &Arc<dyn Clock>, metrics: &Arc<Metrics>) -> Arc<Keys> {
    let (clock, metrics) = (Arc::clone(clock), Arc::clone(metrics));
    Arc::new(Keys::new(records.clone(), Arc::clone(policy), config.keys.clone(), clock, metrics))
}

fn policy(config: &Config, role_maps: &Arc<RoleMaps>) -> Policy {
    Policy::new(Arc::clone(role_maps), config.admin_roles.clone()).with_provisioning(scim::provisioning(config))
}

fn users(config: &Config, records: &Records, role_maps: &Arc<RoleMaps>, clock: &Arc<dyn Clock>, metrics: &Arc<Metrics>) -> Users {
    let (limits, keys_max_age) = (config.sessions, config.keys.claims_max_age);
    let of_provider = |provider: &ProviderSettings| Some((provider.id.clone(), provider.max_claims_age?));
    let refresh = |provider: &ProviderSettings| Some((provider.id.clone(), provider.refresh?));
    let directory = |provider: &ProviderSettings| Some((provider.id.clone(), provider.directory_interval()?));
    Users::new(records.clone(), Arc::clone(role_maps), limits, keys_max_age, Arc::clone(clock), Arc::clone(metrics))
        .with_max_claims_ages(config.providers.iter().filter_map(of_provider).collect())
        .with_refreshes(config.providers.iter().filter_map(refresh).collect())
        .with_directories(config.providers.iter().filter_map(directory).collect())
        .with_profiles(profiles(config))
        .with_provisioning(scim::provisioning(config))
}

fn administration(records: &Records, users: &Arc<Users>, keys: &Arc<Keys>, policy: &Arc<Policy>) -> Arc<Administration> {
    Arc::new(Administration::new(records.clone(), Arc::clone(users), Arc::clone(keys), Arc::clone(policy)))
}

/// Builds the services of logins at providers, and of logouts that they report.
fn login_and_logout(
    config: &Config,
    records: &Records,
    providers: &Arc<Providers>,
    users: &Arc<Users>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> (Arc<Login>, Arc<BackchannelLogout>) {
    let flows = LoginFlows::new(records.clone(), config.logins, Arc::clone(clock));
    let login = Login::new(Arc::clone(providers), flows, Arc::clone(users), Arc::clone(clock), Arc::clone(metrics));
    let logout = BackchannelLogout::new(Arc::clone(providers), Arc::clone(users), Arc::clone(clock), Arc::clone(metrics));
    (Arc::new(login), Arc::new(logout))
}

/// Returns the claims in which the sources of identities send email addresses and user names.
fn profiles(config: &Config) -> Profiles {
    let profiles = config.providers.iter().map(|provider| (provider.id.clone(), provider.profile.clone()));
    // Administrators verify the email addresses that they invite.
    Profiles::new(profiles.chain([(LOCAL.to_owned(), ProfileClaims::standard(EmailTrust::Always))]).collect())
}

/// Waits for the store, and logs the reason periodically. The client library does not report a missing permission for the
/// invalidation channel.
async fn wait_for(store: &dyn Store, redis: Option<&RedisStore>) {
    loop {
        let is_ready = tokio::time::timeout(WAITING_LOG_INTERVAL, store.ready()).await.is_ok();
        let permissions = match redis {
            Some(redis) => redis.examine_servers().await,
            None => RedisPermissions::Complete,
        };
        if is_ready && permissions == RedisPermissions::Complete {
            return;
        }
        let cause = store.sequences().await.into_iter().find_map(Result::err);
        let cause = cause
            .map_or_else(|| "the invalidation channel cannot be subscribed to".to_owned(), |unavailable| unavailable.to_string());
        tracing::error!(error = cause, "waiting for the store; pod not ready");
        if is_ready {
            tokio::time::sleep(WAITING_LOG_INTERVAL).await;
        }
    }
}

/// Warns if clients other than the gateway may reach the check listener, since its responses contain upstream credentials.
fn warn_about_exposed_check_listener(config: &Config) {
    let is_open = !matches!(config.check, config::CheckAccess::GatewaySecret(_));
    if is_open
        && !config.upstream_credential.static_credentials.is_empty()
        && !client_address::is_loopback(config.listen.check.ip())
    {
        tracing::warn!(
            listener = %config.listen.check,
            "check listener reachable from other hosts; responses contain upstream credentials"
        );
    }
}

fn site(config: &Config, ring: Arc<KeyRing>) -> Site {
    let cookies = CookieNames::of(&config.public_url);
    if !config.public_url.is_secure() {
        tracing::warn!(public_url = %config.public_url, "public_url without https; cookies are not Secure");
    }
    log_configuration(config);
    if config.providers.is_empty() && !config.local_accounts.enabled {
        tracing::info!("no sign-in method configured; set providers or local_accounts");
    }
    Site {
        contact: config.contact.clone(),
        local_accounts: config.local_accounts.enabled,
        session_writes: config.api.session_writes,
        public_url: config.public_url.clone(),
        origins: FurtherOrigins::new(config.origins.clone()),
        cookies,
        limits: config.sessions,
        proxies: TrustedProxies::new(config.trusted_proxies.clone()),
        ring,
        facts: describe_configuration(config),
        brand: Arc::new(config.ui.brand.clone()),
        origin_brands: config.ui.origin_brands.iter().map(|(host, brand)| (host.clone(), Arc::new(brand.clone()))).collect(),
    }
}

fn log_configuration(config: &Config) {
    let providers: Vec<&str> = config.providers.iter().map(|provider| provider.id.as_str()).collect();
    let providers = (!providers.is_empty()).then(|| providers.join(","));
    let store = match &config.store {
        config::StoreConfig::Memory => "memory",
        config::StoreConfig::Redis(_) => "redis",
    };
    let (role_map, path, config_map) = match &config.role_map {
        RoleMapSource::BuiltIn => ("built_in", None, None),
        RoleMapSource::File(path) => ("file", Some(path.display()), None),
        RoleMapSource::ConfigMap(source) => ("config_map", None, Some(source.name.as_str())),
    };
    tracing::info!(
        providers = providers.as_deref(),
        local_accounts = config.local_accounts.enabled,
        store,
        role_map,
        path = path.map(tracing::field::display),
        config_map,
        check = %config.listen.check,
        "configuration summary"
    );
}

/// Describes the configuration for the page that operators see before a sign-in method is configured.
fn describe_configuration(config: &Config) -> Vec<String> {
    let store = match &config.store {
        config::StoreConfig::Memory => {
            "Sessions are kept in this process's memory. They end with the process, and only one replica can serve.".to_owned()
        }
        config::StoreConfig::Redis(_) => "Sessions are kept in Redis, shared by all replicas.".to_owned(),
    };
    let role_map = match &config.role_map {
        RoleMapSource::BuiltIn => {
            "No role map is configured: users get the role internal_user_viewer, or the role of their invitation.".to_owned()
        }
        RoleMapSource::File(path) => format!("Roles are granted by the role map in {}.", path.display()),
        RoleMapSource::ConfigMap(source) => format!("Roles are granted by the role map in the ConfigMap {}.", source.name),
    };
    let names: Vec<&str> = config.providers.iter().map(|provider| provider.name.as_str()).collect();
    let providers = match (names.as_slice(), config.local_accounts.enabled) {
        ([], true) => "No identity provider is configured: users are invited, and sign in with a password.".to_owned(),
        ([], false) => "No identity provider is configured.".to_owned(),
        (names, true) => format!("Users sign in with {}, or with the password of a local account.", names.join(", ")),
        (names, false) => format!("Users sign in with {}.", names.join(", ")),
    };
    let check = format!("nginx sends auth requests to http://{}/auth/nginx.", config.listen.check);
    vec![providers, store, role_map, check]
}

fn key_ring(
    secret: Option<&ConfiguredSecret>,
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
            tracing::info!("key ring reloaded");
        }
        Err(error) => tracing::error!(%error, "key ring rejected; keeping previous version"),
    });
    Ok(ring)
}

async fn token_issuers(config: &Config, clock: &Arc<dyn Clock>, metrics: &Arc<Metrics>) -> anyhow::Result<Vec<Arc<Issuer>>> {
    let mut built = Vec::new();
    for (place, issuer) in config.token_issuers.iter().enumerate() {
        let (at, clock, metrics) = (|| format!("token_issuers[{place}]"), Arc::clone(clock), Arc::clone(metrics));
        built.push(Arc::new(match &issuer.kind {
            IssuerKind::OpenIdConnect(address) => {
                Issuer::with_key_url(issuer.clone(), address, clock, metrics).with_context(at)?
            }
            IssuerKind::Kubernetes(settings) => {
                let authority = TokenAuthority::new().await.with_context(at)?;
                Issuer::with_api_server(issuer.clone(), settings.clone(), authority, clock, metrics)
            }
        }));
    }
    Ok(built)
}

/// Builds the role map and, if it is in ConfigMaps, the watch that updates it.
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
            let (maps, document) = read_role_map_file(path, config, &clock, &metrics)?;
            let maps = Arc::new(maps.with_source(path.display().to_string()));
            let edited = Arc::clone(&maps);
            let read = |path: &Path| std::fs::read(path);
            watches.push(FileWatch::start(path, document, read, move |bytes| edited.apply_bytes(bytes)));
            Ok((maps, None))
        }
        RoleMapSource::ConfigMap(source) => {
            let maps = RoleMaps::unloaded(config.configured(), Arc::clone(&clock), Arc::clone(&metrics))
                .with_source(source.description());
            let maps = Arc::new(maps);
            let watch = RoleMapWatch::new(source.clone(), config.configured(), Arc::clone(&maps), clock, metrics);
            Ok((maps, Some(watch.await.context("role_map.config_map")?)))
        }
    }
}

/// Reads a role map file. Returns the role map and the file's content.
fn read_role_map_file(
    path: &Path,
    config: &Config,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<(RoleMaps, Vec<u8>)> {
    let name = || format!("role_map.file {}", path.display());
    let document = std::fs::read(path).with_context(|| format!("{} can't be read", name()))?;
    let text = role_map::decode_document(&document).with_context(name)?;
    let maps = RoleMaps::new(Some(text), config.configured(), Arc::clone(clock), Arc::clone(metrics)).with_context(name)?;
    Ok((maps, document))
}

fn secret_cell(secret: &ConfiguredSecret, watches: &mut Vec<FileWatch>, name: &'static str) -> Arc<SecretCell> {
    let cell = Arc::new(SecretCell::new(secret.expose_initial()));
    let edited = Arc::clone(&cell);
    watch(secret, watches, name, move |text| {
        edited.replace(text);
        tracing::info!(secret = name, "secret reloaded");
    });
    cell
}

fn watch(
    secret: &ConfiguredSecret,
    watches: &mut Vec<FileWatch>,
    name: &'static str,
    mut changed: impl FnMut(&str) + Send + 'static,
) {
    use secrecy::ExposeSecret;
    let Some(path) = secret.path() else { return };
    tracing::debug!(secret = name, path = %path.display(), "secret file watched");
    let read = |path: &Path| read_secret_file(path).map(|secret| Zeroizing::new(secret.expose_secret().to_owned()));
    let initial = Zeroizing::new(secret.expose_initial().to_owned());
    watches.push(FileWatch::start(path, initial, read, move |text| changed(text)));
}
